"""Text files in pieces: which encoding, where the first wrong byte is, never more in memory than a piece.

A file is binary when a NUL byte stands in its first 8 KiB, as git and grep have it, and it does not begin with the
byte order mark of UTF-16.
"""

from __future__ import annotations

import codecs
import os
from collections.abc import Iterator

from agent_wsl.envelope import ErrorCode
from agent_wsl.errors import Refusal

HEAD = 8 << 10
"""Bytes that decide on the encoding."""
PIECE = 256 << 10
"""Bytes of one read."""
MARKS = (
    (codecs.BOM_UTF32_LE, ""),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
"""The mark of UTF-32 begins like that of UTF-16, so it comes first."""
IN_WORDS = {"utf-8": "UTF-8", "utf-16-le": "UTF-16", "utf-16-be": "UTF-16"}


def encoding_of(head: bytes) -> tuple[str, int]:
    """From the first HEAD bytes: the encoding ("" for binary) and the length of the byte order mark."""
    for mark, encoding in MARKS:
        if head.startswith(mark):
            return encoding, len(mark) if encoding else 0
    return ("" if b"\0" in head[:HEAD] else "utf-8"), 0


def pieces(descriptor: int, start: int, most: int) -> Iterator[bytes]:
    """What the file holds from `start` on. TOO_LARGE when it grows over `most` bytes while it is read."""
    position = start
    while data := os.pread(descriptor, PIECE, position):
        position += len(data)
        if position > most:
            raise Refusal(ErrorCode.TOO_LARGE, f"The file grew over the limit of {most} bytes while it was read.")
        yield data


def json_length(text: str) -> int:
    """Bytes that a string takes in ASCII JSON, at most."""
    return len(text) + 2 if text.isascii() and text.isprintable() else 12 * len(text) + 2


class Decoder:
    """Decodes piece after piece and knows where it is, for the error message."""

    def __init__(self, encoding: str, position: int, line: int) -> None:
        """`position` is that of the next byte in the file, `line` (from 1) its line."""
        self._encoding = encoding
        self._decoder = codecs.getincrementaldecoder(encoding)("strict")
        self._position = position
        self._line = line
        self._pending = 0

    def text(self, data: bytes, final: bool = False) -> tuple[str, Refusal | None]:
        """What can be decoded, and, if there is one, the refusal that names the first wrong byte after it."""
        try:
            text = self._decoder.decode(data, final)
        except UnicodeDecodeError as error:
            text = error.object[: error.start].decode(self._encoding)
            offset = self._position - self._pending + error.start
            line = self._line + text.count("\n")
            byte = f"byte 0x{error.object[error.start]:02x} at offset {offset} (line {line})"
            message = f"The file is no text: {byte} is no {IN_WORDS[self._encoding]}."
            return text, Refusal(ErrorCode.UNREADABLE, message)
        self._position += len(data)
        self._line += text.count("\n")
        self._pending = len(self._decoder.getstate()[0])
        return text, None
