"""What commands must not do to the machine: each is tried, with small limits, through a board of jobs of its own."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from agent_wsl.config import MIB, JobSettings, SandboxSettings
from agent_wsl.errors import AgentFailure
from agent_wsl.files.root import Roots
from agent_wsl.jobs.approvals import Approvals
from agent_wsl.jobs.board import JobBoard
from agent_wsl.protocol import Attempt, GetJob, JobStatus, Run
from agent_wsl.sandbox.confine import Sandbox

PYTHON = "/usr/bin/python3"
USER = "selftest"
PREFIX = "sidetone-brakes-"
FLOOD = 1 << 30
FORKS = """
import os
while True:
    try:
        os.fork()
    except OSError:
        pass
"""
MEMORY = """
kept = []
while True:
    kept.append(b"x" * (8 << 20))
"""
FILES = """
import itertools
for number in itertools.count():
    with open(f"filler{number}", "wb") as file:
        for _ in range(8):
            file.write(b"x" * (1 << 20))
            file.flush()
"""
OUTPUT = f"""
import sys
for _ in range({FLOOD >> 20}):
    sys.stdout.buffer.write(b"x" * (1 << 20))
"""
STUBBORN = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(600)
    os._exit(0)
time.sleep(600)
"""


def brakes(jobs: JobSettings, sandbox: SandboxSettings, folder: Path) -> list[Callable[[], Attempt]]:
    """Attempts for `run_selftest`. `folder` is where files may be written for a moment; all of it is taken away."""
    small = replace(
        jobs, allowed=((PYTHON,),), at_once=2, timeout_s=30.0, max_timeout_s=60.0, output=MIB, memory=256 * MIB,
        processes=64, file_size=32 * MIB, written=64 * MIB, free_disk=0,
    )  # fmt: skip

    def attempt(name: str, program: str, expected: set[str], timeout_s: float = 20.0) -> Callable[[], Attempt]:
        def make() -> Attempt:
            try:
                with _board(small, sandbox, folder) as board:
                    return _tried(board, name, program, expected, timeout_s)
            except (AgentFailure, OSError) as error:
                return Attempt(name, False, f"It could not be tried: {error}")

        return make

    return [
        # A user's own limit stops it from growing; root has none, so the supervisor ends it.
        attempt("a fork bomb", FORKS, {"processes", "timeout"}, 5.0),
        attempt("a memory bomb", MEMORY, {"memory"}),
        attempt("filling the disk", FILES, {"disk", "signal"}),
        attempt("1 GiB of output", OUTPUT, {"exit"}),
        attempt("children that ignore SIGTERM", STUBBORN, {"timeout"}, 1.0),
    ]


def sweep(folder: Path) -> None:
    """What attempts left there when the agent was ended in the middle of one."""
    for left in folder.glob(f"{PREFIX}*"):
        shutil.rmtree(left, ignore_errors=True)


@contextlib.contextmanager
def _board(jobs: JobSettings, settings: SandboxSettings, folder: Path) -> Iterator[JobBoard]:
    root = Path(tempfile.mkdtemp(prefix=PREFIX, dir=folder)).resolve()
    state = Path(tempfile.mkdtemp(prefix=f"{PREFIX}state-", dir=folder)).resolve()
    roots, confined = Roots([root]), Sandbox([root], settings, jobs)
    try:
        board = JobBoard(roots, confined, Approvals(time.monotonic), jobs, state)
        try:
            yield board
        finally:
            board.close()
    finally:
        roots.close()
        confined.close()
        shutil.rmtree(root, ignore_errors=True)
        shutil.rmtree(state, ignore_errors=True)


def _tried(board: JobBoard, name: str, program: str, expected: set[str], timeout_s: float) -> Attempt:
    mark = f"sidetone-{secrets.token_hex(8)}"
    job = board.run(USER, Run(argv=(PYTHON, "-I", "-c", program, mark), timeout_s=timeout_s))
    status = board.status(USER, GetJob(job.job_id, 25.0))
    if status.state != "done":
        return Attempt(name, False, f"It was still {status.state} after {status.duration_s:.1f} s.")
    if left := _alive(mark):
        return Attempt(name, False, f"{left} of its processes were left behind.")
    after = board.status(USER, GetJob(board.run(USER, Run(argv=(PYTHON, "-c", "pass"))).job_id, 25.0))
    if after.exit_code != 0:
        return Attempt(name, False, "Afterwards no command could be run.")
    return Attempt(name, status.ended_by in expected, _told(status))


def _told(status: JobStatus) -> str:
    gap = f", {status.gap[1] - status.gap[0]} bytes named as not kept" if status.gap else ""
    return f"ended by {status.ended_by} after {status.duration_s:.1f} s, {status.output} bytes of output{gap}"


def _alive(mark: str) -> int:
    count = 0
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                count += mark.encode() in (entry / "cmdline").read_bytes()
    return count
