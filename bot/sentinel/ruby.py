"""Ruby: uncaught exceptions, syntax errors, RSpec's and minitest's failures, Rails' log."""

from __future__ import annotations

import re

from bot.sentinel.block import Block, Draft, Grammar, RawFrame, Reading, number

_P = r"(<internal:[^>\n]{1,300}>|(?:[A-Za-z]:)?[^\s:'\"(][^:'\"]{0,400})"
_RAISED = re.compile(rf"(?:.*\s)?{_P}:(\d+):(?:in [`'](.+?)':)? (.*?)(?: \(([A-Z]\w*(?:::\w+)*)\))?$")
_FROM = re.compile(rf"\s+(?:\d+: )?from {_P}:(\d+):in [`'](.+)'$")
_SYNTAX = re.compile(rf"{_P}:(\d+): (syntax errors? .*|syntax error, .*|.*\(SyntaxError\))$")
_RSPEC_PLACE = re.compile(rf"\s*# {_P}:(\d+)(?::in [`'](.+)')?$")
_MINITEST = re.compile(rf"(\S+#\S+|\S+) ?\[{_P}:(\d+)\]:$")
_TYPE = re.compile(r"\s*([A-Z]\w*(?:::\w+)*):(?: (.*))?$")
_PLACE = re.compile(rf"\s+{_P}:(\d+):in [`'](.+)'$")
_RAILS = re.compile(r"(?:.*\s)?([A-Z]\w*(?:::\w+)*) \((.*)\):$")


class Raised(Block):
    """The class may stand on the first line, with more of the message below it."""

    patience = 14

    def __init__(self, first: str, found: re.Match[str]) -> None:
        super().__init__(first)
        self.found = found
        self.kind = found[5] or ""
        self.sure = bool(self.kind)
        self.traced = False

    def follows(self, line: str) -> bool:
        if _FROM.match(line):
            self.traced = True
            return True
        if not self.sure:
            found = re.match(r"(.*) \(([A-Z]\w*(?:::\w+)*)\)$", line)
            if found:
                self.kind, self.sure = found[2], True
            return True
        if self.traced and (cause := _RAISED.match(line)) and cause[3] and cause[5]:
            return True
        return not self.traced and len(self.lines) < 8 and line.startswith(("  ", "\t", "Did you mean", "> ", "^"))

    def close(self) -> Reading:
        if not self.kind:
            return Reading()
        frames = [RawFrame(self.found[1], number(self.found[2]), function=self.found[3] or "")]
        frames += [RawFrame(f[1], number(f[2]), function=f[3]) for f in map(_FROM.match, self.lines[1:]) if f]
        if self.kind == "SyntaxError":
            # What could not be read is named in the message; the frames are of who wanted to read it.
            places = [re.match(rf"\s*(?:--> |)?{_P}:(\d+): ", line) for line in self.lines[1:8]]
            frames = [RawFrame(f[1], number(f[2])) for f in places if f] + frames
        return Reading([Draft("ruby", self.kind, self.found[4], tuple(frames), tuple(self.lines))])


class Syntax(Block):
    """The same place is told again on the next lines."""

    def __init__(self, first: str, found: re.Match[str]) -> None:
        super().__init__(first)
        self.found = found
        self.sure = True

    def follows(self, line: str) -> bool:
        return len(self.lines) < 12 and (
            line.startswith((" ", "...", "\t", "> ", "^"))
            or bool(_SYNTAX.match(line) and line.startswith(self.found[1]))
        )

    def close(self) -> Reading:
        message = self.found[3].removesuffix(" (SyntaxError)")
        place = RawFrame(self.found[1], number(self.found[2]))
        return Reading([Draft("ruby", "SyntaxError", message, (place,), tuple(self.lines))])


