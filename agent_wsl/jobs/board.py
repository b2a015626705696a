"""The board of jobs: who may run what, what runs, what waits, what is kept of the ended ones."""

from __future__ import annotations

import base64
import logging
import os
import secrets
import shlex
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from agent_wsl.config import JobSettings
from agent_wsl.envelope import ErrorCode
from agent_wsl.errors import Refusal
from agent_wsl.jobs.approvals import Approvals, Command, is_allowed
from agent_wsl.jobs.job import GRACE_S, Job, JobSpec, Preparer
from agent_wsl.jobs.output import Output
from agent_wsl.jobs.process import adopt_orphans
from agent_wsl.jobs.supervise import Supervisor, has_room
from agent_wsl.protocol import GetJob, JobKill, JobList, JobOutput, JobStatus, OutputChunk, Run, SandboxState
from agent_wsl.worker import spawn

KEPT = 50
"""Ended jobs."""
KEPT_S = 3600.0
START_S = 10.0
"""How long `run` waits for a start, so that what fails there is the answer of the call."""
STOP_S = 3.5
STOP_GRACE_S = 1.0
KILL_WAIT_S = 0.25
"""Most commands are gone by then, so the answer of job_kill says so."""
LONGEST_ARGUMENT = (128 << 10) - 1
"""Bytes; Linux's own limit."""
SHELLS = ("/bin/bash", "/usr/bin/bash", "/bin/sh")
log = logging.getLogger(__name__)


class Roots(Protocol):
    @property
    def paths(self) -> tuple[Path, ...]: ...
    def directory(self, path: str) -> str:
        """The real path. Raises Refusal(DENIED, NOT_FOUND, WRONG_TYPE)."""


class Sandbox(Preparer, Protocol):
    @property
    def state(self) -> SandboxState: ...


