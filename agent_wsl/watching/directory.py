"""One watched directory: events and scans come in, changes come out. It does not care where events come from."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import replace

from agent_wsl.envelope import ErrorCode
from agent_wsl.errors import Refusal
from agent_wsl.protocol import Change
from agent_wsl.watching.baseline import Baseline
from agent_wsl.watching.debounce import Burst, Debounce, Difference, State, differences
from agent_wsl.watching.rules import Rules
from agent_wsl.watching.tree import MOST_ENTRIES, Later, Place, Tree, Unknown, untouched

log = logging.getLogger(__name__)

AT_ONCE = 256
"""Paths looked at before the next events are read, so that the kernel's queue does not run over."""
VERIFY_S = 2.0
"""Between two looks whether the directory is still the one that was watched: its parents are not watched."""
RETRY_S = 0.25
"""The first of the looks for a directory that went away; each is twice as late as the one before."""


class DirectoryTarget:
    """Not thread-safe: whoever drives it holds a lock."""

    def __init__(self, tree: Tree, rules: Rules, wall: Callable[[], float]) -> None:
        self.path = tree.path
        self.tree = tree
        self.gone = False
        self.stale = False
        """To be compared with what is there at the next opportunity: events were lost, or it is back."""
        self.rules_changed = False
        """A .gitignore changed: what counts is to be found out anew."""
        self.lost = False
        """Events were lost; the next scan says so."""
        self._rules = rules
        self._wall = wall
        self._debounce = Debounce()
        self.baseline = Baseline(tree, self._debounce.pending)
        self._identity: tuple[int, int] | None = None
        """Of the directory; found out by `learn`."""
        self._verify = 0.0
        self._retry = RETRY_S
        self._full = False

    def learn(self, place: Place) -> None:
        """What is there at the beginning, of which nothing is reported. Raises Refusal(BUSY) for too much."""
        try:
            self._identity = self.tree.identity()
        except Later:
            raise Refusal(ErrorCode.BUSY, "Too many files are open: try again in a moment.", retry_after_s=5) from None
        for path, state in self.tree.walk(self.path, place):
            if state is not None:
                self._adopt(path, state)
            if len(self.tree) > MOST_ENTRIES:
                message = f"{self.path} holds more than {MOST_ENTRIES} files; watch a directory further down."
                raise Refusal(ErrorCode.BUSY, message)

    def touch(self, path: str, now: float, moved_from: str = "") -> None:
        if self._room(path):
            self._debounce.touch(path, now, moved_from=moved_from)
        if os.path.basename(path) == ".gitignore":
            self._rules.refresh()

    def scan(self, top: str, now: float, place: Place) -> None:
        """Touches what differs from what is known. Of a directory that is not known yet: everything."""
        if top == self.path:
            self.stale = False
        seen: set[str] = set()
        hidden: list[str] = []
        for path, state in self.tree.walk(top, place):
            if state is None:
                hidden.append(path + "/")
                continue
            seen.add(path)
            known = self.tree.get(path)
            if known is None and self._rules.was_ignored(path, state.directory) and self._room(path):
                self._adopt(path, state)
            elif known is None or not untouched(known, state):
                self.touch(path, now)
        self.stale |= self.tree.incomplete
        for path, state in list(self.tree.below(top)):
            if path in seen or path.startswith(tuple(hidden)):
                continue
            if self.tree.ignored(path, state.directory):
                self.tree.forget(path)
            else:
                self.touch(path, now)

    def _due(self, now: float) -> list[Change]:
        burst = self._debounce.due(now, AT_ONCE)
        if not burst.paths:
            return []
        return [self._change(found) for found in self._settle(burst, now)]

    def deadline(self) -> float:
        quiet = self._debounce.deadline()
        return self._verify if quiet is None else min(self._verify, quiet)

    def _verified(self, now: float) -> list[Change]:
        """Whether the directory is there, and the same one; when not, it is to be scanned."""
        if now < self._verify:
            return []
        try:
            identity = self.tree.identity()
        except Later:
            self._verify = now + RETRY_S
            return []
        self._verify = now + (VERIFY_S if identity else self._retry)
        self._retry = min(2 * self._retry, VERIFY_S) if identity is None else RETRY_S
        before, was_gone = self._identity, self.gone
        self.gone = identity is None
        self._identity = identity or before
        changes = []
        if not was_gone and identity != before:
            changes.append(self._change(Difference("deleted", self.path)))
        if identity is not None and (was_gone or identity != before):
            changes.append(self._change(Difference("created", self.path)))
            self.stale = True
        return changes

    def verify_now(self, now: float) -> None:
        self._verify = now

    def step(self, now: float, place: Place) -> list[Change]:
        """What has come to rest, and what happened to the directory itself."""
        changes = self._verified(now)
        if self.lost:
            self.lost, self.stale = False, True
            changes.append(replace(self._change(Difference("modified", self.path)), note="rescan"))
        if self.stale and not self.gone:
            self.scan(self.path, now, place)
        changes += self._due(now)
        if self.rules_changed and not self.gone:
            self.rules_changed = False
            self.scan(self.path, now, place)
            self._rules.forget_before()
        return changes

    def _adopt(self, path: str, state: State) -> None:
        self.tree.set(path, state)
        if not state.directory:
            self.baseline.add(path)

    def _room(self, path: str) -> bool:
        if len(self.tree) + len(self._debounce) < MOST_ENTRIES or self.tree.get(path) is not None:
            return True
        if not self._full:
            log.warning("A watched directory holds more than %d files; new ones are not reported.", MOST_ENTRIES)
        self._full = True
        return False

    def _settle(self, burst: Burst, now: float) -> Iterator[Difference]:
        after: dict[str, State | None] = {}
        for path in burst.paths:
            try:
                state = self.tree.look(path)
            except Unknown as error:
                if isinstance(error, Later):
                    self._debounce.touch(path, now)
                continue
            if state is None or not self.tree.ignored(path, state.directory):
                after[path] = state
        # Directories are moved first: what lies in them then has its old state under its new name.
        before = {path: self.tree.get(path) for path in after}
        for found in differences(before, after, burst.moved):
            state = after.get(found.path)
            if found.kind == "moved" and state is not None and state.directory:
                yield from self._apply(found, state)
        before = {path: self.tree.get(path) for path in after}
        for found in differences(before, after, burst.moved):
            yield from self._apply(found, after.get(found.path))
        for path, state in after.items():
            if state is not None:
                self.tree.set(path, state)
        self.rules_changed |= any(os.path.basename(path) == ".gitignore" for path in after)

    def _apply(self, found: Difference, state: State | None) -> Iterator[Difference]:
        """Takes over the difference; a directory that is gone takes all below it along."""
        if found.kind == "deleted":
            for path in self.tree.forget(found.path):
                yield Difference("deleted", path)
            return
        if found.kind == "moved":
            self.tree.move(found.moved_from, found.path)
        if state is not None:
            self.tree.set(found.path, state)
        yield found

    def _change(self, found: Difference) -> Change:
        return Change(self._wall(), found.path, found.kind, found.moved_from)
