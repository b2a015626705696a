"""One job: waits for its turn, runs in the sandbox, ends for a reason."""

from __future__ import annotations

import re
import signal
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from agent_wsl.envelope import ErrorCode
from agent_wsl.errors import Refusal
from agent_wsl.jobs.output import Output
from agent_wsl.jobs.process import ConfinedProcess, Ended
from agent_wsl.jobs.usage import Usage
from agent_wsl.protocol import JobStatus
from agent_wsl.sandbox.start import Started

GRACE_S = 2.0
"""Between SIGTERM and SIGKILL."""
NOT_EXECUTABLE = 126
NOT_FOUND = 127
BUFFER = 256 << 10
LONGEST_COMPLAINT = 70_000
EXEC_FAILED = re.compile(rb"bwrap: execvp [^\n]*: ([^:\n]+)\n\Z")


class Prepared(Protocol):
    def start(self, output: int, errors: int) -> Started:
        """Output goes to these descriptors. Raises OSError or ValueError."""

    def finish(self) -> tuple[str, ...]:
        """After the job's end: the new names of what was set aside, because others would have run it."""


class Preparer(Protocol):
    def prepare(self, argv: Sequence[str], cwd: str) -> AbstractContextManager[Prepared]: ...


@dataclass(frozen=True, slots=True)
class JobSpec:
    job_id: str
    user: str
    command: str
    """For people."""
    argv: tuple[str, ...]
    cwd: str
    timeout_s: float


class Job:
    """`carry_out` runs on a thread of its own; everything else may be called from any thread."""

    def __init__(
        self, spec: JobSpec, output: Output, clock: Callable[[], float], wall_clock: Callable[[], float]
    ) -> None:
        self.spec = spec
        self.output = output
        self._clock = clock
        self._wall_clock = wall_clock
        self._changed = threading.Condition()
        self._state = "queued"
        self._started_at = wall_clock()
        self._started = self._ended = clock()
        self._kill_at: float | None = None
        self._reason = ""
        self._exit_code: int | None = None
        self._cpu_s = 0.0
        self._peak_memory = 0
        self._refusal: Refusal | None = None
        self.process: ConfinedProcess | None = None

    @property
    def state(self) -> str:
        return self._state

    @property
    def ended(self) -> float:
        """On the clock, once it is done."""
        return self._ended

    @property
    def killed(self) -> bool:
        """It has been sent SIGKILL, and is ending or has ended."""
        return self._kill_at is not None and self._clock() >= self._kill_at

    def status(self) -> JobStatus:
        with self._changed:
            done = self._state == "done"
            duration = 0.0 if self._state == "queued" else (self._ended if done else self._clock()) - self._started
            name = _signal_name(self._exit_code)
            return JobStatus(
                job_id=self.spec.job_id,
                command=self.spec.command,
                cwd=self.spec.cwd,
                state=self._state,
                started=self._started_at,
                duration_s=duration,
                cpu_s=self._cpu_s,
                peak_memory=self._peak_memory,
                output=self.output.written,
                gap=self.output.gap,
                exit_code=self._exit_code,
                signal=name,
                ended_by=(self._reason or ("signal" if name else "exit")) if done else "",
            )

    def wait_until_started(self, wait_s: float) -> None:
        """Raises the Refusal when it could not be started at all."""
        with self._changed:
            self._changed.wait_for(lambda: self._state != "queued", wait_s)
            if self._refusal:
                raise self._refusal

    def wait_until_done(self, wait_s: float) -> JobStatus:
        with self._changed:
            self._changed.wait_for(lambda: self._state == "done", wait_s)
            return self.status()

    def carry_out(self, sandbox: Preparer, started: Callable[[Job], None]) -> None:
        try:
            with sandbox.prepare(self.spec.argv, self.spec.cwd) as prepared:
                process = ConfinedProcess(prepared.start)
        except Refusal as refusal:
            self.refuse(refusal)
            return
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "the command cannot be passed on"
            self.refuse(Refusal(ErrorCode.BUSY, f"The command could not be started ({reason}); try again later."))
            return
        with self._changed:
            self.process = process
            self._state = "running"
            self._started_at = self._wall_clock()
            self._started = self._clock()
            ending = bool(self._reason)
            self._changed.notify_all()
        if ending:
            process.kill()
        process.let_go()
        started(self)
        for data in process.read_until_end(bytearray(BUFFER)):
            self.output.append(data)
            if self.output.failure:
                self.end("disk")
        ended = process.wait()
        for name in prepared.finish():
            self.output.append(memoryview(f"\nThe agent moved a file that others would run to {name}.\n".encode()))
        self._finish(ended)

    def end(self, reason: str, grace_s: float = 0.0) -> None:
        """The first reason counts, the earliest SIGKILL too. Returns at once; a job that waits is done at once."""
        with self._changed:
            if self._state == "done":
                return
            self._reason = self._reason or reason
            kill_at = self._clock() + grace_s
            self._kill_at = min(kill_at, self._kill_at) if self._kill_at is not None else kill_at
            process = self.process
        if process is not None:
            if grace_s:
                process.terminate()
            else:
                process.kill()

    def cancel(self, reason: str) -> None:
        """Of one that waits."""
        with self._changed:
            self._reason = self._reason or reason
            self._conclude(None)

    def refuse(self, refusal: Refusal) -> None:
        """What waited has nobody left to be told, so its output says it."""
        self.output.append(memoryview(f"{refusal.message}\n".encode()))
        with self._changed:
            self._refusal = refusal
            self._conclude(NOT_EXECUTABLE)

    def tick(self, now: float) -> None:
        """Ends it when its time is over."""
        with self._changed:
            running = self._state == "running"
            over = running and not self._reason and now - self._started >= self.spec.timeout_s
            kill = running and self._kill_at is not None and now >= self._kill_at
        if over:
            self.end("timeout", GRACE_S)
        elif kill and self.process is not None:
            self.process.kill()

    def saw(self, usage: Usage) -> None:
        with self._changed:
            self._cpu_s = max(self._cpu_s, usage.cpu_s)
            self._peak_memory = max(self._peak_memory, usage.largest)

    def _finish(self, ended: Ended) -> None:
        code = ended.exit_code if ended.executed else _code_of_failed_start(ended.exit_code, self.output)
        with self._changed:
            self._cpu_s = max(self._cpu_s, ended.cpu_s)
            self._peak_memory = max(self._peak_memory, ended.peak_memory)
            self._conclude(code)

    def _conclude(self, code: int | None) -> None:
        if self._state == "queued":
            self._started = self._clock()
        self._state, self._exit_code, self._ended = "done", code, self._clock()
        self.output.finish()
        self._changed.notify_all()


def _code_of_failed_start(code: int, output: Output) -> int:
    """bubblewrap says 1 for all that goes wrong before the command is there."""
    if code != 1:
        return code
    end = output.read(max(0, output.written - LONGEST_COMPLAINT), LONGEST_COMPLAINT, 0).data
    found = EXEC_FAILED.search(end)
    return NOT_FOUND if found and found[1].startswith(b"No such file") else NOT_EXECUTABLE


def _signal_name(code: int | None) -> str:
    if code is None or code <= 128:
        return ""
    try:
        return signal.Signals(code - 128).name
    except ValueError:
        return ""