class JobBoard:
    def __init__(
        self,
        roots: Roots,
        sandbox: Sandbox,
        approvals: Approvals,
        settings: JobSettings,
        state: Path,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._roots = roots
        self._state = state
        self._sandbox = sandbox
        self._approvals = approvals
        self._settings = settings
        self._clock = clock
        self._wall_clock = wall_clock
        self._jobs: dict[str, Job] = {}
        self._waiting: list[Job] = []
        self._running: set[Job] = set()
        self._stopping = False
        self._changed = threading.Condition()
        self._shell = next((shell for shell in SHELLS if os.path.exists(shell)), SHELLS[-1])
        adopt_orphans()
        # Output is kept in `state`: it must not take the room that the audit log needs, without which nothing is run.
        self._places = (*roots.paths, state)
        self._supervisor = Supervisor(settings, self._places, self._tidy, clock)

    def run(self, user: str, call: Run) -> JobStatus:
        command = command_of(call)
        timeout_s = timeout_of(call, self._settings)
        if not self._sandbox.state.works:
            raise Refusal(ErrorCode.SANDBOX_UNAVAILABLE, self._sandbox.state.detail)
        cwd = self._roots.directory(call.cwd)
        with self._changed:
            self._expect_room()
            self._expect_approval(user, command, cwd, call.approval)
            job = self._new(user, command, cwd, timeout_s)
            self._jobs[job.spec.job_id] = job
            self._waiting.append(job)
            self._start_next(job)
            starts = job in self._running
        if starts:
            try:
                job.wait_until_started(START_S)
            except Refusal:
                self._forget(job)
                raise
        return job.status()

    def status(self, user: str, call: GetJob) -> JobStatus:
        return self._job(user, call.job_id).wait_until_done(call.wait_s)

    def output(self, user: str, call: JobOutput) -> OutputChunk:
        job = self._job(user, call.job_id)
        piece = job.output.read(call.offset, call.limit, call.wait_s)
        if job.output.closed:
            raise _no_job()
        data = base64.b64encode(piece.data).decode("ascii")
        return OutputChunk(piece.offset, data, piece.next_offset, piece.skipped, piece.done)

    def kill(self, user: str, call: JobKill) -> JobStatus:
        job = self._job(user, call.job_id)
        with self._changed:
            waited = job in self._waiting
            if waited:
                self._waiting.remove(job)
        if waited:
            job.cancel("killed")
            return job.status()
        job.end("killed", GRACE_S)
        return job.wait_until_done(KILL_WAIT_S)

    def jobs(self, user: str) -> JobList:
        self._tidy()
        with self._changed:
            own = [job for job in self._jobs.values() if job.spec.user == user]
        return JobList(tuple(job.status() for job in reversed(own)))

    def close(self) -> None:
        """Ends everything; returns within four seconds."""
        with self._changed:
            self._stopping = True
            waiting, self._waiting = self._waiting, []
            running = list(self._running)
        for job in waiting:
            job.cancel("stopping")
        for job in running:
            job.end("stopping", STOP_GRACE_S)
        with self._changed:
            if not self._changed.wait_for(lambda: not self._running, STOP_S):
                log.warning("%d jobs did not end in time", len(self._running))
        self._supervisor.close()

    def _expect_room(self) -> None:
        if self._stopping:
            raise Refusal(ErrorCode.STOPPING, "The agent is being stopped.")
        if len(self._running) >= self._settings.at_once and len(self._waiting) >= self._settings.queued:
            raise Refusal(
                ErrorCode.BUSY,
                f"{len(self._running)} commands run and {len(self._waiting)} wait, which is as many as may; "
                "wait for one to end, or end one.",
                retry_after_s=5,
            )
        if not has_room(self._places, self._settings.free_disk):
            free = self._settings.free_disk >> 20
            message = f"Less than {free} MiB are free where the allowed directories or AGENT_STATE_DIR lie; make room."
            raise Refusal(ErrorCode.DISK_FULL, message)

    def _expect_approval(self, user: str, command: Command, cwd: str, token: str | None) -> None:
        if is_allowed(command, self._settings.allowed):
            return
        if token is not None:
            self._approvals.redeem(token, user, command, cwd)
            return
        text = command.text if len(command.text) <= 200 else f"{command.text[:200]}..."
        raise Refusal(
            ErrorCode.APPROVAL_NEEDED,
            f"Running `{text}` in {cwd} needs a yes.",
            approval=self._approvals.issue(user, command, cwd),
        )

    def _new(self, user: str, command: Command, cwd: str, timeout_s: float) -> Job:
        argv = shell_argv(self._shell, command.words[0]) if command.shell else command.words
        job_id = secrets.token_hex(8)
        text = shlex.join(argv) if command.shell else command.text
        spec = JobSpec(job_id, user, text, argv, cwd, timeout_s)
        return Job(spec, Output(self._state, self._settings.output), self._clock, self._wall_clock)

    def _start_next(self, new: Job | None = None) -> None:
        """Whoever has the least running comes next; of the same, who came first. Under the lock."""
        while self._waiting and len(self._running) < self._settings.at_once and not self._stopping:
            busy = Counter(job.spec.user for job in self._running)
            job = min(self._waiting, key=lambda job: busy[job.spec.user])
            self._waiting.remove(job)
            self._running.add(job)
            spawn(f"job-{job.spec.job_id}", self._carry_out, job, job is not new)

    def _carry_out(self, job: Job, waited: bool) -> None:
        try:
            if waited:
                expect_same_directory(self._roots, job.spec.cwd)
            job.carry_out(self._sandbox, self._supervisor.add)
        except Refusal as refusal:
            job.refuse(refusal)
        except Exception:
            log.exception("A defect in job %s", job.spec.job_id)
            if job.process is not None:
                job.process.kill()
            job.refuse(Refusal(ErrorCode.INTERNAL, "The agent has a defect here; its log has the details."))
        with self._changed:
            self._running.discard(job)
            self._start_next()
            self._changed.notify_all()
        self._tidy()

    def _job(self, user: str, job_id: str) -> Job:
        self._tidy()
        with self._changed:
            job = self._jobs.get(job_id)
        if job is None or job.spec.user != user:
            raise _no_job()
        return job

    def _forget(self, job: Job) -> None:
        with self._changed:
            self._jobs.pop(job.spec.job_id, None)
        job.output.close()

    def _tidy(self) -> None:
        """Frees what is kept of the oldest jobs and of those that ended long ago."""
        with self._changed:
            done = [job for job in self._jobs.values() if job.state == "done"]
            done.sort(key=lambda job: job.ended)
            now = self._clock()
            old = [job for job in done if now - job.ended > KEPT_S]
            done = done[len(old) :]
            users = Counter(job.spec.user for job in done)
            while len(done) > KEPT:
                # Of whoever has the most, so that nobody pushes out what another one has not read yet.
                most = users.most_common(1)[0][0]
                users[most] -= 1
                old.append(next(job for job in done if job.spec.user == most))
                done.remove(old[-1])
        for job in old:
            self._forget(job)


def command_of(call: Run) -> Command:
    """Raises Refusal(BAD_REQUEST) for what no program could be given."""
    if (call.argv is None) == (call.shell is None):
        raise Refusal(ErrorCode.BAD_REQUEST, "Give either argv or shell, one of the two.")
    command = Command((call.shell,), True) if call.shell is not None else Command(call.argv or ())
    for word in command.words:
        try:
            size = len(os.fsencode(word))
        except UnicodeEncodeError:
            raise Refusal(ErrorCode.BAD_REQUEST, "The command holds half a character, which has no bytes.") from None
        if "\0" in word:
            message = "The command holds a NUL character, which no program can be given."
            raise Refusal(ErrorCode.BAD_REQUEST, message)
        if size > LONGEST_ARGUMENT:
            message = f"One argument has {size} bytes; Linux takes at most {LONGEST_ARGUMENT}."
            raise Refusal(ErrorCode.BAD_REQUEST, message)
    return command


def timeout_of(call: Run, settings: JobSettings) -> float:
    if call.timeout_s is None:
        return settings.timeout_s
    if call.timeout_s > settings.max_timeout_s:
        message = f"A command may run for at most {settings.max_timeout_s:g} s here; ask for less."
        raise Refusal(ErrorCode.BAD_REQUEST, message)
    return call.timeout_s


def shell_argv(shell: str, line: str) -> tuple[str, ...]:
    # A line that begins like an option would be taken for one.
    return (shell, "-c", f" {line}" if line[:1] in "-+" else line)


def expect_same_directory(roots: Roots, cwd: str) -> None:
    """A yes was for this directory, and not for where a link in its place leads by now."""
    if roots.directory(cwd) != cwd:
        raise Refusal(ErrorCode.DENIED, "The working directory is another one by now; run the command again.")


def _no_job() -> Refusal:
    return Refusal(ErrorCode.NOT_FOUND, "There is no such job of this user; it may have ended more than an hour ago.")
