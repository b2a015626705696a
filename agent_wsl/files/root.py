"""Path confinement: what lies below an allowed directory can be opened, nothing else, whatever the path says.

Decided here:
- Symbolic links are followed when they are relative and stay below their allowed directory. An absolute one is
  refused, even if it leads back in: where it leads is another question each time it is asked.
- A mount is never crossed, so that nothing mounted later comes into reach. Who wants a mounted directory below an
  allowed one names it in ALLOWED_DIRECTORIES as well; of several that hold a path, the deepest one counts.
- A regular file with a second name (hard link) is refused: the other name may lie outside.
- Files that hold keys (`.env`, `.netrc`, ...; hidden.py has the list) and what the agent hides of its own are refused.
- Devices, FIFOs and sockets are not opened at all: the type is known before the first opening that has effects.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from agent_wsl.envelope import ErrorCode
from agent_wsl.errors import Refusal
from agent_wsl.files.beneath import PATH_ONLY, READING, Opener, best, file_system, reopened
from agent_wsl.files.hidden import holds_keys
from agent_wsl.files.names import checked, shown, windows_trick

WINDOWS_FILE_SYSTEMS = frozenset(
    ["9p", "drvfs", "virtiofs", "fuseblk", "ntfs", "ntfs3", "vfat", "exfat", "cifs", "smb3"]
)
_NO_RIGHT = "The user that the agent runs as may not read %s."
_LATER = "%s cannot be opened at the moment: try again in a second."
REASONS = {
    errno.EXDEV: (
        ErrorCode.DENIED,
        (
            '%s leads out of the allowed directory: by "..", a symbolic link (an absolute one is not followed) or a '
            "mount (name it in ALLOWED_DIRECTORIES as well)."
        ),
    ),
    errno.ELOOP: (ErrorCode.DENIED, "%s has too many symbolic links, or links in a circle."),
    errno.ENOENT: (ErrorCode.NOT_FOUND, "%s does not exist."),
    errno.ESTALE: (ErrorCode.NOT_FOUND, "%s does not exist any more."),
    errno.ENOTDIR: (ErrorCode.NOT_FOUND, "%s does not exist: a part of it is no directory."),
    errno.ENAMETOOLONG: (ErrorCode.NOT_FOUND, "%s is longer than a path can be, so it does not exist."),
    errno.EACCES: (ErrorCode.UNREADABLE, _NO_RIGHT),
    errno.EPERM: (ErrorCode.UNREADABLE, _NO_RIGHT),
    errno.EAGAIN: (ErrorCode.BUSY, _LATER),
    errno.EMFILE: (ErrorCode.BUSY, _LATER),
    errno.ENFILE: (ErrorCode.BUSY, _LATER),
    errno.ENOMEM: (ErrorCode.BUSY, _LATER),
}
"""What the operating system says, for the user; %s stands for the path."""


@dataclass(slots=True)
class Opened:
    """A regular file or a directory, open for reading. Close it, or use it in a `with`."""

    fd: int
    path: str
    """Absolute, for display: what it is called now, symbolic links resolved."""
    stat: os.stat_result
    root: int
    """Which of the allowed directories it lies in."""

    @property
    def is_dir(self) -> bool:
        return stat.S_ISDIR(self.stat.st_mode)

    def close(self) -> None:
        descriptor, self.fd = self.fd, -1
        if descriptor >= 0:
            os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Roots:
    """Holds a descriptor of each allowed directory, so that none of them can be exchanged later on."""

    def __init__(
        self,
        paths: Sequence[Path],
        opener: Opener | None = None,
        windows: Collection[str] = WINDOWS_FILE_SYSTEMS,
        hidden: Sequence[Path] = (),
    ) -> None:
        """`paths` and `hidden` are absolute and resolved. Raises OSError when one cannot be opened."""
        self._hidden = tuple(map(os.fspath, hidden))
        self.paths = tuple(paths)
        self.fds = tuple(os.open(path, PATH_ONLY | os.O_DIRECTORY) for path in paths)
        self.opener = opener or best(self.fds[0])
        self._windows = tuple(file_system(descriptor) in windows for descriptor in self.fds)
        parts = [(tuple(os.fspath(path).strip("/").split("/")), index) for index, path in enumerate(paths)]
        self._deepest_first = sorted(parts, key=lambda item: -len(item[0]))

    def close(self) -> None:
        for descriptor in self.fds:
            os.close(descriptor)
        self.fds = ()

    def open(self, path: str) -> Opened:
        """A regular file or a directory. Refusal: DENIED, NOT_FOUND, WRONG_TYPE, UNREADABLE, BUSY, BAD_REQUEST."""
        root, relative = self._located(path)
        descriptor = -1
        try:
            descriptor = self.opener.open(self.fds[root], os.fsencode(relative), PATH_ONLY)
            status = os.fstat(descriptor)
            _check_kind(path, status)
            real = self._real_path(root, descriptor)
            if self.hides(real, root):
                raise Refusal(ErrorCode.DENIED, f"{shown(path)} may hold keys, so the agent does not read it.")
            return Opened(reopened(descriptor, READING), real, status, root)
        except OSError as error:
            raise self._refusal(path, root, error) from None
        finally:
            if descriptor >= 0:
                os.close(descriptor)

    def hides(self, real: str, root: int) -> bool:
        """Whether a path in that root, symbolic links resolved, is never read."""
        if any(real == path or real.startswith(f"{path}/") for path in self._hidden):
            return True
        below = real[len(os.fspath(self.paths[root])) :]
        return holds_keys([name for name in below.split("/") if name])

    def directory(self, path: str) -> str:
        """The absolute path of a directory, symbolic links resolved, which leads there by its name now."""
        with self.open(path) as opened:
            if not opened.is_dir:
                raise Refusal(ErrorCode.WRONG_TYPE, f"{shown(path)} is a file, but a directory is wanted.")
            try:
                named = os.stat(opened.path)
            except OSError as error:
                raise self._refusal(path, opened.root, error) from None
            if (named.st_dev, named.st_ino) != (opened.stat.st_dev, opened.stat.st_ino):
                raise _replaced(self.paths[opened.root])
            return opened.path

    def _located(self, path: str) -> tuple[int, str]:
        """The allowed directory, and the rest of the path below it. `..` stays in: only the file system knows where
        it leads when there are symbolic links before it."""
        text = checked(path)
        whole = text if text.startswith("/") else f"{self.paths[0]}/{text}"
        parts = [part for part in whole.split("/") if part not in ("", ".")]
        for names, root in self._deepest_first:
            if tuple(parts[: len(names)]) == names:
                rest = parts[len(names) :]
                self._check_windows(path, root, rest)
                return root, "/".join(rest) or "."
        raise Refusal(ErrorCode.DENIED, f"{shown(path)} is outside the allowed directories.")

    def _check_windows(self, path: str, root: int, names: Sequence[str]) -> None:
        if self._windows[root]:
            for reason in filter(None, map(windows_trick, names)):
                raise Refusal(ErrorCode.DENIED, f"{shown(path)} is on a Windows drive, and a name in it {reason}.")

    def _real_path(self, root: int, descriptor: int) -> str:
        """Below the name by which the allowed directory is known, which may have another one by now."""
        base = os.readlink(f"/proc/self/fd/{self.fds[root]}")
        real = os.readlink(f"/proc/self/fd/{descriptor}")
        if real != base and not real.startswith(base + "/"):
            # It was renamed between the two looks.
            raise _replaced(self.paths[root])
        below = real[len(base) :]
        self._check_windows(real, root, [name for name in below.split("/") if name])
        return f"{self.paths[root]}{below}"

    def _refusal(self, path: str, root: int, error: OSError) -> Refusal:
        if error.errno in (errno.ENOENT, errno.ESTALE) and not self._in_place(root):
            return _replaced(self.paths[root])
        system = os.strerror(error.errno or 0)
        code, sentence = REASONS.get(error.errno or 0, (ErrorCode.UNREADABLE, f"%s cannot be opened: {system}."))
        hint = " (~ and $NAME are not expanded.)" if code == ErrorCode.NOT_FOUND and path.startswith(("~", "$")) else ""
        return Refusal(code, sentence % shown(path) + hint)

    def _in_place(self, root: int) -> bool:
        held = os.fstat(self.fds[root])
        try:
            named = os.stat(self.paths[root])
        except OSError:
            return False
        return (named.st_dev, named.st_ino) == (held.st_dev, held.st_ino)


def _check_kind(path: str, status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        return
    if not stat.S_ISREG(status.st_mode):
        raise Refusal(ErrorCode.WRONG_TYPE, f"{shown(path)} is {kind_in_words(status.st_mode)}, no file or directory.")
    if status.st_nlink > 1:
        raise Refusal(
            ErrorCode.DENIED,
            f"{shown(path)} has a second name (a hard link), which may lie outside the allowed directories: copy it.",
        )


def kind_in_words(mode: int) -> str:
    if stat.S_ISFIFO(mode):
        return "a FIFO"
    if stat.S_ISSOCK(mode):
        return "a socket"
    return "a device" if stat.S_ISCHR(mode) or stat.S_ISBLK(mode) else "something special"


def _replaced(root: Path) -> Refusal:
    return Refusal(
        ErrorCode.NOT_FOUND, f"The allowed directory {root} was moved, removed or replaced: restart the agent."
    )
