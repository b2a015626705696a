"""Reading files by pages of lines, and listing directories. Memory is bounded whatever lies there."""

from __future__ import annotations

import heapq
import os
import stat
from collections.abc import Iterator
from typing import AnyStr

from agent_wsl.envelope import MAX_REPLY, MAX_TEXT, ErrorCode
from agent_wsl.errors import Refusal
from agent_wsl.files.names import shown
from agent_wsl.files.root import Opened, Roots
from agent_wsl.files.text import HEAD, Decoder, encoding_of, json_length, pieces
from agent_wsl.protocol import Entry, FileText, ListDir, Listing, ReadFile

LISTED = MAX_REPLY // 2
"""Bytes of JSON that the names of one listing may take."""
ENTRY_COST = 100
"""Bytes of JSON of an entry without its name."""


class Files:
    def __init__(self, roots: Roots, max_file_size: int) -> None:
        self._roots = roots
        self._max = max_file_size

    def read(self, call: ReadFile) -> FileText:
        with self._roots.open(call.path) as file:
            if file.is_dir:
                raise Refusal(ErrorCode.WRONG_TYPE, f"{shown(call.path)} is a directory: list it.")
            size, modified = file.stat.st_size, file.stat.st_mtime
            if size > self._max:
                raise Refusal(
                    ErrorCode.TOO_LARGE,
                    f"{shown(call.path)} has {size} bytes, and {self._max} are allowed (MAX_FILE_SIZE_MB).",
                )
            try:
                encoding, mark = encoding_of(os.pread(file.fd, HEAD, 0))
                if not encoding:
                    return FileText(file.path, size, modified, True, "", "", 0, 0, None)
                page = _Page(file.fd, encoding, self._max)
                text, skipped = page.read(mark, call.offset, call.limit)
            except OSError as error:
                raise _unreadable(call.path, error) from None
        lines = text.count("\n") + (not text.endswith("\n") and bool(text))
        return FileText(
            file.path, size, modified, False, encoding, text, skipped, lines,
            skipped + lines if page.more else None, page.cut,
        )  # fmt: skip

    def list(self, call: ListDir) -> Listing:
        with self._roots.open(call.path) as directory:
            if not directory.is_dir:
                raise Refusal(ErrorCode.WRONG_TYPE, f"{shown(call.path)} is a file: read it.")
            try:
                return _listing(directory, call.limit)
            except OSError as error:
                raise _unreadable(call.path, error) from None


class _Page:
    """One pass over a file. `more`: there are lines after the page; `cut`: its only line is longer than a page."""

    def __init__(self, descriptor: int, encoding: str, most: int) -> None:
        self._fd = descriptor
        self._encoding = encoding
        self._most = most
        self._full = False
        self.more = False
        self.cut = False

    def read(self, start: int, offset: int, limit: int) -> tuple[str, int]:
        """At most `limit` whole lines after the first `offset` ones, and how many lines were before them."""
        if self._encoding == "utf-8":
            start, skipped = self._skip(start, offset)
            texts = self._texts(start, skipped + 1)
        else:
            # The byte of a newline may be half of another character here, so that the lines are counted in text.
            skipped, texts = 0, self._texts(start, 1)
        return self._take(texts, offset, skipped, limit)

    def _skip(self, start: int, lines: int) -> tuple[int, int]:
        """Where the line begins that has `lines` lines before it, and how many there really are."""
        passed, unended = 0, False
        if lines:
            for data in pieces(self._fd, start, self._most):
                count = data.count(b"\n")
                if passed + count >= lines:
                    return start + behind(data, b"\n", lines - passed), lines
                passed += count
                start += len(data)
                unended = not data.endswith(b"\n")
        return start, passed + unended

    def _texts(self, start: int, line: int) -> Iterator[str]:
        decoder = Decoder(self._encoding, start, line)
        for data in pieces(self._fd, start, self._most):
            text, refusal = decoder.text(data)
            yield text
            if refusal and self._full:
                # The wrong byte is the business of the next page.
                self.more = True
                return
            if refusal:
                raise refusal
        _, refusal = decoder.text(b"", final=True)
        if refusal:
            raise refusal

    def _take(self, texts: Iterator[str], offset: int, skipped: int, limit: int) -> tuple[str, int]:
        parts: list[str] = []
        length = lines = 0
        last = "\n"
        for text in texts:
            if skipped < offset:
                count = text.count("\n")
                if skipped + count < offset:
                    skipped += count
                    last = text[-1:] or last
                    continue
                text = text[behind(text, "\n", offset - skipped) :]
                skipped, last = offset, "\n"
            if not text:
                continue
            parts.append(text)
            length += len(text)
            lines += text.count("\n")
            self._full = text.endswith("\n") and (lines == limit or length == MAX_TEXT)
            # One character more than the page shows that there is something behind it.
            if length > MAX_TEXT or lines > limit or (lines == limit and not text.endswith("\n")):
                break
        if skipped < offset and last != "\n":
            skipped += 1
        return self._trimmed("".join(parts), limit, texts), skipped

    def _trimmed(self, text: str, limit: int, rest: Iterator[str]) -> str:
        end = behind(text, "\n", limit) if text.count("\n") >= limit else len(text)
        if end > MAX_TEXT:
            end = text.rfind("\n", 0, MAX_TEXT) + 1
        if end:
            self.more |= end < len(text)
            return text[:end]
        self.cut = bool(text)
        self.more = self.cut and _line_follows(text[MAX_TEXT:], rest)
        return text[:MAX_TEXT]


def _line_follows(text: str, rest: Iterator[str]) -> bool:
    """Whether there is something behind the line that goes on with `text`."""
    ended = False
    while True:
        if not ended:
            at = text.find("\n")
            ended, text = at >= 0, text[at + 1 :] if at >= 0 else ""
        if ended and text:
            return True
        following = next(rest, None)
        if following is None:
            return False
        text = following


def behind(data: AnyStr, newline: AnyStr, count: int) -> int:
    """The index behind newline number `count` (from 1), which must be there. Halving is faster than going from one
    newline to the next."""
    low, high = 0, len(data)
    while high - low > 1:
        middle = (low + high) // 2
        here = data.count(newline, low, middle)
        if here >= count:
            high = middle
        else:
            low, count = middle, count - here
    return high


def _listing(directory: Opened, limit: int) -> Listing:
    total = 0

    def ranked() -> Iterator[tuple[bool, str, os.DirEntry[str]]]:
        nonlocal total
        for entry in entries:
            total += 1
            yield not entry.is_dir(follow_symlinks=False), entry.name, entry

    kept: list[Entry] = []
    with os.scandir(directory.fd) as entries:
        cost = 0
        for _, name, entry in heapq.nsmallest(limit, ranked()):
            cost += ENTRY_COST + json_length(name)
            if cost > LISTED:
                break
            kept.append(_entry(entry))
    return Listing(directory.path, tuple(kept), total - len(kept))


def _entry(entry: os.DirEntry[str]) -> Entry:
    try:
        status = entry.stat(follow_symlinks=False)
    except OSError:
        # It went away between the two looks.
        return Entry(entry.name, "other", 0, 0.0)
    return Entry(entry.name, kind_of(status.st_mode), status.st_size, status.st_mtime)


def kind_of(mode: int) -> str:
    if stat.S_ISREG(mode):
        return "file"
    if stat.S_ISDIR(mode):
        return "directory"
    return "symlink" if stat.S_ISLNK(mode) else "other"


def _unreadable(path: str, error: OSError) -> Refusal:
    return Refusal(ErrorCode.UNREADABLE, f"{shown(path)} cannot be read: {os.strerror(error.errno or 0)}.")
