"""What is watched, by which method and why; the changes of all watches go into one history."""

from __future__ import annotations

import logging
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import replace
from functools import partial

from agent_wsl.config import WatchSettings
from agent_wsl.envelope import ErrorCode
from agent_wsl.errors import Refusal
from agent_wsl.protocol import Change, ChangeList, Changes, Done, Watch, WatchList
from agent_wsl.watching import mounts
from agent_wsl.watching.changes import History
from agent_wsl.watching.directory import DirectoryTarget
from agent_wsl.watching.inotify import Exhausted
from agent_wsl.watching.logfile import LogTarget
from agent_wsl.watching.mounts import Method
from agent_wsl.watching.notified import MOUNTS, Notified, Target
from agent_wsl.watching.polled import Polled
from agent_wsl.watching.rules import Rules
from agent_wsl.watching.tree import Confined, Tree

log = logging.getLogger(__name__)

MOST_WATCHES = 64
CLOSE_S = 0.9
"""For each of the two threads."""


class Watcher:
    """Thread-safe. The two threads begin with the first watch that needs them."""

    def __init__(
        self,
        roots: Confined,
        settings: WatchSettings,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """Watches nothing yet: what `settings.paths` names is added by whoever reads the reasons for a refusal."""
        self._roots = roots
        self._wall = wall
        self._history = History(settings.history, secrets.token_hex(6), clock)
        self._notified = Notified(self, clock)
        self._polled = Polled(self, settings.poll_s, clock, wall)
        self._lock = threading.Lock()
        """Of adding, removing and changing methods. The threads only read `_watches`, which is never changed."""
        self._watches: dict[Target, Watch] = {}
        self._closed = False

    def add(self, path: str) -> Watch:
        """A directory or a log file; twice is once. Refusal: DENIED, NOT_FOUND, WRONG_TYPE, UNREADABLE, BUSY."""
        with closing(self._roots.open(path)) as opened:
            absolute, root = opened.path, opened.root
            directory = os.path.isdir(f"/proc/self/fd/{opened.fd}")
        method = self._method(absolute)
        with self._lock:
            for known in self._watches.values():
                if known.path == absolute:
                    return known
            self._check_room()
            target: Target = LogTarget(absolute, self._roots, self._wall)
            if directory:
                rules = Rules(absolute, os.fspath(self._roots.paths[root]))
                target = DirectoryTarget(Tree(absolute, self._roots, rules.ignored), rules, self._wall)
            watch = Watch(absolute, "directory" if directory else "log", method.name, method.reason)
            # Entered before it begins, because what it reports before it is entered would be dropped.
            self._watches = {**self._watches, target: watch}
        try:
            method = self._start(target, method)
        except BaseException:
            with self._lock:
                self._drop(target)
            raise
        with self._lock:
            if target not in self._watches:
                self._drop(target)
                return watch
            watch = replace(watch, method=method.name, reason=method.reason)
            self._watches = {**self._watches, target: watch}
            return watch

    def _check_room(self) -> None:
        if self._closed:
            raise Refusal(ErrorCode.STOPPING, "The agent is stopping.")
        if len(self._watches) >= MOST_WATCHES:
            raise Refusal(ErrorCode.BUSY, f"{MOST_WATCHES} paths are watched already; remove one first.")

    def _drop(self, target: Target) -> None:
        self._watches = {known: watch for known, watch in self._watches.items() if known is not target}
        self._notified.remove(target)
        self._polled.remove(target)

    def remove(self, path: str) -> Done:
        """Refusal: NOT_FOUND when it is not watched."""
        with self._lock:
            names = {path, _name(self._roots, path)}
            found = next((target for target, watch in self._watches.items() if watch.path in names), None)
            if found is None:
                raise Refusal(ErrorCode.NOT_FOUND, "This path is not watched; the call `watches` lists those that are.")
            self._drop(found)
        return Done()

    def watches(self) -> WatchList:
        return WatchList(tuple(sorted(self._watches.values(), key=lambda watch: watch.path)))

    def changes(self, call: Changes) -> ChangeList:
        """Long poll. Refusal: BAD_REQUEST for what is no cursor."""
        return self._history.read(call)

    def close(self) -> None:
        """Ends the threads, within two seconds, and whoever waits for changes."""
        if self._closed:
            return
        self._closed = True
        self._history.close()
        self._notified.close(CLOSE_S)
        self._polled.close(CLOSE_S)

    def report(self, target: Target, changes: list[Change]) -> None:
        """From the threads."""
        if target in self._watches:
            self._history.publish([change for change in changes if _speaks(target, change, self._watches)])

    def exhausted(self, target: Target, reason: str) -> None:
        """From the inotify thread."""
        log.warning("%s: directories are polled from now on.", reason)
        with self._lock:
            if target in self._watches:
                self._switch(target, Method("polling", reason))

    def mounts_changed(self) -> None:
        """From the inotify thread."""
        with self._lock:
            for target, watch in list(self._watches.items()):
                method = self._method(watch.path)
                if (method.name, method.reason) != (watch.method, watch.reason) and "exhausted" not in watch.reason:
                    self._switch(target, method)

    def _switch(self, target: Target, method: Method) -> None:
        """Nothing is lost: the new method begins with a comparison."""
        self._notified.remove(target)
        self._polled.remove(target)
        try:
            if method.name == "inotify":
                self._notified.adopt(target)
            else:
                self._polled.adopt(target)
        except Exhausted as error:
            method = Method("polling", str(error))
            self._polled.adopt(target)
        watch = replace(self._watches[target], method=method.name, reason=method.reason)
        self._watches = {**self._watches, target: watch}

    def _start(self, target: Target, method: Method) -> Method:
        if method.name == "inotify":
            try:
                self._notified.add(target)
                return method
            except Exhausted as error:
                log.warning("%s: a directory is polled instead.", error)
                method = Method("polling", str(error))
        self._polled.add(target)
        return method

    def _method(self, path: str) -> Method:
        with open(MOUNTS, "rb") as file:
            table = mounts.parse(os.fsdecode(file.read()))
        return mounts.method(table, path, partial(_reachable, self._roots))


def _reachable(roots: Confined, point: str) -> bool:
    try:
        roots.open(point).close()
    except Refusal:
        return False
    return True


def _name(roots: Confined, path: str) -> str:
    """Of what may be gone by now: as it was asked for, absolute."""
    try:
        with closing(roots.open(path)) as opened:
            return opened.path
    except Refusal:
        return os.path.normpath(os.path.join(roots.paths[0], path))


def _speaks(target: Target, change: Change, targets: Iterable[Target]) -> bool:
    """Of several watches that see a path, a log speaks first, then the outermost directory."""
    if isinstance(target, LogTarget):
        return True
    for other in targets:
        if isinstance(other, LogTarget):
            if change.path == other.path:
                return False
        elif (
            other is not target
            and mounts.within(target.path, other.path)
            and change.path != other.path
            and not (other.gone or other.tree.ignored(change.path, False))
        ):
            return False
    return True
