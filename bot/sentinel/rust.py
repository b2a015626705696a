"""Rust: the compiler's errors, cargo's, panics, failing tests, errors that main returns."""

from __future__ import annotations

import re

from bot.sentinel.block import Block, Draft, Grammar, RawFrame, Reading, Single, indented, number

_ERROR = re.compile(r"error(?:\[(E\d+|[\w:]+)\])?: (.*)$")
_ARROW = re.compile(r"\s*--> (.+?):(\d+):(\d+)$")
_FRAME_OF_CODE = re.compile(r"\s*\d* *[|=]|\.\.\.|\s+(?:-->|:::) ")
_SUMMARY = re.compile(
    r"(?:could not compile|aborting due to|test failed, to rerun|\d+ targets? failed|build failed|process didn't exit)"
)
_CARGO = re.compile(
    r"(?:no matching package|failed to (?:parse manifest|select a version|load source|get|run custom "
    r"build|resolve|read|download|parse lock)"
    r"|linking with|could not find `Cargo|no bin target|package ID|the lock file|cannot find (?:macro|crate)"
    r"|environment variable `|proc macro panicked|no such (?:command|subcommand)|invalid character|toolchain|rustup)"
)
_PANIC = re.compile(r"thread '(.{0,200})' (?:\(\d+\) )?panicked at (?:'(.*)', )?(.*?)(?::(\d+):(\d+))?:?$")
_AT = re.compile(r"\s+at (.+?):(\d+)(?::(\d+))?$")
_CALL = re.compile(r"\s+\d+: (?:0x[0-9a-f]+ - )?(.+)$")
_RETURNED = re.compile(r'Error: ((?:[A-Z]\w+(?:::\w+)*)(?:\(.*\)?| \{.*\}?|$)|".*"$)')


class Compiled(Block):
    patience = 5

    def __init__(self, first: str, found: re.Match[str]) -> None:
        super().__init__(first)
        self.code = found[1] or ""
        self.message = found[2]
        self.place: re.Match[str] | None = None

    def follows(self, line: str) -> bool:
        if self.place is None:
            self.place = _ARROW.match(line)
            self.sure = self.place is not None
            return self.sure or line.startswith(" ") or bool(line and not line.startswith(("error", "warning")))
        return bool(_FRAME_OF_CODE.match(line))

    def close(self) -> Reading:
        kind = f"error[{self.code}]" if self.code else "error"
        if self.place is None:
            rest = self.lines[1:]
            if self.code:
                return Reading([Draft("rust", kind, self.message, (), (self.lines[0],))], rest)
            if _CARGO.match(self.message):
                return Reading([Draft("rust", kind, self.message, (), (self.lines[0],))], rest)
            return Reading()
        where = RawFrame(self.place[1], number(self.place[2]), number(self.place[3]), code=self._source())
        return Reading([Draft("rust", kind, self.message, (where,), tuple(self.lines))])

    def _source(self) -> str:
        line = self.place[2] if self.place else ""
        found = next((f for f in (re.match(rf"\s*{line} *\| (.*)", text) for text in self.lines) if f), None)
        return found[1].strip() if found else ""


class Panic(Block):
    patience = 30

    def __init__(self, first: str, found: re.Match[str]) -> None:
        super().__init__(first)
        self.found = found
        self.ended = False

    def follows(self, line: str) -> bool:
        if self.ended:
            return False
        if line.startswith("stack backtrace:"):
            self.sure = True
            return True
        if self.sure:
            return bool(_AT.match(line) or _CALL.match(line))
        if line.startswith("note: "):
            self.ended = "RUST_BACKTRACE" in line and not line.startswith("note: Some details")
            return True
        return bool(line) and not line.startswith(("thread '", "---- ", "failures:", "test ", "error"))

    def close(self) -> Reading:
        found = self.found
        message = found[2] or next((line for line in self.lines[1:] if line.strip()), "")
        frames = [RawFrame(found[3], number(found[4]), number(found[5]))] if found[4] else []
        function = ""
        for line in self.lines[1:]:
            if at := _AT.match(line):
                frames.append(RawFrame(at[1], number(at[2]), number(at[3]), function))
            elif call := _CALL.match(line):
                function = call[1]
        return Reading([Draft("rust", "panic", message, tuple(frames), tuple(self.lines))])


class Returned(Block):
    """What main gave back: a value's debug form. Other programs say "Error: " too, but not in that form."""

    patience = 4

    def follows(self, line: str) -> bool:
        self.sure = self.sure or line == "Caused by:"
        return (not line and not self.sure) or line == "Caused by:" or (indented(line) and self.sure)

    def close(self) -> Reading:
        found = _RETURNED.match(self.lines[0])
        if not found and not self.sure:
            return Reading()
        said = self.lines[0].removeprefix("Error: ")
        kind = re.match(r"[A-Z]\w+", said) if found else None
        return Reading([Draft("rust", kind[0] if kind else "Error", said, (), tuple(self.lines))])


def _open(line: str, _before: str) -> Block | None:
    if found := _PANIC.match(line):
        return Panic(line, found)
    if line.startswith("Error: "):
        return Returned(line)
    found = _ERROR.match(line)
    if not found:
        return None
    if _SUMMARY.match(found[2]):
        return Single(line, Draft("rust", "error", found[2], secondary=True))
    return Compiled(line, found)


GRAMMAR = Grammar("rust", ("error: ", "error[", "panicked at", "Error: "), _open)
