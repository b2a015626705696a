"""What service.py does with each of the two programs."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import background
import setup_env
import wsl_side
from background import Files, Service
from child import SetupError, say
from run import setting

ROOT = setup_env.ROOT
NAMES = ("bot", "agent")
NO_VENV = 20
LINES = 50
LOOK_EVERY_S = 0.3
WINDOWS = os.name == "nt"


def own_setting(name: str) -> str:
    return setting(name, ROOT / ".env")


def data_folder() -> Path:
    return ROOT / Path(own_setting("DATA_DIR") or "logs").expanduser()


def service(name: str) -> Service:
    if name == "bot":
        python = setup_env.venv_python() if setup_env.venv_python().exists() else Path(sys.executable)
        command = [str(python), "-P", "-m", "bot", "run"]
        return Service("bot", "Discord bot", command, "Logged in to Discord", patience_s=180, stop_s=10)
    distribution = own_setting("WSL_DISTRO")
    command = wsl_side.start_command(WINDOWS, ROOT, distribution)
    ask = wsl_side.stop_command(WINDOWS, ROOT, distribution)
    return Service("agent", "tool agent", command, "Listening on ", patience_s=60, stop_s=10, ask=ask)


def start(name: str) -> None:
    wanted = service(name)
    if name == "agent" and not WINDOWS:
        if not Path(wanted.command[0]).exists():
            raise SetupError("There is no .venv-agent for the tool agent yet: run `just setup`.", NO_VENV)
        import develop

        if develop.agent_is_old():
            say("agent: requirements-wsl.txt has changed since .venv-agent was made; `just setup` updates it.")
    background.start(wanted, data_folder(), setup_env.bot_environment(), ROOT)


def stop(name: str) -> None:
    background.stop(service(name), data_folder())


def logs(name: str, options: list[str]) -> int:
    """The end of the log; with --follow what comes after it, until Ctrl-C."""
    files = Files(data_folder(), name)
    count = LINES
    if "-n" in options and (given := options[options.index("-n") + 1 :]) and given[0].isdigit():
        count = int(given[0])
    if not files.log.exists():
        say(f"{name}: there is no log yet ({files.log}).")
        return 0
    text = files.text_since(0)
    sys.stdout.write("".join(text.splitlines(keepends=True)[-count:]))
    at = files.log.stat().st_size
    while "--follow" in options:
        sys.stdout.flush()
        time.sleep(LOOK_EVERY_S)
        size = files.log.stat().st_size if files.log.exists() else 0
        at = min(at, size)
        if size > at:
            sys.stdout.write(files.text_since(at))
            at = size
    return 0


def clean_logs() -> int:
    """Conversations, the agent's audit log and what a running program writes stay."""
    folder = data_folder()
    busy = {name for name in NAMES if background.find(Files(folder, name).read())}
    removed = freed = 0
    for path in sorted({*folder.glob("*.log*"), *folder.glob("*.jsonl*")}):
        if path.name.split(".")[0] in busy:
            say(f"{path.name} stays: the {path.name.split('.')[0]} is running.")
            continue
        size = path.stat().st_size
        try:
            path.unlink()
        except OSError as error:
            say(f"{path.name} stays: {error.strerror}.")
            continue
        removed, freed = removed + 1, freed + size
    say(f"{removed} log{'s' * (removed != 1)} removed, {freed / 1e6:.1f} MB, from {folder}.")
    return 0
