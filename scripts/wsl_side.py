"""How the agent is started and ended: from .venv-agent on Linux, in a WSL distribution from Windows. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath

VENV = ".venv-agent"
PID_FILE = "agent.wsl.pid"
"""Inside the data folder: the agent's number in Linux, which Windows does not see."""


def in_distribution(distribution: str, root: str, script: str) -> list[str]:
    """A bash script in the project's folder; `root` is a Windows path. The default distribution when none is named."""
    chosen = ["-d", distribution] if distribution else []
    return ["wsl.exe", *chosen, "--cd", root, "--exec", "bash", "-c", script]


def start_command(windows: bool, root: PurePath, distribution: str) -> list[str]:
    if not windows:
        return [str(root / VENV / "bin" / "python"), "-m", "agent_wsl"]
    # The number is the agent's own, since bash becomes the agent.
    script = f"mkdir -p logs && echo $$ > logs/{PID_FILE} && exec {VENV}/bin/python -m agent_wsl"
    return in_distribution(distribution, str(root), script)


def stop_command(windows: bool, root: PurePath, distribution: str) -> Sequence[str]:
    """Empty on Linux, where a signal does it. A number that belongs to another program by now is left alone."""
    if not windows:
        return ()
    script = f'pid=$(cat logs/{PID_FILE}) && grep -qz agent_wsl "/proc/$pid/cmdline" && kill -TERM "$pid"'
    return in_distribution(distribution, str(root), script)


def setup_script(requirements: str) -> str:
    """For bash in WSL."""
    return (
        f"if [ ! -x {VENV}/bin/pip ]; then python3 -m venv --clear {VENV}; fi && "
        f"{VENV}/bin/python -m pip install --disable-pip-version-check -r {requirements}"
    )
