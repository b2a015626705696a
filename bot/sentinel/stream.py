"""From bytes, cut anywhere, to the lines worth reading: in constant memory, and fast where nothing is wrong.

A whole chunk is searched for the words that errors have. Only the lines around a hit are decoded and read one by one;
which lines those are depends on the text alone, never on how it was cut.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import re2

CONTEXT = 40
"""Lines before a hit among which a heading is looked for that the hit belongs to."""
BEFORE = 2
"""Lines before a hit that are read in any case."""
MAX_LINE = 8192
"""Bytes of a line that count; the rest is passed over."""
PIECE = 256 * 1024
WORDS = (
    r"rror(?:[:\[()<,/]|$| TS| [A-Z\[(]| while | code | response | near | at | in | - |  |s? found)",
    r"(?:npm|  ) ?error ",
    r"ERR!",
    r"ERR_PNPM",
    r"ERROR: ",
    r"\[ERROR\] ",
    r"ERROR \S+\.py",
    r"xception(?:[:.()'\[]|$| in thread| \[| ')",
    r"Throwable",
    r"Traceback \(",
    r"panic(?:ked|:| serving)",
    r"FAIL(?:: | |ED \S|URES =)",
    r"____",
    r"atal(?: error|: )",
    r"FATAL ",
    r"not found(?:$|:)",
    r"o such file",
    r"ermission denied",
    r"egmentation fault",
    r"\*\*\* ",
    r"undefined (?:ref|sym)",
    r"unbound variable",
    r"Sanitizer: ",
    r"runtime error",
    r"^@@ -",
    r"Killed",
    r"Aborted",
    r"\.go:[0-9]+:[0-9]+: ",
    r"ailure[:/]",
    r"  Failed ",
    r"Failed (?:asserting|building)",
    r"failed to (?:solve|compute|read docker|build)",
    r"\.rb:[0-9]+:",
    r"\tat ",
    r"  at ",
    r"terminate called",
    r"Assertion ",
    r'File "',
    r"DATA RACE",
    r"== +at 0x",
    r"● ",
    "\u276f ",
    r"╭─",
    r"not recognized",
    r"multiple definition",
    r"duplicate symbol",
    r"ld: ",
    r"=== RUN ",
    r"missing separator",
    r"No rule",
    r"ockerfile",
    r"ocker (?:daemon|command)",
    r"Floating point",
    r"Exec format",
    r"arithmetic",
    r"\[object\] \(",
    r"parameter not set",
    r"cannot open",
    r"[Bb]ad substitution",
    r"No space left",
    r"division by",
    r"ambiguous redirect",
    r"a directory",
    r"prepare context",
    r"ninja: ",
    r"free\(\)",
    r"malloc\w*\(\): ",
    r"double free",
    r"corrupted (?:size|double|top|uns)",
    r"not ok ",
    r"^e: ",
    r"^go: ",
    r"^package ",
    r"\(SyntaxError\)",
    r"Rejection",
    r"Bus error",
    r"Illegal ",
    r"detected \*\*\*",
)
"""What an error has somewhere. A word that all logs are full of would cost the speed."""
_HEADING = rb"(?m:(?:\.[cm]?[jt]sx?|\.vue|\.svelte|node:[\w/]+|\[eval\]|evalmachine.*)(?::\d+)?\r?$)"
"""Errors are told below the name of their file in some reports."""
_ANSI = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b\n]*(?:\x07|\x1b\\)?|[@-Z\\^_=>]|\([A-Z0-9])")
_CR = re.compile(rb"\r+\n?")


class Prefilter:
    def __init__(self, more: tuple[str, ...] = ()) -> None:
        """`more`: patterns of the user's that no word of ours is in."""
        options = re2.Options()
        options.encoding = re2.Options.Encoding.LATIN1
        source = "(?m)" + "|".join(f"(?:{word})" for word in (*WORDS, *more))
        self._search = re2.compile(source.encode(), options).search
        self._heading = re2.compile(_HEADING, options).search

    def next(self, data: bytes, start: int) -> int:
        """Where the next line worth reading has its hit, or -1."""
        found = self._search(data, start)
        # A user's pattern may fit the empty end.
        return -1 if found is None or found.start() >= len(data) else found.start()

    def heading(self, data: bytes, start: int, end: int) -> int:
        found = self._heading(data, start, end)
        return end if found is None else data.rfind(b"\n", 0, found.start() + 1) + 1


class Stream:
    """One source's bytes."""

    def __init__(self, prefilter: Prefilter) -> None:
        self._next = prefilter.next
        self._heading = prefilter.heading
        self._rest = b""
        """What follows the last line end."""
        self._behind = b""
        """Whole lines that were passed over, at most CONTEXT of them: a hit may call them back."""
        self._begun = False
        self.attentive = False
        """Set by who reads: every line is wanted, something is open."""

    def feed(self, data: bytes) -> Iterator[str]:
        for start in range(0, len(data), PIECE):
            yield from self._piece(data[start : start + PIECE])

    def flush(self) -> Iterator[str]:
        """What stands there without a line end is a line."""
        if self._rest:
            rest, self._rest = self._rest.rstrip(b"\r"), b""
            yield from self._lines(self._plain(rest + b"\n"))

    def _piece(self, data: bytes) -> Iterator[str]:
        data = self._rest + data
        body = data.rstrip(b"\r")
        # A carriage return at the end may be half of a line end.
        held = data[len(body) :][-1:]
        if b"\r" in body:
            body = _CR.sub(b"\n", body)
        end = body.rfind(b"\n") + 1
        self._rest = body[end : end + MAX_LINE] + held
        if end:
            yield from self._lines(self._plain(body[:end]))

    def _plain(self, data: bytes) -> bytes:
        if not self._begun:
            self._begun = True
            data = data.removeprefix(b"\xef\xbb\xbf")
        return _ANSI.sub(b"", data) if b"\x1b" in data else data

    def _lines(self, fresh: bytes) -> Iterator[str]:
        data = self._behind + fresh
        position, searched = 0, len(self._behind)
        while True:
            if self.attentive:
                if searched > position:
                    position = searched
                if position >= len(data):
                    break
                end = data.index(b"\n", position)
                yield _text(data, position, end)
                position = searched = end + 1
                continue
            hit = self._next(data, searched)
            if hit < 0:
                break
            start = data.rfind(b"\n", 0, hit) + 1
            end = data.index(b"\n", hit)
            if hit - start < MAX_LINE:
                if start > position:
                    first = self._heading(data, _back(data, start, position, CONTEXT), start)
                    first = min(first, _back(data, start, position, BEFORE))
                    for line_start, line_end in _ends(data, first, start - 1):
                        yield _text(data, line_start, line_end)
                yield _text(data, start, end)
                position = end + 1
            searched = end + 1
        self._behind = data[_back(data, len(data), position, CONTEXT) :]


def _text(data: bytes, start: int, end: int) -> str:
    return data[start : min(end, start + MAX_LINE)].decode("utf-8", "replace")


def _back(data: bytes, start: int, first: int, lines: int) -> int:
    """The start of the line that many lines before `start`, not before `first`."""
    for _ in range(lines):
        if start <= first:
            return first
        start = data.rfind(b"\n", first, start - 1) + 1
        if start == 0:
            return first
    return max(start, first)


def _ends(data: bytes, start: int, last: int) -> Iterator[tuple[int, int]]:
    while start <= last:
        end = data.index(b"\n", start)
        yield start, end
        start = end + 1
