"""The output of a command as a person would see it in a terminal that only scrolls. Pure.

Colours and other escape sequences are dropped; a carriage return goes back to the beginning of the line, so of a
progress bar its last state is left.
"""

from __future__ import annotations

import codecs
import re
from collections import deque

HALF = 3 << 20
"""Characters kept of the beginning, and as many of the end; the middle falls out and is counted."""
LONGEST_LINE = 4000
"""A longer one is broken."""
LONGEST_SEQUENCE = 4096
"""An escape sequence that has not ended by then is text."""

_TOKEN = re.compile(
    r"""(?P<erase>\x1b\[(?P<how>[0-2]?)K)
      | \x1b\[[0-?]*[ -/]*[@-~]                      # CSI: colours, the cursor
      | \x1b[\]PX^_][^\x07\x1b\n]*(?:\x07|\x1b\\)       # OSC and other strings: titles, links
      | \x1b[ -/]*[0-Z\\^-~]                         # all other sequences
      | (?P<control>[\x00-\x08\x0a-\x1f\x7f-\x9f])
      | (?P<text>[^\x00-\x08\x0a-\x1f\x7f-\x9f]+)
    """,
    re.VERBOSE,
)
_UNFINISHED = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|[\]PX^_][^\x07\x1b\n]*\x1b?|[ -/]*)\Z")


class Terminal:
    def __init__(self) -> None:
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._held = ""
        self._line = ""
        self._column = 0
        self._head: list[str] = []
        self._head_size = 0
        self._tail: deque[str] = deque()
        self._tail_size = 0
        self._lost = 0
        """Characters that fell out between head and tail."""

    @property
    def text(self) -> str:
        """All that is kept, in order."""
        middle = [f"\n[{self._lost} characters are left out here]\n"] if self._lost else []
        return "".join([*self._head, *middle, *self._tail, self._line])

    @property
    def lost(self) -> int:
        return self._lost

    def end(self, characters: int) -> str:
        """At least the last `characters` of the text, when it has so many; costs no more than that."""
        pieces = [self._line]
        size = len(self._line)
        for piece in (*reversed(self._tail), *reversed(self._head)) if self._tail else reversed(self._head):
            if size > characters:
                break
            pieces.append(piece)
            size += len(piece)
        return "".join(reversed(pieces))

    def skip(self, count: int) -> None:
        """Says that `count` bytes of the output were not kept by the agent."""
        self._break()
        self._keep(f"[{count} bytes of output were not kept]\n")

    def feed(self, data: bytes, *, final: bool = False) -> None:
        text = self._held + self._decode(data, final)
        self._held = ""
        if not final and (open_ := _UNFINISHED.search(text, max(0, len(text) - LONGEST_SEQUENCE))):
            text, self._held = text[: open_.start()], text[open_.start() :]
        for token in _TOKEN.finditer(text):
            if token["text"]:
                self._write(token["text"])
            elif token["control"]:
                self._obey(token["control"])
            elif token["erase"]:
                self._erase(token["how"])

    def _write(self, text: str) -> None:
        gap = " " * (self._column - len(self._line))
        self._line = f"{self._line[: self._column]}{gap}{text}{self._line[self._column + len(text) :]}"
        self._column += len(text)
        while len(self._line) > LONGEST_LINE:
            self._keep(self._line[:LONGEST_LINE])
            self._line = self._line[LONGEST_LINE:]
            self._column = max(0, self._column - LONGEST_LINE)

    def _obey(self, control: str) -> None:
        if control == "\n":
            self._keep(f"{self._line.rstrip(' ')}\n")
            self._line, self._column = "", 0
        elif control == "\r":
            self._column = 0
        elif control == "\b":
            self._column = max(0, self._column - 1)

    def _erase(self, how: str) -> None:
        if how == "2":
            self._line = ""
        elif how == "1":
            self._line = " " * min(self._column, len(self._line)) + self._line[self._column :]
        else:
            self._line = self._line[: self._column]

    def _break(self) -> None:
        if self._line:
            self._obey("\n")

    def _keep(self, piece: str) -> None:
        if self._head_size + len(piece) <= HALF and not self._tail:
            self._head.append(piece)
            self._head_size += len(piece)
            return
        self._tail.append(piece)
        self._tail_size += len(piece)
        while self._tail_size > HALF:
            dropped = len(self._tail.popleft())
            self._tail_size -= dropped
            self._lost += dropped
