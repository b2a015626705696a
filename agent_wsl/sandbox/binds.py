"""What is mounted where in the sandbox, and the descriptors that make it that and nothing else."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

SET_ASIDE = 1000
"""Names that are tried."""


class Kind(Enum):
    WRITABLE = "--bind-fd"
    READ_ONLY = "--ro-bind-fd"
    EMPTY_FILE = "--ro-bind-data"
    """Hides a file."""
    EMPTY_DIRECTORY = "--tmpfs"
    """Hides a directory."""


@dataclass(frozen=True, slots=True)
class Mount:
    path: Path
    """Where, in the sandbox."""
    kind: Kind
    source: Path | None = None
    """What; None: the same path. Without symbolic links."""


class Descriptors:
    """Opened for one run, closed together."""

    def __init__(self) -> None:
        self.numbers: list[int] = []

    def data(self, content: bytes, name: str) -> str:
        """A descriptor that reads `content`."""
        number = os.memfd_create(name)
        self.numbers.append(number)
        os.write(number, content)
        os.lseek(number, 0, os.SEEK_SET)
        return str(number)

    def nothing(self) -> str:
        self.numbers.append(os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC))
        return str(self.numbers[-1])

    def path(self, path: Path) -> str:
        self.numbers.append(open_path(path))
        return str(self.numbers[-1])

    def close(self) -> None:
        while self.numbers:
            os.close(self.numbers.pop())


def open_path(path: Path) -> int:
    """Follows no symbolic link anywhere: a command that runs already may put one in the way. Raises OSError."""
    number = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in path.parts[1:]:
            below = os.open(part, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=number)
            os.close(number)
            number = below
        if stat.S_ISLNK(os.fstat(number).st_mode):
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    except OSError:
        os.close(number)
        raise
    return number


@contextmanager
def parent_of(path: Path) -> Iterator[int]:
    """A descriptor of the directory that `path` lies in. Raises OSError."""
    number = open_path(path.parent)
    try:
        yield number
    finally:
        os.close(number)


def set_aside(path: Path) -> str:
    """Renames what is there; the new name, or "" when there is nothing. Raises OSError."""
    with parent_of(path) as directory:
        for number in range(1, SET_ASIDE):
            name = f"{path.name}.from-job" + (f"-{number}" if number > 1 else "")
            try:
                os.stat(name, dir_fd=directory, follow_symlinks=False)
            except FileNotFoundError:
                with suppress(FileNotFoundError):
                    os.rename(path.name, name, src_dir_fd=directory, dst_dir_fd=directory)
                    return name
                return ""
    raise OSError(errno.EEXIST, os.strerror(errno.EEXIST))


def options(mounts: Iterable[Mount], opened: Descriptors) -> list[str]:
    """Outer ones first, so that the inner ones stay in sight. Raises OSError for a path that is gone or a link."""
    words = []
    for mount in sorted(mounts, key=lambda m: len(m.path.parts)):
        target = str(mount.path)
        if mount.kind is Kind.EMPTY_FILE:
            words += [mount.kind.value, opened.nothing(), target]
        elif mount.kind is Kind.EMPTY_DIRECTORY:
            words += ["--size", "4096", "--perms", "0555", mount.kind.value, target, "--remount-ro", target]
        else:
            words += [mount.kind.value, opened.path(mount.source or mount.path), target]
    return words
