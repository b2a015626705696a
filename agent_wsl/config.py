"""Frozen settings, nested by room, and the one loader. The only reader of the environment in `agent_wsl`."""

from __future__ import annotations

import math
import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from dotenv import dotenv_values

from agent_wsl.allowed import checked_roots
from agent_wsl.errors import ConfigError

PROJECT = Path(__file__).resolve().parent.parent
SHORTEST_KEY = 16
MIB = 1 << 20
SECRETS = ("API_KEY",)
ALLOWED_COMMANDS = "git status, git diff, git log, ls, pwd, python3 --version, node --version"
"""Without a setting. They look and change nothing, save what a repository's own configuration makes git start, and that
stays in the sandbox. `pytest` is not among them: it runs whatever the project says, so it wants a yes."""
STATE = "logs/agent"
TOOL_CHAINS = (
    "~/.pyenv:~/.nvm/versions:~/.rustup/toolchains:~/.cargo/bin:~/.local/bin:~/.local/share/uv/python:~/go/bin"
)
"""Where tool chains stand outside /usr. Those that exist can be read by commands; none of them holds keys."""


@dataclass(frozen=True, slots=True)
class ListenSettings:
    host: str
    """An IP address. Anything but loopback needs `tls`."""
    port: int
    """0 takes any free one."""
    tls: Path | None
    """The folder that `python -m agent_wsl keys` made."""
    connections: int
    """At once, authenticated."""


@dataclass(frozen=True, slots=True)
class FileSettings:
    roots: tuple[Path, ...]
    """Allowed directories: resolved, they exist."""
    max_file_size: int
    """Bytes."""


@dataclass(frozen=True, slots=True)
class WatchSettings:
    paths: tuple[str, ...]
    """Watched from the start; inside the roots."""
    poll_s: float
    """Between two looks where the file system reports nothing."""
    history: int
    """Changes that are kept for clients that were away."""


@dataclass(frozen=True, slots=True)
class JobSettings:
    allowed: tuple[tuple[str, ...], ...]
    """Prefixes of argv that need no approval."""
    at_once: int
    queued: int
    """Jobs that may wait; one more is refused."""
    timeout_s: float
    """When none is asked for."""
    max_timeout_s: float
    output: int
    """Bytes kept per job."""
    memory: int
    """Bytes, of all processes of a job together."""
    processes: int
    cpu_s: int
    """Of any one process."""
    file_size: int
    """Bytes, of any one file."""
    written: int
    """Bytes that a job may write to disk in all."""
    free_disk: int
    """Bytes that must stay free where the roots lie; a job that goes below is ended."""


@dataclass(frozen=True, slots=True)
class SandboxSettings:
    network: bool
    read_only: tuple[Path, ...]
    """Further directories that commands may read: tool chains outside /usr."""
    environment: Mapping[str, str]
    """Variables for commands, beside the short list that all get."""
    path: tuple[Path, ...] = ()
    """The agent's own PATH: what of it commands can see is searched first, in this order."""


@dataclass(frozen=True, slots=True)
class Settings:
    api_key: str
    listen: ListenSettings
    files: FileSettings
    watch: WatchSettings
    jobs: JobSettings
    sandbox: SandboxSettings
    rate_per_minute: int
    """Calls per user; for all users together five times as many."""
    state: Path
    """Folder of the audit log and of jobs' output."""
    log_level: str


class _Reader:
    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    def text(self, name: str, default: str = "") -> str:
        value = self._values.get(name, "").strip() or default
        if "\0" in value:
            raise self.refusal(name, "without a NUL character")
        return value

    def number(self, name: str, default: float, low: float, high: float) -> float:
        try:
            value = float(self.text(name, str(default)))
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            raise self.refusal(name, f"a number from {low:g} to {high:g}")
        return value

    def whole(self, name: str, default: int, low: int, high: int) -> int:
        value = self.number(name, default, low, high)
        if value != int(value):
            raise self.refusal(name, f"a whole number from {low} to {high}")
        return int(value)

    def flag(self, name: str, default: bool) -> bool:
        value = self.text(name, "on" if default else "off").lower()
        if value not in ("on", "off", "true", "false", "1", "0", "yes", "no"):
            raise self.refusal(name, "on or off")
        return value in ("on", "true", "1", "yes")

    def choice(self, name: str, default: str, allowed: tuple[str, ...]) -> str:
        value = self.text(name, default).lower()
        if value not in allowed:
            raise self.refusal(name, f"one of {', '.join(allowed)}")
        return value

    def paths(self, name: str, default: str = "") -> tuple[Path, ...]:
        """Separated by `:` or, since a path may hold one, by `;` alone when there is any."""
        text = self.text(name, default)
        return self._absolute(name, text.split(";" if ";" in text else ":"))

    def folder(self, name: str, default: str = "") -> Path | None:
        return next(iter(self._absolute(name, [self.text(name, default)])), None)

    def _absolute(self, name: str, parts: Sequence[str]) -> tuple[Path, ...]:
        try:
            return tuple(PROJECT / Path(part).expanduser() for part in map(str.strip, parts) if part)
        except RuntimeError:
            # "~" of a user that does not exist, or of one without a home.
            if not self.text(name):
                return ()
            raise self.refusal(name, "written without ~, since there is no such home directory") from None

    def refusal(self, name: str, allowed: str) -> ConfigError:
        value = "***" if name in SECRETS else repr(self._values.get(name, ""))
        return ConfigError(f"{name} is {value}, but must be {allowed}. Correct it in .env or in the environment.")


