"""Ends jobs that take too long or too much. One thread for all of them; it sleeps while there are none."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent_wsl.config import JobSettings
from agent_wsl.jobs import usage
from agent_wsl.jobs.job import Job
from agent_wsl.jobs.usage import Machine, Usage
from agent_wsl.worker import spawn

TICK_S = 0.05
IDLE_S = 60.0
SPARE_MEMORY = 0.03
"""Part of the machine's memory that jobs leave to others."""
SPARE_INODES = 1000
log = logging.getLogger(__name__)


@dataclass(slots=True)
class Record:
    """What is remembered of a job between two looks."""

    job: Job
    shared_before: int
    """Shared memory of the whole machine when it began."""
    written_seen: int = 0
    written_gone: int = 0
    memory: int = 0
    next_measure: float = 0.0

    def written(self, now: int) -> int:
        """Bytes in all, those of processes that nobody waited for included: their share is missing from one look on."""
        self.written_gone += max(0, self.written_seen - now)
        self.written_seen = now
        return now + self.written_gone


def verdict(settings: JobSettings, seen: Usage, memory: int, written: int) -> str:
    """The limit that is passed, as `JobStatus.ended_by` names it; empty for none."""
    if seen.threads > settings.processes:
        return "processes"
    if memory > settings.memory:
        return "memory"
    if written > settings.written:
        return "disk"
    return ""


def has_room(places: Sequence[Path], free: int) -> bool:
    """Whether each file system still has `free` bytes, and inodes."""
    for place in places:
        try:
            found = os.statvfs(place)
        except OSError:
            continue
        if found.f_bavail * found.f_frsize < free or (found.f_files and found.f_favail < SPARE_INODES):
            return False
    return True


def _outrun_fork_bombs() -> None:
    """For root, whose processes the kernel does not count: thousands that want to run must not keep this thread from
    ending them. A normal user may not do this, and there the kernel keeps the number down."""
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(1))


class Supervisor:
    def __init__(
        self,
        settings: JobSettings,
        places: Sequence[Path],
        housekeeping: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`places` must keep `settings.free_disk`; `housekeeping` is called now and then."""
        self._settings = settings
        self._places = places
        self._housekeeping = housekeeping
        self._clock = clock
        self._changed = threading.Condition()
        self._records: dict[Job, Record] = {}
        self._closed = False
        self._thread = spawn("jobs-supervisor", self._run)

    def add(self, job: Job) -> None:
        """When it has begun. Cheap: the first look comes a moment later, when most commands have ended."""
        record = Record(job, usage.machine().shared)
        with self._changed:
            self._records[job] = record
            self._changed.notify()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(1.0)

    def _run(self) -> None:
        _outrun_fork_bombs()
        tidied = self._clock()
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._records, IDLE_S)
                self._changed.wait_for(lambda: self._closed, TICK_S if self._records else 0)
                if self._closed:
                    return
                self._records = {job: record for job, record in self._records.items() if job.state != "done"}
                records = list(self._records.values())
            before = self._clock()
            try:
                self._look(records, before)
            except Exception:
                log.exception("A defect in the look at the running jobs")
            if before - tidied >= IDLE_S:
                tidied = before
                self._housekeeping()

    def _look(self, records: list[Record], now: float) -> None:
        if not records:
            return
        machine = usage.machine()
        for record in records:
            record.job.tick(now)
            if not record.job.killed:
                self._judge(record, machine, self._clock())
        if machine.available < machine.memory * SPARE_MEMORY:
            max(records, key=lambda record: record.memory).job.end("memory")
        if not has_room(self._places, self._settings.free_disk):
            for record in records:
                record.job.end("disk")

    def _judge(self, record: Record, machine: Machine, now: float) -> None:
        if record.job.process is None:
            return
        grown = max(0, machine.shared - record.shared_before)

        def look(procfs: int) -> str:
            names = usage.pids(procfs)
            if len(names) > self._settings.processes:
                return "processes"
            if now < record.next_measure:
                return ""
            seen = usage.measure(procfs, names)
            # At most a tenth of one core, however many processes there are to look at.
            record.next_measure = now + 10 * (self._clock() - now)
            record.job.saw(seen)
            # Costly, and not a job's own: asked for only when the machine's has grown while the job ran.
            shared = min(grown, usage.shared_memory(procfs, names)) if grown > self._settings.memory // 4 else 0
            record.memory = seen.memory + shared
            return verdict(self._settings, seen, record.memory, record.written(seen.written))

        if reason := record.job.process.inspect(look):
            record.job.end(reason)
