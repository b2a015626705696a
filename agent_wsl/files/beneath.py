"""Opening a path below a directory so that neither a symbolic link, nor "..", nor a mount leads out, even in a race.

The kernel does it (openat2, Linux 5.6). Where it cannot, or a container forbids the call, a walk over the components
does, which holds a descriptor of each directory it came through.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
from typing import Protocol

OPENAT2 = 437
"""The number of the system call on every architecture."""
NO_XDEV, NO_MAGICLINKS, NO_SYMLINKS, BENEATH = 0x01, 0x02, 0x04, 0x08
TRIES = 200
"""With ".." in the path the kernel gives up when anything anywhere is renamed meanwhile, and asks to be called anew."""
MAX_LINKS = 40
PATH_ONLY = os.O_PATH | os.O_CLOEXEC
READING = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
"""Never waits for a writer, never becomes the terminal of this process."""


class Opener(Protocol):
    def open(self, directory: int, path: bytes, flags: int, links: bool = True) -> int:
        """A descriptor of what lies at `path` below `directory`. Symbolic links that stay below are followed when
        `links`. OSError: EXDEV when the way leads out or onto another mount, ELOOP for links not followed."""


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


class Kernel:
    def __init__(self) -> None:
        self._syscall = ctypes.CDLL(None, use_errno=True).syscall
        self._syscall.restype = ctypes.c_long
        self._syscall.argtypes = (
            ctypes.c_long, ctypes.c_int, ctypes.c_char_p, ctypes.POINTER(_OpenHow), ctypes.c_size_t
        )  # fmt: skip

    def open(self, directory: int, path: bytes, flags: int, links: bool = True) -> int:
        resolve = BENEATH | NO_MAGICLINKS | NO_XDEV | (0 if links else NO_SYMLINKS)
        how = _OpenHow(flags | os.O_CLOEXEC, 0, resolve)
        code = errno.EAGAIN
        for _ in range(TRIES):
            descriptor = self._syscall(OPENAT2, directory, path, ctypes.byref(how), ctypes.sizeof(how))
            if descriptor >= 0:
                return int(descriptor)
            code = ctypes.get_errno()
            if code not in (errno.EAGAIN, errno.EINTR):
                break
        raise OSError(code, os.strerror(code))

    def works(self, directory: int) -> bool:
        """Whether this system has the call and keeps its promise."""
        try:
            os.close(self.open(directory, b".", PATH_ONLY))
            os.close(self.open(directory, b"..", PATH_ONLY))
        except OSError as error:
            return error.errno == errno.EXDEV
        return False


class Walk:
    def open(self, directory: int, path: bytes, flags: int, links: bool = True) -> int:
        found = self._find(directory, path, links)
        if flags & os.O_PATH:
            return found
        try:
            return reopened(found, flags)
        finally:
            os.close(found)

    def _find(self, directory: int, path: bytes, links: bool) -> int:
        """An O_PATH descriptor. `held` has one of each directory between the start and the present place."""
        mount = mount_id(directory)
        held: list[int] = []
        pending, followed = path.split(b"/")[::-1], 0
        try:
            while pending:
                name = pending.pop()
                if name in (b"", b"."):
                    continue
                if name == b"..":
                    _leave(held)
                    continue
                held.append(os.open(name, PATH_ONLY | os.O_NOFOLLOW, dir_fd=held[-1] if held else directory))
                if mount_id(held[-1]) != mount:
                    raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
                if stat.S_ISLNK(os.fstat(held[-1]).st_mode):
                    followed += 1
                    pending += _target(held, links and followed <= MAX_LINKS).split(b"/")[::-1]
            return held.pop() if held else os.open(".", PATH_ONLY | os.O_DIRECTORY, dir_fd=directory)
        finally:
            for descriptor in held:
                os.close(descriptor)


def _leave(held: list[int]) -> None:
    if not held:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
    if not stat.S_ISDIR(os.fstat(held[-1]).st_mode):
        raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    os.close(held.pop())


def _target(held: list[int], follow: bool) -> bytes:
    if not follow:
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    target = os.readlink(b"", dir_fd=held[-1])
    os.close(held.pop())
    if target.startswith(b"/"):
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
    return target


def best(directory: int) -> Opener:
    kernel = Kernel()
    return kernel if kernel.works(directory) else Walk()


def reopened(descriptor: int, flags: int) -> int:
    """For reading, what an O_PATH descriptor stands for: the very same thing, whatever its name leads to by now."""
    return os.open(f"/proc/self/fd/{descriptor}", flags)


def mount_id(descriptor: int) -> int:
    with open(f"/proc/self/fdinfo/{descriptor}", encoding="ascii", errors="replace") as info:
        for line in info:
            if line.startswith("mnt_id:"):
                return int(line.split(":")[1])
    raise OSError(errno.ENOTSUP, "this kernel does not say on which mount a file lies")


def file_system(descriptor: int) -> str:
    """The type, such as "ext4" or "9p"; "" when the mount table does not have it."""
    wanted = str(mount_id(descriptor))
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as table:
        for line in table:
            if line.split(" ", 1)[0] == wanted:
                return line.rpartition(" - ")[2].split(" ", 1)[0]
    return ""
