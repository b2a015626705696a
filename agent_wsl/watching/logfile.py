"""One watched log file: opened anew, inside the roots, for each look; its lines come out as changes."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress

from agent_wsl.errors import Refusal
from agent_wsl.protocol import Change
from agent_wsl.watching.tail import Batch, Source, Tail
from agent_wsl.watching.tree import Confined, Open, Place, unlinked

SOON_S = 0.02
"""After an event: a program that writes line by line makes one change of many."""
GONE_S = 0.5
"""So long a file must be missing to be called deleted: rotation makes a new one at once."""
VERIFY_S = 2.0
"""Between two looks without an event."""
MOST_ENTRIES = 10_000
"""In the directory, among which the rotated file is looked for."""


class OpenFile:
    """A `Source`."""

    def __init__(self, opened: Open, generation: int) -> None:
        self._fd = opened.fd
        status = os.fstat(opened.fd)
        self.regular = stat.S_ISREG(status.st_mode)
        self._identity = (status.st_dev, status.st_ino, generation)
        self._size = status.st_size

    @property
    def identity(self) -> tuple[int, ...]:
        return self._identity

    @property
    def size(self) -> int:
        return self._size

    def read(self, offset: int, length: int) -> bytes:
        return os.pread(self._fd, length, offset)


class LogTarget:
    """Not thread-safe: whoever drives it holds a lock."""

    def __init__(self, path: str, roots: Confined, wall: Callable[[], float]) -> None:
        self.path = path
        self.directory, self.name = os.path.split(path)
        self.most_wait_s = VERIFY_S
        """Without events from the kernel: the time between two looks."""
        self._roots = roots
        self._wall = wall
        self._tail = Tail()
        self._generation = 0
        self._soon: float | None = None
        self._verify = 0.0
        self._missing_since: float | None = None
        self._said_deleted = False

    def start(self, place: Place) -> None:
        """From the end of the file. Raises Refusal."""
        self._place(place)
        with closing(unlinked(self._roots, self.path)) as opened:
            self._tail.start(OpenFile(opened, self._generation))

    def event(self, name: str, now: float, *, created: bool = False) -> None:
        """Something happened to an entry of the directory. A new file may have the inode of the one before it."""
        if name == self.name and created:
            self._generation += 1
        if (name == self.name or self._tail.draining) and self._soon is None:
            self._soon = now + SOON_S

    def verify_now(self, now: float) -> None:
        self._verify = now

    def deadline(self) -> float:
        return min(time for time in (self._verify, self._soon, self._tail.deadline()) if time is not None)

    def step(self, now: float, place: Place) -> list[Change]:
        """New lines, and what happened to the file."""
        if now < self.deadline():
            return []
        if now >= self._verify:
            self._place(place)
        self._soon, self._verify = None, now + self.most_wait_s
        with ExitStack() as stack:
            source = self._open(self.path, self._generation, stack)
            if source is None:
                changes = self._missing(now)
                return changes + self._lines(self._tail.look(None, now))
            self._missing_since, self._said_deleted = None, False
            wanted = self._tail.rotated(source)
            rotated = self._find(wanted, stack) if wanted is not None else None
            return self._lines(self._tail.look(source, now, rotated))

    def _place(self, place: Place) -> None:
        """The directory may be another one than before."""
        with suppress(Refusal, OSError), closing(unlinked(self._roots, self.directory)) as directory:
            place(self.directory, directory.fd)

    def _missing(self, now: float) -> list[Change]:
        if self._missing_since is None:
            self._missing_since = now
        if self._said_deleted:
            return []
        if now < self._missing_since + GONE_S:
            self._soon = self._missing_since + GONE_S
            return []
        self._said_deleted = True
        return [Change(self._wall(), self.path, "deleted")]

    def _lines(self, batches: list[Batch]) -> list[Change]:
        return [Change(self._wall(), self.path, "lines", lines=batch.lines, note=batch.note) for batch in batches]

    def _open(self, path: str, generation: int, stack: ExitStack) -> Source | None:
        """None for what is missing, no plain file, or refused."""
        try:
            source = OpenFile(stack.enter_context(closing(unlinked(self._roots, path))), generation)
        except (Refusal, OSError):
            return None
        return source if source.regular else None

    def _find(self, identity: tuple[int, ...], stack: ExitStack) -> Source | None:
        """The file that was read so far, under its new name in the same directory."""
        _, inode, generation = identity
        try:
            with closing(unlinked(self._roots, self.directory)) as directory, os.scandir(directory.fd) as entries:
                names = [e.name for _, e in zip(range(MOST_ENTRIES), entries, strict=False) if e.inode() == inode]
        except (Refusal, OSError):
            return None
        for name in names:
            source = self._open(os.path.join(self.directory, name), generation, stack) if name != self.name else None
            if source is not None and source.identity == identity:
                return source
        return None
