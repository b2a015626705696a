"""The lines that are appended to a log file, through rotation, truncation and bursts. It reads through `Source`,
which is opened anew for each look, and keeps no more than a piece of one line."""

from __future__ import annotations

import codecs
from copy import copy
from dataclasses import dataclass
from typing import Protocol

PARTIAL_S = 1.0
"""A last line without its end is reported after so long a silence."""
MOST_BEHIND = 4 << 20
"""Bytes: whoever writes faster than we read loses the middle, and is told how much."""
KEPT_OF_BURST = 256 << 10
"""Bytes at the end of such a burst that are still reported."""
PIECE = 64 << 10
"""Bytes of lines in one batch; a longer line comes in pieces."""
MOST_LINES = 1000
"""In one batch."""
DRAIN_S = 5.0
"""So long after a rotation the old file is still read: programs learn of it late."""
MARK = 64
"""Bytes before the place of reading by which it is noticed that a file was written anew."""


class Source(Protocol):
    """One open file. `identity` is another one for another file of the same name; `read` ends early at the end."""

    @property
    def identity(self) -> tuple[int, ...]: ...

    @property
    def size(self) -> int: ...

    def read(self, offset: int, length: int) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Batch:
    lines: tuple[str, ...]
    note: str = ""


class Tail:
    """Of one path. After construction, or `start`, only what is appended later is reported."""

    def __init__(self) -> None:
        self._identity: tuple[int, ...] | None = None
        self._offset = 0
        self._mark = b""
        """The last bytes before the offset."""
        self._partial = b""
        self._begun = False
        """A piece of the line in `_partial` has been reported already."""
        self._changed = 0.0
        self._stuck = False
        """`_partial` is but the beginning of a character."""
        self._before: Tail | None = None
        """Of the file that was rotated away."""
        self._before_until = 0.0

    @property
    def draining(self) -> bool:
        """Whether a file that was rotated away is still read."""
        return self._before is not None

    def start(self, source: Source) -> None:
        """From the end of what is there; an unfinished line there is not waited for."""
        self._begin(source, source.size)
        self._mark = source.read(max(0, source.size - MARK), min(MARK, source.size))
        self._begun = bool(self._mark) and not self._mark.endswith(b"\n")

    def deadline(self) -> float | None:
        """When to look again although nothing was reported: an unfinished line, a file that was rotated away."""
        times = [self._before_until] if self._before is not None else []
        if self._partial and not self._stuck:
            times.append(self._changed + PARTIAL_S)
        return min(times, default=None)

    def rotated(self, source: Source) -> tuple[int, ...] | None:
        """Identity of the file that `look` wants as `rotated`: programs still write to it for a while."""
        if self._identity is not None and source.identity != self._identity:
            return self._identity
        return self._before._identity if self._before is not None else None

    def look(self, source: Source | None, now: float, rotated: Source | None = None) -> list[Batch]:
        """What is new. `source` is None while the path is missing; `rotated` is what was read under this name before,
        under the name that it has now."""
        if source is None:
            return (self._leave() if now >= self._before_until else []) + self.flush(now)
        batches: list[Batch] = []
        note = ""
        if self._identity is not None and source.identity != self._identity:
            note = "rotated"
            batches += self._leave()
            self._before, self._before_until = copy(self), now + DRAIN_S
            self._begin(source, 0)
        elif self._identity is None or source.size < self._offset or not self._is_where_we_were(source):
            note = "" if self._identity is None else "truncated"
            batches += self._cut()
            self._begin(source, 0)
        if self._before is not None:
            batches += self._drain(self._before, rotated, now)
        return batches + _noted(self._read(source, now), note) + self.flush(now)

    def _drain(self, before: Tail, rotated: Source | None, now: float) -> list[Batch]:
        batches: list[Batch] = []
        found = rotated is not None and rotated.identity == before._identity
        if rotated is not None and found and rotated.size > before._offset:
            batches += before._read(rotated, now)
        if found and now < self._before_until:
            return batches + before.flush(now)
        return batches + self._leave()

    def _leave(self) -> list[Batch]:
        before, self._before = self._before, None
        return before._cut() if before is not None else []

    def flush(self, now: float) -> list[Batch]:
        """The unfinished line, when nothing was added to it for a while; never half a character."""
        if not self._partial or self._stuck or now < self._changed + PARTIAL_S:
            return []
        text, self._partial = _whole_characters(self._partial)
        self._stuck = bool(self._partial)
        self._begun |= bool(text)
        return [Batch((text,))] if text else []

    def _begin(self, source: Source, offset: int) -> None:
        self._identity, self._offset = source.identity, offset
        self._mark = self._partial = b""
        self._begun = False

    def _is_where_we_were(self, source: Source) -> bool:
        return not self._mark or source.read(self._offset - len(self._mark), len(self._mark)) == self._mark

    def _cut(self) -> list[Batch]:
        """The unfinished line of a file that is no more."""
        line, self._partial = self._partial.removesuffix(b"\r").lstrip(b"\0"), b""
        return [Batch((line.decode("utf-8", "replace"),))] if line else []

    def _read(self, source: Source, now: float) -> list[Batch]:
        batches: list[Batch] = []
        end = source.size
        if end - self._offset > MOST_BEHIND:
            batches.append(self._skip(end - KEPT_OF_BURST))
        while self._offset < end:
            data = source.read(self._offset, min(PIECE, end - self._offset))
            if not data:
                break
            self._offset += len(data)
            self._mark = (self._mark + data)[-MARK:]
            self._changed, self._stuck = now, False
            batches += self._lines(data)
        if len(batches) > 1 and not batches[0].lines:
            batches[:2] = [Batch(batches[1].lines, batches[0].note)]
        return batches

    def _skip(self, offset: int) -> Batch:
        skipped = offset - self._offset + len(self._partial)
        self._offset, self._mark, self._partial = offset, b"", b""
        # What comes first now is the end of some line.
        self._begun = False
        return Batch((), f"{skipped} bytes skipped")

    def _lines(self, data: bytes) -> list[Batch]:
        whole, newline, rest = (self._partial + data).rpartition(b"\n")
        lines = [_text(line) for line in whole.split(b"\n")] if newline else []
        # A line whose beginning was reported, and to which only its end was added, is no empty line.
        if newline and self._begun:
            self._begun = False
            if not lines[0]:
                del lines[0]
        # A file that was cut while its writer kept its place begins with a hole.
        self._partial = rest if rest.strip(b"\0") else b""
        if len(self._partial) > PIECE:
            text, self._partial = _whole_characters(self._partial)
            lines.append(text)
            self._begun = True
        return [Batch(tuple(lines[i : i + MOST_LINES])) for i in range(0, len(lines), MOST_LINES)]


def _noted(batches: list[Batch], note: str) -> list[Batch]:
    if not note:
        return batches
    head = batches[0] if batches else Batch(())
    return [Batch(head.lines, ", ".join(filter(None, (note, head.note)))), *batches[1:]]


def _whole_characters(data: bytes) -> tuple[str, bytes]:
    """And what may yet become one, or the end of the line."""
    end = data.removesuffix(b"\r")
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    text = decoder.decode(end).lstrip("\0")
    return text, decoder.getstate()[0] + data[len(end) :]


def _text(line: bytes) -> str:
    return line.removesuffix(b"\r").lstrip(b"\0").decode("utf-8", "replace")