class Example(Block):
    """RSpec's and minitest's numbered reports."""

    patience = 25

    def follows(self, line: str) -> bool:
        if re.match(r"\s+\d+\) ", line) or re.match(
            r"(?:Finished in|No examples found|\d+ (?:examples|runs|tests)|Failed examples)", line
        ):
            return False
        if "Failure/Error:" in line or _MINITEST.match(line) or _PLACE.match(line) or _RSPEC_PLACE.match(line):
            self.sure = True
        return bool(line) or not (self.lines[-1] == "" and not self._rspec) or not self.sure

    @property
    def _rspec(self) -> bool:
        return any("Failure/Error:" in line for line in self.lines[:8])

    def close(self) -> Reading:
        if not self.sure:
            return Reading()
        if self._rspec:
            return self._spec()
        kind, message = "", ""
        frames: list[RawFrame] = []
        for index, line in enumerate(self.lines[1:], 1):
            if (found := _MINITEST.match(line)) and not frames:
                frames.append(RawFrame(found[2], number(found[3]), function=found[1]))
                message = message or " ".join(part.strip() for part in self.lines[index + 1 : index + 3])
            elif (place := _PLACE.match(line)) is not None:
                frames.append(RawFrame(place[1], number(place[2]), function=place[3]))
            elif not kind and index > 1 and (typed := _TYPE.match(line)) and "Error" in self.lines[0]:
                kind, message = typed[1], typed[2] or ""
        if not frames:
            return Reading()
        return Reading([Draft("ruby", kind, message.strip(), tuple(frames), tuple(self.lines))])

    def _spec(self) -> Reading:
        if re.match(r"\s+# (?!\S+:\d+)", self.lines[1]):
            # Pending: expected to fail, and why.
            return Reading(harmless=True)
        at = next(i for i, line in enumerate(self.lines) if "Failure/Error:" in line)
        body = [line.strip() for line in self.lines[at + 1 :] if line.strip()]
        typed = next((f for f in map(_TYPE.match, body[:8]) if f and f[1] != "Diff"), None)
        frames = [RawFrame(f[1], number(f[2]), function=f[3] or "") for f in map(_RSPEC_PLACE.match, self.lines) if f]
        kind = typed[1] if typed else ""
        expected = [line for line in body[:6] if line.startswith(("expected", "got:", "Expected"))]
        message = (
            (typed[2] or next(iter(body[body.index(typed[0].strip()) + 1 :]), "")) if typed else " ".join(expected)
        )
        return Reading([Draft("ruby", kind, message or next(iter(body), ""), tuple(frames), tuple(self.lines))])


class Rails(Block):
    patience = 4

    def __init__(self, first: str, found: re.Match[str]) -> None:
        super().__init__(first)
        self.found = found

    def follows(self, line: str) -> bool:
        placed = re.match(rf"\s*{_P}:(\d+):in [`']", line) is not None
        self.sure = self.sure or placed
        return placed or not line.strip()

    def close(self) -> Reading:
        places = [re.match(rf"\s*{_P}:(\d+):in [`'](.+)'", line) for line in self.lines[1:]]
        frames = tuple(RawFrame(f[1], number(f[2]), function=f[3]) for f in places if f)
        if not frames:
            return Reading()
        return Reading([Draft("ruby", self.found[1], self.found[2], frames, tuple(self.lines))])


def _open(line: str, before: str) -> Block | None:
    if re.match(r"\s+\d+\) |An error occurred while loading |(?:Failure|Error):$", line):
        return Example(line)
    if line.startswith(("from ", "\t", "#", "+", "-", "//")) or len(line) > 2000:
        return None
    if found := _SYNTAX.match(line):
        return Syntax(line, found) if re.search(r"\.(?:rb|ru|rake)$|^-e$|file$", found[1]) else None
    found = _RAISED.match(line)
    if (
        found
        and (found[3] or found[5])
        and re.search(r"\.(?:rb|ru|rake|erb)$|^-e$|file$|^<internal|/bin/\w+$|^\S+$", found[1])
    ):
        return Raised(line, found)
    rails = _RAILS.match(line)
    return Rails(line, rails) if rails else None


GRAMMAR = Grammar(
    "ruby", (":in `", ":in '", "rror)", "An error occ", ".rb:", ") ", "Failure:", "Error:", "):", "-e:"), _open
)
