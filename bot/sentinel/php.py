"""PHP: fatal and parse errors, uncaught exceptions, Laravel's log, PHPUnit."""

from __future__ import annotations

import re

from bot.sentinel.block import Block, Draft, Grammar, RawFrame, Reading, number

LONGEST = 2000
"""Characters of a line in which a place is looked for."""
_FATAL = re.compile(
    r"(?:PHP |<b>)?((?:Catchable |Recoverable )?[Ff]atal error|Parse error|Compile error)(?:</b>)?:\s+(.*)$"
)
_UNCAUGHT = re.compile(r"Uncaught (?:exception ')?([\w\\]+)(?:' with message '|: |$| in )?(.*)$")
_WHERE = re.compile(r"(.*) in (?:<b>)?(\S.*?)(?::(\d+)|(?:</b>)? on line (?:<b>)?(\d+)(?:</b>)?.*)$")
_NEXT = re.compile(r"Next ([\w\\]+): (.*)$")
"""What was thrown while the one before it was handled."""
_FRAME = re.compile(r"#\d+ (.+?)\((\d+)\): (.+)$")
_THROWN = re.compile(r"\s+thrown in (.+) on line (\d+)$")
_LARAVEL = re.compile(r".*\[object\] \(([\w\\]+)\(code: \d+\): (.*) at (\S+):(\d+)\)$")
_UNIT = re.compile(r"\d+\) ([\w\\]+::\w+)")
_UNIT_PLACE = re.compile(r"((?:/|[A-Za-z]:\\).+\.php):(\d+)$")
_TYPED = re.compile(r"((?:[A-Z][\w\\]*)?(?:Error|Exception)\w*): (.*)$")


class Fatal(Block):
    patience = 8

    def __init__(self, first: str, kind: str, said: str) -> None:
        super().__init__(first)
        self.kind = kind
        self.said = said
        self.thrown: re.Match[str] | None = None

    def follows(self, line: str) -> bool:
        if self.thrown:
            return False
        if not self.sure and "Uncaught" not in self.said:
            return False
        self.thrown = _THROWN.match(line)
        self.sure = self.sure or line.startswith("Stack trace:")
        return bool(self.thrown or not self.sure or line.startswith(("Stack trace:", "#", "Next ")) or not line)

    def close(self) -> Reading:
        kind, said = self.kind, self.said
        if uncaught := _UNCAUGHT.match(said):
            kind, said = uncaught[1], uncaught[2]
        following = [f for f in (_NEXT.match(line) for line in self.lines) if f]
        if following:
            kind, said = following[-1][1], following[-1][2]
        where = _WHERE.match(said[:LONGEST]) or next(
            (f for f in (_WHERE.match(line[:LONGEST]) for line in self.lines[1:]) if f), None
        )
        frames: list[RawFrame] = []
        if self.thrown:
            frames.append(RawFrame(self.thrown[1], number(self.thrown[2])))
        elif where:
            frames.append(RawFrame(where[2], number(where[3] or where[4])))
        frames += [RawFrame(f[1], number(f[2]), function=f[3]) for f in map(_FRAME.match, self.lines) if f]
        message = where[1] if where and said.startswith(where[1]) else said
        end = len(self.lines)
        if not self.sure:
            end = 1
        return Reading([Draft("php", kind, message.strip(), tuple(frames), tuple(self.lines[:end]))], self.lines[end:])


class Laravel(Block):
    def __init__(self, first: str, found: re.Match[str]) -> None:
        super().__init__(first)
        self.found = found
        self.sure = True

    def follows(self, line: str) -> bool:
        return line.startswith(("#", "[stacktrace]", '"}')) or not line

    def close(self) -> Reading:
        kind, message, path, line = self.found.groups()
        frames = [RawFrame(path, number(line))]
        frames += [RawFrame(f[1], number(f[2]), function=f[3]) for f in map(_FRAME.match, self.lines) if f]
        return Reading([Draft("php", kind.replace("\\\\", "\\"), message, tuple(frames), tuple(self.lines))])


class Unit(Block):
    """PHPUnit: a number and a test, what was wrong, then the places."""

    patience = 40

    def follows(self, line: str) -> bool:
        placed = _UNIT_PLACE.match(line) is not None
        if self.sure:
            return placed
        self.sure = placed
        return not _UNIT.match(line)

    def close(self) -> Reading:
        found = _UNIT.match(self.lines[0])
        if not self.sure or not found:
            return Reading()
        frames = tuple(RawFrame(f[1], number(f[2]), function=found[1]) for f in map(_UNIT_PLACE.match, self.lines) if f)
        typed = _TYPED.match(self.lines[1])
        kind, message = (typed[1], typed[2]) if typed else ("", self.lines[1])
        return Reading([Draft("php", kind, message, frames, tuple(self.lines))])


def _open(line: str, _before: str) -> Block | None:
    if found := _FATAL.match(line):
        said = found[2]
        # "Fatal error: " is TypeScript's and Swift's word too: PHP says where, or that nobody caught it.
        if line.startswith(("PHP ", "<b>")) or "Uncaught " in said or _WHERE.match(said[:LONGEST]):
            return Fatal(line, found[1], said)
        return None
    if "[object] (" in line and (found := _LARAVEL.match(line)):
        return Laravel(line, found)
    return Unit(line) if _UNIT.match(line) and "::" in line else None


GRAMMAR = Grammar("php", ("atal error", "Parse error", "Compile error", "[object] (", "::"), _open)
