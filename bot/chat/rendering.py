"""How an answer becomes Discord messages. Pure: text in, texts out.

The cut between two parts depends only on the text before it, so while an answer grows only its last part changes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

LIMIT = 2000
"""UTF-16 units in one message. Discord counts some characters as one and some as two; UTF-16 is never too few."""
MAX_PARTS = 6
"""Messages that one answer may take; what is longer comes as a file."""
CUT_OFF = "This is the beginning; the whole answer is in the file."

_CLOSING = 8
"""Kept free for closing a fence: a newline and up to 7 backticks."""
_OPEN = re.compile(r"[ \t]*(`{3,7})[ \t]*([\w+#.-]{0,30})[^`]*")
_CLOSE = re.compile(r"[ \t]*(`{3,})[ \t]*")


@dataclass(frozen=True, slots=True)
class Fence:
    """A code block that is open at the end of a text."""

    start: int
    """Where its opening line begins."""
    body: int
    """Where the line after it begins."""
    ticks: str
    language: str


@dataclass(frozen=True, slots=True)
class Rendered:
    parts: tuple[str, ...]
    """Messages in order; none is blank or longer than LIMIT."""
    file: str = ""
    """The whole answer, when it does not fit into MAX_PARTS messages."""


def render(text: str, note: str = "", *, final: bool = False) -> Rendered:
    """The messages of an answer so far. `note` is a sentence of the bot's own that comes after the model's words."""
    parts = split(text)
    if len(parts) <= MAX_PARTS:
        return Rendered(tuple(_with_note(parts, note)))
    shown = parts[:MAX_PARTS]
    if not final:
        return Rendered(tuple(shown))
    return Rendered(tuple(_with_note(shown, f"{CUT_OFF} {note}".strip(), own_part=True)), text)


def split(text: str, limit: int = LIMIT) -> list[str]:
    """Parts of at most `limit` units. A code block that fits into a message is not cut; a longer one is closed and
    reopened with its language."""
    parts: list[str] = []
    rest = text.strip("\n").rstrip()
    while units(rest) + _CLOSING > limit:
        cut = _cut(rest, limit - _CLOSING)
        head, rest = rest[:cut], rest[cut:]
        fence = open_fence(head)
        parts.append(_closed(head.rstrip(), fence))
        rest = _after_cut(rest, fence)
    parts.append(_closed(rest, open_fence(rest)))
    return [part for part in parts if part.strip()]


def _after_cut(rest: str, fence: Fence | None) -> str:
    if fence is None:
        # Indentation matters only at the beginning of a line.
        return rest.lstrip("\n") if rest.startswith("\n") else rest.lstrip(" \n")
    rest = rest.removeprefix("\n")
    line, _, after = rest.partition("\n")
    if _closes(line, fence.ticks):
        return after.lstrip("\n")
    return f"{fence.ticks}{fence.language}\n{rest}"


def units(text: str) -> int:
    """Length in UTF-16 units."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def open_fence(text: str) -> Fence | None:
    return _scan(text)[0]


def _scan(text: str) -> tuple[Fence | None, int]:
    """The fence that is open at the end, and where the last closed one ended (0 when there was none)."""
    fence: Fence | None = None
    closed = at = 0
    for line in text.splitlines(keepends=True):
        bare = line.rstrip("\r\n")
        if fence is None:
            if opening := _OPEN.fullmatch(bare):
                fence = Fence(at, at + len(line), opening[1], opening[2])
        elif _closes(bare, fence.ticks):
            fence, closed = None, at + len(line)
        at += len(line)
    return fence, closed


def _closes(line: str, ticks: str) -> bool:
    closing = _CLOSE.fullmatch(line)
    return closing is not None and len(closing[1]) >= len(ticks)


def _closed(text: str, fence: Fence | None) -> str:
    return text if fence is None else f"{text}\n{fence.ticks}"


def _cut(text: str, limit: int) -> int:
    """Where the first part of `text` ends; at least 1."""
    window = beginning(text, limit)
    fence, closed = _scan(window)
    if fence is not None:
        if window[: fence.start].strip():
            return fence.start
        newline = window.rfind("\n")
        return newline if newline >= fence.body else len(window)
    low = max(len(window) // 2, closed)
    for mark in ("\n\n", "\n", ". ", " "):
        at = window.rfind(mark, low)
        if at > 0:
            return at + (1 if mark == ". " else 0)
    return closed or len(window)


def beginning(text: str, limit: int) -> str:
    """The longest beginning with at most `limit` units."""
    window = text[:limit]
    while (excess := units(window) - limit) > 0:
        window = window[: -((excess + 1) // 2)]
    return window


def _with_note(parts: list[str], note: str, *, own_part: bool = False) -> list[str]:
    if not note:
        return parts
    if parts and not own_part and units(parts[-1]) + units(note) + 2 <= LIMIT:
        return [*parts[:-1], f"{parts[-1]}\n\n{note}"]
    return [*parts, note]
