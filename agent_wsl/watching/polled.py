"""Targets on file systems that report nothing, or not everything: looked at again and again, by one thread."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from agent_wsl.watching.directory import DirectoryTarget
from agent_wsl.watching.logfile import LogTarget
from agent_wsl.watching.notified import Host, Target
from agent_wsl.worker import spawn

log = logging.getLogger(__name__)

LOG_S = 0.5
"""Between two looks at a log file: that is but one file."""
REST = 4
"""A directory is left alone so many times longer than a look at it takes."""
REMOVE_S = 2.0
READ_AT_ONCE = 200
SETTLED_S = 0.05
"""A file changed later than that may change again without its time showing it."""


class Polled:
    def __init__(
        self,
        host: Host,
        poll_s: float,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._host = host
        self._poll_s = poll_s
        self._clock = clock
        self._wall = wall
        self._next: dict[Target, float] = {}
        """When to look at each again. Only replaced, never changed, so that nobody waits for a slow file system."""
        self._news = threading.Condition()
        self._looking_at: Target | None = None
        self._closing = False
        self._thread: threading.Thread | None = None

    def add(self, target: Target) -> None:
        """Raises Refusal."""
        if isinstance(target, LogTarget):
            target.start(_nowhere)
        else:
            target.learn(_nowhere)
        self.adopt(target)

    def adopt(self, target: Target) -> None:
        """One that was watched otherwise so far: compared with what is there at once."""
        if isinstance(target, LogTarget):
            target.most_wait_s = min(self._poll_s, LOG_S)
        target.verify_now(self._clock())
        with self._news:
            self._next = {**self._next, target: self._clock()}
            if self._thread is None:
                self._thread = spawn("watch-polling", self._run)
            self._news.notify()

    def remove(self, target: Target) -> None:
        """Waits for the look that is going on, within reason: another thread may be about to take the target over."""
        with self._news:
            self._next = {known: at for known, at in self._next.items() if known is not target}
            self._news.wait_for(lambda: self._looking_at is not target, REMOVE_S)

    def close(self, timeout_s: float) -> None:
        self._closing = True
        with self._news:
            self._news.notify()
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._closing:
            for target, at in self._next.items():
                if self._closing:
                    return
                self._looking_at = target
                try:
                    self._look(target, at)
                except Exception:
                    log.exception("Watching stumbled over a directory and goes on.")
                with self._news:
                    self._looking_at = None
                    self._news.notify_all()
            with self._news:
                deadline = min((min(at, t.deadline()) for t, at in self._next.items()), default=None)
                wait = None if deadline is None else max(0.005, deadline - self._clock())
                if not self._closing:
                    self._news.wait(wait)

    def _look(self, target: Target, at: float) -> None:
        now = self._clock()
        if isinstance(target, DirectoryTarget) and now >= at:
            target.stale = True
        changes = target.step(now, _nowhere)
        if now >= at:
            if isinstance(target, DirectoryTarget):
                self._read_some(target)
            self._again(target, now)
        if changes and target in self._next:
            self._host.report(target, changes)

    def _read_some(self, target: DirectoryTarget) -> None:
        latest = (self._wall() - SETTLED_S) * 1e9
        states = target.baseline.read(READ_AT_ONCE)
        target.baseline.believe([(path, state) for path, state in states if state.modified_ns < latest])

    def _again(self, target: Target, began: float) -> None:
        now = self._clock()
        with self._news:
            if target in self._next:
                self._next = {**self._next, target: now + max(self._poll_s, REST * (now - began))}


def _nowhere(directory: str, descriptor: int) -> None:
    """Nothing to place."""
