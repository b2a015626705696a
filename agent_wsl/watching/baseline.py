"""What files held when watching began, so that even the first save of the same is no news. Read bit by bit, in idle
time, and believed only where nothing has happened meanwhile."""

from __future__ import annotations

from collections.abc import Callable

from agent_wsl.watching.debounce import State
from agent_wsl.watching.tree import Tree, untouched

EACH = 1 << 20
"""Bytes: larger files are not read."""
IN_ALL = 256 << 20
"""Bytes per watched directory,"""
FILES = 20_000
"""and files."""


class Baseline:
    def __init__(self, tree: Tree, pending: Callable[[str], bool]) -> None:
        self._tree = tree
        self._pending = pending
        """Whether an event of the path has come that was not looked into yet."""
        self._waiting: list[str] = []
        self._budget = IN_ALL

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, path: str) -> None:
        if len(self._waiting) < FILES:
            self._waiting.append(path)

    def read(self, limit: int) -> list[tuple[str, State]]:
        """Some of the files, with their states as they are now, for `believe`."""
        found: list[tuple[str, State]] = []
        while self._waiting and len(found) < limit:
            path = self._waiting.pop()
            known = self._tree.get(path)
            if known is None or known.digest or known.directory or known.size > EACH:
                continue
            self._budget -= known.size
            if self._budget < 0:
                self._waiting.clear()
                break
            state = self._tree.read(path)
            if state is not None and untouched(known, state):
                found.append((path, state))
        return found

    def believe(self, states: list[tuple[str, State]]) -> None:
        """Not of files of which an event came since: the content may be the new one already."""
        for path, state in states:
            known = self._tree.get(path)
            if known is not None and not known.digest and not self._pending(path):
                self._tree.set(path, state)
