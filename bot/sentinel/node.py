"""JavaScript at run time: uncaught errors, rejected promises, errors printed with their stack, bundlers' errors."""

from __future__ import annotations

import re

from bot.sentinel.block import Block, Draft, Grammar, RawFrame, Reading, Single, number

_PATH = r"(?:file://)?(?:node:|webpack\S{0,9}://|[A-Za-z]:[\\/]|[./\w@\[\]-])[^()\n]{0,400}?"
FRAME = re.compile(rf"\s+at (?:(?:async )?(.{{1,200}}?) \()?(?:async )?({_PATH}):(\d+)(?::(\d+))?\)?(?: \{{)?$")
_BARE_FRAME = re.compile(
    r"\s+at \S.{0,300}(?:\(<anonymous>\)|\(native\)|\(index \d+\)|new Promise.*)$|\s+\.\.\. \d+ lines matching "
)
_HEAD = re.compile(
    r"((?:file://)?(?:/|[A-Za-z]:[\\/]|node:|\.{1,2}/|\w)[^:\n]{0,400}(?:\.[cm]?[jt]sx?|node:[\w/]+|"
    r"evalmachine.*|\[eval\])):(\d+)$"
)
ERROR = re.compile(
    r"(?:^|[\s\[(:])(?:Uncaught )?((?:[A-Z]\w*)?(?:Error|Exception)|AbortSignal|UnhandledPromiseRejection)"
    r"(?: \[(\w+)\])?(?:: (.*))?$"
)
_COMPILED = re.compile(r"(?:([^\s(]+)\((\d+),(\d+)\): |([^\s:]+):(\d+):(\d+) - |)error (TS\d+): (.*)$")
"""What ts-node's TSError holds."""
_CUSTOM = re.compile(r"(?:Uncaught )?([A-Z]\w{2,60})(?: \[(\w+)\])?: (.*)$")


class Stack(Block):
    def __init__(self, first: str) -> None:
        super().__init__(first)
        self.head = _HEAD.match(first)
        self.error = None if self.head else ERROR.search(first)
        self.nested = bool(self.error) and first.endswith("] {")
        """Inside the braces of the error's own properties."""
        self.sure = self.nested
        self.ended = False

    def follows(self, line: str) -> bool:
        if self.ended:
            return False
        if self.nested:
            self.ended = line.startswith("}")
            return self.ended or not line or line.startswith(" ")
        if FRAME.match(line) or _BARE_FRAME.match(line):
            if not self.error:
                return False
            self.sure = True
            self.nested = line.endswith("{")
            return True
        if self.sure:
            return False
        return self._before_the_stack(line)

    def _before_the_stack(self, line: str) -> bool:
        if not self.error:
            found = ERROR.search(line) or (_CUSTOM.match(line) if self.head else None)
            if found and line.lstrip()[:1] not in ("t", "/", "*"):
                self.error = found
                self.sure = self.nested = line.endswith("] {")
            return True
        # A second error's first line: the one before it came without a stack.
        return not (self.head is None and ERROR.match(line))

    def close(self) -> Reading:
        error = self.error
        if not error or not (self.sure or self.head):
            return Reading()
        frames = [RawFrame(self.head[1], number(self.head[2]))] if self.head else []
        at = next((i for i, line in enumerate(self.lines) if line.endswith(error[0]) or error[0] in line), 0)
        end = at + 1
        for index, line in enumerate(self.lines[at:], at):
            found = FRAME.match(line)
            if found and (not frames or frames[0].path != found[2] or frames[0].line != number(found[3])):
                frames.append(RawFrame(found[2], number(found[3]), number(found[4]), found[1] or ""))
            elif found:
                frames[0] = RawFrame(found[2], number(found[3]), number(found[4]), found[1] or "")
            end = index + 1 if self.sure else end
        message = (error[3] or "").removesuffix(" {")
        if self.lines[at].lstrip().startswith("["):
            message = message.removesuffix("]")
        if error[1] == "TSError" and (found := next((f for f in map(_COMPILED.match, self.lines) if f), None)):
            frame = RawFrame(found[1] or found[4], number(found[2] or found[5]), number(found[3] or found[6]))
            return Reading([Draft("typescript", found[7], found[8], (frame,) if frame.path else (), tuple(self.lines))])
        draft = Draft("node", error[1], message, tuple(frames), tuple(self.lines[:end]))
        return Reading([draft], [] if self.sure else self.lines[end:])


_BOXED = re.compile(r"\s+╭─+\[ ?([^\s:]+):(\d+):(\d+) ?\]$")
"""Rolldown, oxc: the message stands above the box."""


class Bundler(Block):
    """esbuild, Vite: the place stands below the message."""

    patience = 4
    _place = re.compile(r"\s+([^\s:].*?):(\d+):(\d+):?$")

    def follows(self, line: str) -> bool:
        self.sure = self.sure or bool(self._place.match(line))
        return len(self.lines) < 6 and (not line or line.startswith(" "))

    def close(self) -> Reading:
        found = next((f for f in map(self._place.match, self.lines) if f), None)
        if not found:
            return Reading()
        message = re.sub(r"^\W*\[ERROR\] ", "", self.lines[0])
        frame = RawFrame(found[1], number(found[2]), number(found[3]))
        return Reading([Draft("node", "", message, (frame,), tuple(self.lines))])


def _drawn(line: str) -> bool:
    return line.lstrip(" 0123456789")[:1] in "│╰·─"


def _open(line: str, before: str) -> Block | None:
    if found := _BOXED.match(line):
        frame = RawFrame(found[1], number(found[2]), number(found[3]))
        return Single(line, Draft("node", "", re.sub(r"^\W*\[\w+\] ", "", before).strip(), (frame,)), _drawn)
    if "[ERROR] " in line and line[:1] in "✘X\u2718":
        return Bundler(line)
    if _HEAD.match(line):
        return Stack(line)
    if line.startswith(("//", " *", "#", "+", "-", "|", "{", "throw ", "DeprecationWarning")):
        return None
    return Stack(line) if ERROR.search(line) else None


GRAMMAR = Grammar(
    "node",
    ("Error", "Exception", "js:", "ts:", "jsx:", "tsx:", "node:", "[eval]", "[ERROR] ", "Rejection", "╭─"),
    _open,
)
