"""Targets on file systems where the kernel reports changes: one thread, one inotify instance, no sleeping."""

from __future__ import annotations

import logging
import os
import select
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from agent_wsl.protocol import Change
from agent_wsl.watching import inotify
from agent_wsl.watching.directory import DirectoryTarget
from agent_wsl.watching.inotify import Event, Exhausted, Inotify
from agent_wsl.watching.logfile import LogTarget
from agent_wsl.watching.placement import Placement
from agent_wsl.worker import spawn

log = logging.getLogger(__name__)

Target = DirectoryTarget | LogTarget

MOUNTS = "/proc/self/mountinfo"
READ_AT_ONCE = 32
"""Files whose content is looked at, when there is nothing else to do, before events are read again."""
READS_AT_ONCE = 64
"""Buffers of events, before what is at rest is reported."""
MOST_HALF_MOVES = 1024


class Host(Protocol):
    """What the threads tell. Called without any lock held."""

    def report(self, target: Target, changes: list[Change]) -> None: ...

    def exhausted(self, target: Target, reason: str) -> None:
        """The kernel gives no more watches: the target needs another method."""

    def mounts_changed(self) -> None: ...


class Notified:
    def __init__(self, host: Host, clock: Callable[[], float] = time.monotonic) -> None:
        self._host = host
        self._clock = clock
        self._lock = threading.RLock()
        """Of all below, and of the targets."""
        self._placement: Placement[Target] = Placement()
        self._half_moves: dict[tuple[int, Target], str] = {}
        self._failed: dict[Target, str] = {}
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._closing = False
        self._thread: threading.Thread | None = None

    def add(self, target: Target) -> None:
        """Raises Exhausted or Refusal, with nothing left behind."""
        with self._lock:
            self._start()
            self._placement.enter(target)
            try:
                if isinstance(target, LogTarget):
                    target.start(self._placement.placer(target))
                else:
                    target.learn(self._placement.placer(target))
            except BaseException:
                self.remove(target)
                raise
        os.eventfd_write(self._wake, 1)

    def adopt(self, target: Target) -> None:
        """One that was polled so far: compared with what is there at once. Raises Exhausted."""
        with self._lock:
            self._start()
            self._placement.enter(target)
            if isinstance(target, DirectoryTarget):
                target.stale = True
            target.verify_now(self._clock())
        os.eventfd_write(self._wake, 1)

    def _start(self) -> None:
        if self._placement.kernel is not None:
            return
        kernel = Inotify()
        try:
            self._thread = spawn("watch-inotify", self._run, kernel)
        except RuntimeError:
            kernel.close()
            raise
        self._placement.kernel = kernel

    def remove(self, target: Target) -> None:
        with self._lock:
            self._placement.drop(target)

    def close(self, timeout_s: float) -> None:
        self._closing = True
        os.eventfd_write(self._wake, 1)
        if self._thread is not None:
            self._thread.join(timeout_s)
        if self._thread is None or not self._thread.is_alive():
            os.close(self._wake)

    def _run(self, kernel: Inotify) -> None:
        poller = select.poll()
        poller.register(kernel.fileno(), select.POLLIN)
        poller.register(self._wake, select.POLLIN)
        with open(MOUNTS, "rb") as mounts:
            poller.register(mounts.fileno(), select.POLLERR | select.POLLPRI)
            while not self._closing:
                try:
                    self._once(kernel, poller, mounts.fileno())
                except Exception:
                    log.exception("Watching stumbled over an event and goes on.")
                    poller.poll(100)
        kernel.close()

    def _once(self, kernel: Inotify, poller: select.poll, mounts: int) -> None:
        ready = dict(poller.poll(self._timeout_ms()))
        if self._wake in ready:
            with suppress(BlockingIOError):
                os.eventfd_read(self._wake)
        with self._lock:
            reports = self._step(kernel)
            failed, self._failed = self._failed, {}
        for target, changes in reports:
            self._host.report(target, changes)
        for target, reason in failed.items():
            self._host.exhausted(target, reason)
        if ready.get(mounts, 0) & (select.POLLERR | select.POLLPRI):
            self._host.mounts_changed()

    def _timeout_ms(self) -> float | None:
        with self._lock:
            targets = self._placement.targets
            if any(isinstance(t, DirectoryTarget) and t.baseline for t in targets):
                return 0
            deadline = min((t.deadline() for t in targets), default=None)
        # Rounded up: a millisecond too early would be a busy loop.
        return None if deadline is None else max(0, int((deadline - self._clock()) * 1000) + 1)

    def _step(self, kernel: Inotify) -> list[tuple[Target, list[Change]]]:
        self._read(kernel)
        reports: list[tuple[Target, list[Change]]] = []
        for target in self._placement.targets:
            if target in self._failed:
                continue
            now = self._clock()
            try:
                changes = target.step(now, self._placement.placer(target))
            except Exhausted as error:
                self._failed[target] = str(error)
                continue
            if changes:
                reports.append((target, changes))
        self._read_files(kernel)
        return reports

    def _read_files(self, kernel: Inotify) -> None:
        """Events are read between the look at a file and its being believed: what changed meanwhile is not lost."""
        for target in self._placement.targets:
            if isinstance(target, DirectoryTarget) and target.baseline:
                states = target.baseline.read(READ_AT_ONCE)
                self._read(kernel)
                target.baseline.believe(states)
                return

    def _read(self, kernel: Inotify) -> None:
        for _ in range(READS_AT_ONCE):
            events = kernel.read()
            if not events:
                return
            now = self._clock()
            for event in events:
                self._dispatch(event, now)

    def _dispatch(self, event: Event, now: float) -> None:
        if event.mask & inotify.OVERFLOW:
            self._overflow(now)
        for target, directory in self._placement.served_by(event.watch):
            if event.mask & inotify.OF_ITSELF:
                if directory == target.path or isinstance(target, LogTarget):
                    target.verify_now(now)
                if event.mask & inotify.IGNORED:
                    self._placement.leave(target, directory)
            elif isinstance(target, LogTarget):
                target.event(event.name, now, created=bool(event.mask & inotify.CREATE))
            elif event.name:
                try:
                    self._entry(target, os.path.join(directory, event.name), event, now)
                except Exhausted as error:
                    self._failed[target] = str(error)

    def _overflow(self, now: float) -> None:
        log.warning("The kernel's queue of changes ran over; what is watched is compared anew.")
        self._half_moves.clear()
        for target in self._placement.targets:
            target.verify_now(now)
            if isinstance(target, DirectoryTarget):
                target.lost = True

    def _entry(self, target: DirectoryTarget, path: str, event: Event, now: float) -> None:
        is_directory = bool(event.mask & inotify.IS_DIRECTORY)
        moved_from = ""
        if event.mask & inotify.MOVED_TO:
            moved_from = self._half_moves.pop((event.cookie, target), "")
        if target.tree.ignored(path, is_directory):
            return
        target.touch(path, now, moved_from)
        if event.mask & inotify.MOVED_FROM:
            if len(self._half_moves) >= MOST_HALF_MOVES:
                self._half_moves.clear()
            self._half_moves[event.cookie, target] = path
            if is_directory:
                # The kernel goes on watching it wherever it goes; when it stays inside, its new name is scanned.
                self._placement.leave_below(target, path)
        elif is_directory and event.mask & (inotify.CREATE | inotify.MOVED_TO):
            target.scan(path, now, self._placement.placer(target))
