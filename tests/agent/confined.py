"""A sandbox over directories of a test, and ways to run something in it."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent_wsl.config import JobSettings, SandboxSettings
from agent_wsl.sandbox.confine import Sandbox
from agent_wsl.sandbox.start import running

PYTHON = "/usr/bin/python3"
MIB = 1 << 20


def job_settings(**changed: int) -> JobSettings:
    return JobSettings(
        **{
            "allowed": (), "at_once": 4, "queued": 4, "timeout_s": 60, "max_timeout_s": 60, "output": MIB,
            "memory": 256 * MIB, "processes": 64, "cpu_s": 30, "file_size": 8 * MIB, "written": 64 * MIB,
            "free_disk": 0, **changed,
        }  # type: ignore[arg-type]
    )  # fmt: skip


def settings(read_only: Sequence[Path] = (), network: bool = False, **environment: str) -> SandboxSettings:
    return SandboxSettings(network, tuple(read_only), environment)


@dataclass
class Outcome:
    code: int
    output: str
    set_aside: tuple[str, ...]


def run(sandbox: Sandbox, argv: Sequence[str], cwd: Path, timeout_s: float = 60) -> Outcome:
    with sandbox.prepare(argv, str(cwd)) as prepared:
        started = prepared.start(subprocess.PIPE, subprocess.STDOUT)
    with running(started) as process:
        output, _ = process.communicate(timeout=timeout_s)
    return Outcome(process.returncode, output.decode("utf-8", "replace"), prepared.finish())


def shell(sandbox: Sandbox, line: str, cwd: Path) -> Outcome:
    return run(sandbox, ["/bin/bash", "-c", line], cwd)


def python(sandbox: Sandbox, text: str, cwd: Path) -> Outcome:
    return run(sandbox, [PYTHON, "-I", "-c", text], cwd)


def unconfined(argv: Sequence[str], cwd: Path, env: Mapping[str, str] | None = None) -> Outcome:
    """The control: the same attempt without the sandbox."""
    done = subprocess.run(argv, cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
    return Outcome(done.returncode, (done.stdout + done.stderr).decode("utf-8", "replace"), ())


def repository(folder: Path) -> Path:
    """With one commit, made without git's configuration of the machine."""
    folder.mkdir(parents=True, exist_ok=True)
    line = "git init -q -b main . && git -c user.name=T -c user.email=t@example.com commit -q --allow-empty -m first"
    subprocess.run(
        ["/bin/bash", "-c", line], cwd=folder, check=True, env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"}
    )
    return folder
