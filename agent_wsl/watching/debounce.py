"""Many events of one burst become one change. Pure: time comes in as a value, states of files come in as values.

What is reported is the difference between the state before the burst and the state after it. So a save by way of a
temporary file is one "modified", what is made and deleted in one burst never was, and a save of the same content is
nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice

QUIET_S = 0.1
"""A path is looked at when nothing has happened to it for so long,"""
MOST_S = 2.0
"""or when something has been happening to it for so long."""


@dataclass(frozen=True, slots=True)
class State:
    """Of one directory entry, as `lstat` and the content say."""

    directory: bool
    inode: int
    size: int
    modified_ns: int
    digest: bytes = b""
    """Of the content; empty for what is no file, too large or unreadable."""


@dataclass(frozen=True, slots=True)
class Difference:
    kind: str
    """"created", "modified", "deleted", "moved"."""
    path: str
    moved_from: str = ""


@dataclass(frozen=True, slots=True)
class Burst:
    """Paths that have come to rest."""

    paths: tuple[str, ...]
    moved: Mapping[str, str]
    """New name -> old name, as the kernel reported it."""


class Debounce:
    """Collects events until their paths come to rest."""

    def __init__(self) -> None:
        self._first: dict[str, float] = {}
        self._last: dict[str, float] = {}
        """Both in the order of their values, so that nothing is ever searched."""
        self._moved: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._last)

    def touch(self, path: str, now: float, *, moved_from: str = "") -> None:
        """All names of a move come to rest together, else it would be reported as a deletion and a creation."""
        names = [path]
        if moved_from:
            self._moved[path] = moved_from
        while (old := self._moved.get(names[-1], "")) and old not in names:
            names.append(old)
        for name in reversed(names):
            self._first.setdefault(name, now)
            self._last.pop(name, None)
            self._last[name] = now

    def pending(self, path: str) -> bool:
        return path in self._last

    def due(self, now: float, limit: int) -> Burst:
        """About `limit` paths at rest, which are forgotten here. Names of one move are not torn apart."""
        ready: dict[str, None] = {}
        for path, last in self._last.items():
            if last + QUIET_S > now or (len(ready) >= limit and self._moved.get(path) not in ready):
                break
            ready[path] = None
        for path, first in self._first.items():
            if first + MOST_S > now or len(ready) >= limit:
                break
            while path and path not in ready:
                ready[path] = None
                path = self._moved.get(path, "")
        moved = {path: self._moved.pop(path) for path in ready if path in self._moved}
        for path in ready:
            self._first.pop(path, None)
            self._last.pop(path, None)
        return Burst(tuple(ready), moved)

    def deadline(self) -> float | None:
        """When `due` will next have something."""
        quiet = [last + QUIET_S for last in islice(self._last.values(), 1)]
        return min([*quiet, *(first + MOST_S for first in islice(self._first.values(), 1))], default=None)


def same(before: State, after: State) -> bool:
    """Whether nobody who reads the file would notice."""
    if before.directory or after.directory:
        return before.directory == after.directory
    if before.digest and after.digest:
        return before.digest == after.digest
    return (before.size, before.modified_ns) == (after.size, after.modified_ns)


def differences(
    before: Mapping[str, State | None], after: Mapping[str, State | None], hints: Mapping[str, str]
) -> list[Difference]:
    """What happened to the paths of `after`; all of them are in `before`. `hints`: new name -> old name, as reported.

    Moves first, then deletions with the children before their directory, then the rest with directories first.
    """
    moves = dict(_moves(before, after, hints))
    found = [Difference("moved", new, old) for new, old in sorted(moves.items())]
    gone = [path for path in after if before[path] and not after[path] and path not in moves.values()]
    found += [Difference("deleted", path) for path in sorted(gone, reverse=True)]
    for path in sorted(after):
        old, new = before[path], after[path]
        if path in moves or new is None:
            continue
        if old is None:
            found.append(Difference("created", path))
        elif old.directory != new.directory:
            found += [Difference("deleted", path), Difference("created", path)]
        elif not same(old, new):
            found.append(Difference("modified", path))
    return found


def _moves(
    before: Mapping[str, State | None], after: Mapping[str, State | None], hints: Mapping[str, str]
) -> Iterable[tuple[str, str]]:
    """New and old name. Without a hint the inode must be the same and the file untouched: inodes are used again."""
    gone = {path: state for path, state in before.items() if state is not None and after.get(path) is None}
    by_inode = {(s.inode, s.size, s.modified_ns): path for path, s in gone.items() if not s.directory}
    for path, state in after.items():
        if state is None or before[path] is not None:
            continue
        old = _origin(path, hints)
        if old not in gone or gone[old].directory != state.directory:
            old = by_inode.get((state.inode, state.size, state.modified_ns), "") if not state.directory else ""
        if old in gone:
            del gone[old]
            yield path, old


def _origin(path: str, hints: Mapping[str, str]) -> str:
    """Through a chain of moves in one burst, back to the first name."""
    seen = {path}
    while (old := hints.get(path, "")) and old not in seen:
        seen.add(old)
        path = old
    return path
