"""A real board of jobs in a real sandbox, without the wire."""

from __future__ import annotations

import base64
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from agent_wsl.config import JobSettings, SandboxSettings
from agent_wsl.envelope import ErrorCode
from agent_wsl.errors import Refusal
from agent_wsl.jobs.approvals import Approvals
from agent_wsl.jobs.board import JobBoard
from agent_wsl.protocol import GetJob, JobOutput, JobStatus, Run
from agent_wsl.sandbox.confine import Sandbox

MIB = 1 << 20
USER = "42"
SETTINGS = JobSettings(
    allowed=(("true",), ("bash",), ("python3",), ("sleep",), ("echo",)),
    at_once=3,
    queued=4,
    timeout_s=60.0,
    max_timeout_s=120.0,
    output=MIB,
    memory=256 * MIB,
    processes=64,
    cpu_s=60,
    file_size=128 * MIB,
    written=192 * MIB,
    free_disk=64 * MIB,
)


class Directories:
    """As `Roots` answers, for one root."""

    def __init__(self, root: Path) -> None:
        self.paths = (root,)

    def directory(self, path: str) -> str:
        real = os.path.realpath(self.paths[0] / path)
        if not Path(real).is_relative_to(self.paths[0]):
            raise Refusal(ErrorCode.DENIED, f"{path} is outside the allowed directories.")
        if not os.path.isdir(real):
            raise Refusal(ErrorCode.NOT_FOUND, f"{path} does not exist.")
        return real


class Bench:
    """The board with what a test asks of it in one word."""

    def __init__(self, board: JobBoard, root: Path) -> None:
        self.board = board
        self.root = root

    def start(self, *argv: str, user: str = USER, **options: Any) -> JobStatus:
        return self.board.run(user, Run(argv=argv, **options))

    def finished(self, job: JobStatus, wait_s: float = 40.0, user: str = USER) -> JobStatus:
        status = self.board.status(user, GetJob(job.job_id, wait_s))
        assert status.state == "done", f"{status} did not end"
        return status

    def run(self, *argv: str, **options: Any) -> JobStatus:
        return self.finished(self.start(*argv, **options))

    def output(self, job: JobStatus) -> bytes:
        """What is kept, gap left out."""
        offset, parts = 0, []
        while True:
            chunk = self.board.output(USER, JobOutput(job.job_id, offset, 20.0, 512 << 10))
            parts.append(base64.b64decode(chunk.data))
            offset = chunk.next_offset
            if chunk.done:
                return b"".join(parts)

    def works(self) -> bool:
        status = self.run("true")
        return (status.exit_code, status.ended_by) == (0, "exit")


@contextmanager
def bench(folder: Path, **settings: Any) -> Iterator[Bench]:
    root, state = folder / "root", folder / "state"
    root.mkdir(exist_ok=True)
    state.mkdir(exist_ok=True)
    chosen = replace(SETTINGS, **settings)
    sandbox = Sandbox((root,), SandboxSettings(network=False, read_only=(), environment={}), chosen)
    assert sandbox.state.works, sandbox.state.detail
    board = JobBoard(Directories(root), sandbox, Approvals(time.monotonic), chosen, state)
    try:
        yield Bench(board, root)
    finally:
        board.close()
        sandbox.close()


def processes_with(marker: str) -> list[str]:
    """Command lines on this machine that hold `marker`."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and entry.name != str(os.getpid()):
            try:
                line = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if marker.encode() in line:
                found.append(f"{entry.name}: {line!r}")
    return found
