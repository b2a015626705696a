"""The kernel's reports about directories. Watches are placed on open descriptors, never on paths, so that no symlink
can lead one elsewhere; watchdog's own observers take paths and descend into directories that are ignored."""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from dataclasses import dataclass

from watchdog.observers.inotify_c import InotifyConstants as Flag
from watchdog.observers.inotify_c import Mask, inotify_add_watch, inotify_init, inotify_rm_watch

OVERFLOW = Flag.IN_Q_OVERFLOW
CREATE = Flag.IN_CREATE
MOVED_FROM = Flag.IN_MOVED_FROM
MOVED_TO = Flag.IN_MOVED_TO
IS_DIRECTORY = Flag.IN_ISDIR
IGNORED = Flag.IN_IGNORED
OF_ITSELF = Flag.IN_DELETE_SELF | Flag.IN_MOVE_SELF | Flag.IN_UNMOUNT | IGNORED
WATCHED = Mask(
    CREATE
    | MOVED_FROM
    | MOVED_TO
    | Flag.IN_DELETE
    | Flag.IN_MODIFY
    | Flag.IN_CLOSE_WRITE
    | Flag.IN_DELETE_SELF
    | Flag.IN_MOVE_SELF
    | Flag.IN_ONLYDIR
)
BUFFER = 256 << 10
HEADER = struct.Struct("iIII")


class Exhausted(Exception):
    """The kernel gives no more watches or instances to this user; the sentence names the setting."""


@dataclass(frozen=True, slots=True)
class Event:
    watch: int
    mask: int
    cookie: int
    """The same for both halves of a move."""
    name: str
    """Of the entry; empty for events of the directory itself."""


class Inotify:
    """One kernel instance. Raises Exhausted when there is none to be had."""

    def __init__(self) -> None:
        self._fd = inotify_init()
        if self._fd == -1:
            code = ctypes.get_errno()
            if code in (errno.EMFILE, errno.ENFILE):
                raise Exhausted("inotify is exhausted (fs.inotify.max_user_instances)")
            raise OSError(code, os.strerror(code))
        os.set_inheritable(self._fd, False)
        os.set_blocking(self._fd, False)

    def fileno(self) -> int:
        return self._fd

    def add(self, directory: int) -> int:
        """Watches what the descriptor is open on; the same number again for the same directory."""
        watch = inotify_add_watch(self._fd, b"/proc/self/fd/%d" % directory, WATCHED)
        if watch == -1:
            code = ctypes.get_errno()
            if code == errno.ENOSPC:
                raise Exhausted("inotify is exhausted (fs.inotify.max_user_watches)")
            raise OSError(code, os.strerror(code))
        return watch

    def remove(self, watch: int) -> None:
        """Also of a watch that the kernel has removed already."""
        inotify_rm_watch(self._fd, watch)  # type: ignore[arg-type]

    def read(self) -> list[Event]:
        """What has happened since; [] when nothing."""
        try:
            data = os.read(self._fd, BUFFER)
        except BlockingIOError:
            return []
        events, position = [], 0
        while position < len(data):
            watch, mask, cookie, length = HEADER.unpack_from(data, position)
            position += HEADER.size
            name = data[position : position + length].rstrip(b"\0")
            position += length
            events.append(Event(watch, mask, cookie, os.fsdecode(name)))
        return events

    def close(self) -> None:
        os.close(self._fd)
