"""What is known of a watched directory, and what is there now; never through a symlink, never out of the roots."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Protocol

from agent_wsl.envelope import ErrorCode
from agent_wsl.errors import Refusal
from agent_wsl.watching.debounce import State

HASHED = 4 << 20
"""Bytes: of larger files only size and time of change are compared."""
MOST_ENTRIES = 200_000
"""In one watched directory, ignored ones not counted."""


class Open(Protocol):
    """A descriptor that lies inside the allowed directories, with the path by which it is known."""

    @property
    def fd(self) -> int: ...

    @property
    def path(self) -> str:
        """With symbolic links resolved."""

    @property
    def root(self) -> int:
        """Which of the allowed directories it lies in."""

    def close(self) -> None: ...


class Confined(Protocol):
    """`agent_wsl.files.root.Roots`, as far as watching needs it."""

    @property
    def paths(self) -> Sequence[Path]: ...

    def open(self, path: str) -> Open:
        """Raises Refusal."""


Place = Callable[[str, int], None]
"""Called with each directory, and a descriptor of it, before it is listed."""


class Unknown(Exception):
    """It is there or not, but may not be looked at."""


class Later(Unknown):
    """It could be looked at, were there descriptors left."""


class Tree:
    """Entries by directory and name: a directory can be moved or forgotten without a search for what is below it."""

    def __init__(self, path: str, roots: Confined, ignored: Callable[[str, bool], bool]) -> None:
        self.path = path
        self._roots = roots
        self.ignored = ignored
        """Asked with an absolute path and whether it is a directory."""
        self._known: dict[str, dict[str, State]] = {}
        self._count = 0
        self.incomplete = False
        """Whether the last walk had to leave something out for want of descriptors."""

    def __len__(self) -> int:
        return self._count

    def get(self, path: str) -> State | None:
        parent, name = os.path.split(path)
        return self._known.get(parent, {}).get(name)

    def set(self, path: str, state: State) -> None:
        parent, name = os.path.split(path)
        names = self._known.setdefault(parent, {})
        self._count += name not in names
        names[name] = state

    def forget(self, path: str) -> list[str]:
        """The path and all below it, deepest first."""
        gone = [*reversed([below for below, _ in self.below(path)]), path]
        for each in gone:
            parent, name = os.path.split(each)
            self._count -= self._known.get(parent, {}).pop(name, None) is not None
            self._known.pop(each, None)
        return gone

    def move(self, old: str, new: str) -> None:
        """All below; the entry itself is set by the caller."""
        moved = list(self.below(old))
        self.forget(old)
        for path, state in moved:
            self.set(new + path[len(old) :], state)

    def below(self, top: str) -> Iterator[tuple[str, State]]:
        """Parents before children."""
        waiting = [top]
        while waiting:
            directory = waiting.pop()
            for name, state in list(self._known.get(directory, {}).items()):
                path = os.path.join(directory, name)
                yield path, state
                if state.directory:
                    waiting.append(path)

    def walk(self, top: str, place: Place) -> Iterator[tuple[str, State | None]]:
        """All that is there and not ignored, without digests. None for a directory that may not be read.

        Each directory is given to `place` before it is listed, so that what is made in between is seen twice rather
        than never. Raises what `place` raises.
        """
        self.incomplete = False
        waiting = [top]
        while waiting:
            directory = waiting.pop()
            try:
                opened = self._open(directory)
            except FileNotFoundError:
                continue
            except Unknown as error:
                self.incomplete |= isinstance(error, Later)
                yield directory, None
                continue
            with closing(opened):
                try:
                    place(directory, opened.fd)
                    entries = list(_entries(opened.fd))
                except OSError:
                    yield directory, None
                    continue
            for name, state in entries:
                path = os.path.join(directory, name)
                if self.ignored(path, state.directory):
                    continue
                yield path, state
                if state.directory:
                    waiting.append(path)

    def look(self, path: str) -> State | None:
        """The state now, None when it is gone. Raises Unknown."""
        parent, name = os.path.split(path)
        try:
            with closing(self._open(parent)) as directory:
                status = os.stat(name, dir_fd=directory.fd, follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError:
            raise Unknown from None
        digest = self._digest(path, status) if stat.S_ISREG(status.st_mode) and status.st_size <= HASHED else b""
        return _state(status, digest)

    def read(self, path: str) -> State | None:
        """As `look`, for what is known to be a file: None when it is none any more, or cannot be read."""
        try:
            with closing(self._open(path)) as opened:
                status = os.fstat(opened.fd)
                if not stat.S_ISREG(status.st_mode):
                    return None
                return _state(status, _digest(os.pread(opened.fd, HASHED + 1, 0)))
        except (OSError, Unknown):
            return None

    def identity(self) -> tuple[int, int] | None:
        """Of the watched directory itself; None when it is not there, no directory, or may not be opened.

        Raises Later.
        """
        try:
            with closing(self._open(self.path)) as opened:
                status = os.fstat(opened.fd)
                # Being allowed to open it does not mean being allowed to look into it.
                os.stat(".", dir_fd=opened.fd)
        except Later:
            raise
        except (OSError, Unknown):
            return None
        return (status.st_dev, status.st_ino) if stat.S_ISDIR(status.st_mode) else None

    def _open(self, path: str) -> Open:
        """Without following links, be they ever so new."""
        try:
            return unlinked(self._roots, path)
        except Refusal as refusal:
            if refusal.code is ErrorCode.NOT_FOUND:
                raise FileNotFoundError(path) from None
            raise (Later if refusal.code is ErrorCode.BUSY else Unknown) from None

    def _digest(self, path: str, status: os.stat_result) -> bytes:
        try:
            with closing(self._open(path)) as opened:
                now = os.fstat(opened.fd)
                if (now.st_dev, now.st_ino) != (status.st_dev, status.st_ino):
                    return b""
                content = os.pread(opened.fd, HASHED + 1, 0)
        except (OSError, Unknown):
            return b""
        return _digest(content)


def unlinked(roots: Confined, path: str) -> Open:
    """Raises Refusal, also when some part of the absolute path is a symbolic link by now."""
    opened = roots.open(path)
    if opened.path != path:
        opened.close()
        raise Refusal(ErrorCode.DENIED, "Symbolic links are not followed while watching.")
    return opened


def untouched(known: State, seen: State) -> bool:
    """Whether a look at the content is not worth it."""
    if known.directory or seen.directory:
        return known.directory == seen.directory
    return (known.inode, known.size, known.modified_ns) == (seen.inode, seen.size, seen.modified_ns)


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=16).digest()


def _entries(directory: int) -> Iterator[tuple[str, State]]:
    with os.scandir(directory) as entries:
        for entry in entries:
            try:
                yield entry.name, _state(entry.stat(follow_symlinks=False))
            except FileNotFoundError:
                continue


def _state(status: os.stat_result, digest: bytes = b"") -> State:
    return State(stat.S_ISDIR(status.st_mode), status.st_ino, status.st_size, status.st_mtime_ns, digest)
