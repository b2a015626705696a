"""The output of one job: bytes with offsets, kept to a cap in a file without a name, for any number of readers."""

from __future__ import annotations

import os
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Piece:
    offset: int
    """Of the first byte of `data`."""
    data: bytes
    next_offset: int
    skipped: int
    """Bytes between the offset asked for and `offset`: not kept."""
    done: bool
    """The output has ended and there is nothing after this."""


class Output:
    """Keeps the first half of `cap` as it came and the last half as a ring; what falls between is the gap.

    In a file, so that memory stays flat; without a name, so that it goes with the process. One thread appends, any
    number read. Invariant: bytes in [0, head) and [tail, written) can be read, [head, tail) are gone.
    """

    def __init__(self, folder: Path, cap: int) -> None:
        """The file is made with the first byte: many commands say nothing."""
        self._folder = folder
        self._fd = -1
        self._closed = False
        self._ring_start = max(1, cap // 2)
        self._ring = max(1, cap - self._ring_start)
        self._head = self._ring_start
        self._tail = self._ring_start
        self._written = 0
        self._failure = ""
        self._ended = False
        self._changed = threading.Condition()

    @property
    def written(self) -> int:
        return self._written

    @property
    def gap(self) -> tuple[int, ...]:
        """() or (from, to)."""
        with self._changed:
            to = min(self._tail, self._written)
            return (self._head, to) if to > self._head else ()

    @property
    def closed(self) -> bool:
        return self._closed

    @property
    def failure(self) -> str:
        """Why nothing is kept any more; the bytes are still counted, as a gap. Empty: all is well."""
        return self._failure

    def append(self, data: memoryview) -> None:
        size = len(data)
        with self._changed:
            if self._ended:
                return
            start = self._written
            # Before the write, so that no reader takes bytes that are being overwritten for those it asked for.
            self._tail = max(self._tail, start + size - self._ring)
            failed = bool(self._failure)
        if not failed:
            failed = not self._store(data, start)
        with self._changed:
            self._written += size
            if failed:
                self._tail = self._written
            self._changed.notify_all()

    def finish(self) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def close(self) -> None:
        """Frees the space, after the last append: readers meet the end."""
        with self._changed:
            self._ended = True
            self._closed = True
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1
            self._changed.notify_all()

    def read(self, offset: int, limit: int, wait_s: float) -> Piece:
        """At most `limit` bytes from `offset` or, when that lies in the gap, from the gap's end.

        Waits up to `wait_s` for the first byte or the end.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._ended or self._reachable(offset) < self._written, wait_s)
            start = self._reachable(offset)
            if start > self._written:
                # A gap that is still being written, or an offset that does not exist yet.
                return Piece(offset, b"", offset, 0, self._ended)
            stop = min(start + limit, self._written)
            if start < self._head:
                stop = min(stop, self._head)
            # Under the lock: the writer announces what it overwrites under it, so nothing here is overwritten now.
            data = self._load(start, stop)
            stop = start + len(data)
            return Piece(start, data, stop, start - offset, self._ended and (stop >= self._written or self._closed))

    def _reachable(self, offset: int) -> int:
        return self._tail if self._head <= offset < self._tail else offset

    def _store(self, data: memoryview, start: int) -> bool:
        """False when the file system takes no more: what came before `start`, if not overwritten, stays readable."""
        position = start
        try:
            if self._fd < 0:
                self._fd, name = tempfile.mkstemp(prefix="output-", dir=self._folder)
                os.unlink(name)
            while data:
                place, room = self._place(position)
                done = os.pwrite(self._fd, data[:room], place)
                data, position = data[done:], position + done
        except OSError as error:
            with self._changed:
                self._failure = error.strerror or "the file system takes no more"
                self._head = min(start, self._ring_start) if self._tail > self._ring_start else start
            return False
        return True

    def _load(self, start: int, stop: int) -> bytes:
        parts = []
        while start < stop and self._fd >= 0:
            place, room = self._place(start)
            part = os.pread(self._fd, min(room, stop - start), place)
            if not part:
                break
            parts.append(part)
            start += len(part)
        return b"".join(parts)

    def _place(self, offset: int) -> tuple[int, int]:
        """Where the byte lies in the file, and how many follow it there."""
        if offset < self._ring_start:
            return offset, self._ring_start - offset
        place = (offset - self._ring_start) % self._ring
        return self._ring_start + place, self._ring - place