def _of_file(path: Path) -> dict[str, str]:
    try:
        return {name: value or "" for name, value in dotenv_values(path, encoding="utf-8-sig").items()}
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not in UTF-8: save it anew in that encoding.") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror}): let this user read it, or remove it.") from None


def _apart(read: _Reader, roots: tuple[Path, ...]) -> None:
    """What the agent hides of its own must not hide an allowed directory along with it."""
    for name, default in (("AGENT_STATE_DIR", STATE), ("AGENT_TLS_DIR", "")):
        folder = read.folder(name, default)
        if folder and any(root.is_relative_to(folder.resolve()) for root in roots):
            raise read.refusal(name, "a folder of its own, not one that holds an allowed directory")


def load(env_file: Path | None = PROJECT / ".env", environ: Mapping[str, str] | None = None) -> Settings:
    """Reads `.env`, then the environment over it. Raises ConfigError or RootError on the first value not allowed."""
    values = _of_file(env_file) if env_file else {}
    values.update(os.environ if environ is None else environ)
    read = _Reader(values)
    key = read.text("API_KEY")
    if len(key) < SHORTEST_KEY:
        problem = f"has {len(key)} characters" if key else "is not set"
        raise ConfigError(
            f"API_KEY {problem}, but must have at least {SHORTEST_KEY}. Make one with: "
            'python -c "import secrets; print(secrets.token_hex(32))" - and put it into the .env of agent and bot.'
        )
    roots = checked_roots(read.paths("ALLOWED_DIRECTORIES"))
    _apart(read, roots)
    return Settings(
        api_key=key,
        listen=_listen(read),
        files=FileSettings(roots, int(read.number("MAX_FILE_SIZE_MB", 10, 0.001, 4096) * MIB)),
        watch=WatchSettings(
            paths=tuple(map(str, read.paths("WATCH_DIRECTORIES"))),
            poll_s=read.number("WATCH_POLL_S", 2, 0.1, 60),
            history=read.whole("WATCH_HISTORY", 5000, 10, 1_000_000),
        ),
        jobs=_jobs(read),
        sandbox=SandboxSettings(
            network=read.flag("JOB_NETWORK", False),
            read_only=tuple(path for path in read.paths("JOB_READ_ONLY", TOOL_CHAINS) if path.is_dir()),
            environment=_variables(read, "JOB_ENVIRONMENT"),
            path=tuple(Path(part) for part in values.get("PATH", "").split(":") if part.startswith("/")),
        ),
        rate_per_minute=read.whole("RATE_LIMIT_PER_MINUTE", 60, 1, 1_000_000),
        state=read.folder("AGENT_STATE_DIR") or PROJECT / STATE,
        log_level=read.choice("LOG_LEVEL", "warning", ("debug", "info", "warning", "error")),
    )


def _listen(read: _Reader) -> ListenSettings:
    host = read.text("AGENT_BIND", "127.0.0.1")
    try:
        loopback = ip_address(host).is_loopback
    except ValueError:
        raise read.refusal("AGENT_BIND", "an IP address of this machine, such as 127.0.0.1") from None
    tls = read.folder("AGENT_TLS_DIR")
    if not loopback and not tls:
        raise ConfigError(
            f"AGENT_BIND is {host}, which other machines reach, so certificates are needed on top of the API key: "
            "make them with `python -m agent_wsl keys DIR` and set AGENT_TLS_DIR=DIR, or leave AGENT_BIND out."
        )
    return ListenSettings(host, read.whole("PORT", 18861, 0, 65535), tls, read.whole("AGENT_CONNECTIONS", 64, 2, 512))


def _jobs(read: _Reader) -> JobSettings:
    longest = read.number("JOB_MAX_TIMEOUT_S", 3600, 1, 86400)
    return JobSettings(
        allowed=_commands(read, "ALLOWED_COMMANDS", ALLOWED_COMMANDS),
        at_once=read.whole("JOBS_AT_ONCE", 4, 1, 64),
        queued=read.whole("JOBS_QUEUED", 16, 0, 1000),
        timeout_s=min(longest, read.number("JOB_TIMEOUT_S", 300, 0.1, 86400)),
        max_timeout_s=longest,
        output=int(read.number("JOB_OUTPUT_MB", 8, 0.0625, 4096) * MIB),
        memory=int(read.number("JOB_MEMORY_MB", 4096, 16, 1_000_000) * MIB),
        processes=read.whole("JOB_PROCESSES", 512, 4, 100_000),
        cpu_s=read.whole("JOB_CPU_S", 3600, 1, 86400),
        file_size=int(read.number("JOB_FILE_SIZE_MB", 2048, 1, 1_000_000) * MIB),
        written=int(read.number("JOB_WRITTEN_MB", 8192, 1, 10_000_000) * MIB),
        free_disk=int(read.number("JOB_FREE_DISK_MB", 1024, 0, 10_000_000) * MIB),
    )


def _commands(read: _Reader, name: str, default: str) -> tuple[tuple[str, ...], ...]:
    text = read.text(name, default)
    if text.lower() == "none":
        return ()
    try:
        return tuple(tuple(words) for part in text.split(",") if (words := shlex.split(part)))
    except ValueError:
        raise read.refusal(name, "commands with commas between them, quotes closed, or none") from None


def _variables(read: _Reader, name: str) -> Mapping[str, str]:
    try:
        pairs = [part.split("=", 1) for part in shlex.split(read.text(name))]
    except ValueError:
        pairs = [[""]]
    if any(len(pair) != 2 or not pair[0].isidentifier() for pair in pairs):
        raise read.refusal(name, "NAME=VALUE pairs with spaces between them")
    return {pair[0]: pair[1] for pair in pairs}
