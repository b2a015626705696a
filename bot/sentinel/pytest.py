"""pytest: one finding per failing test, with the frames that its report names."""

from __future__ import annotations

import re

from bot.sentinel.block import Block, Draft, Grammar, RawFrame, Reading, Single, number

_HEADER = re.compile(r"_{3,} .{1,300} _{3,}$")
_END = re.compile(r"_{3,} .{1,300} _{3,}$|={3,} .{1,300} ={3,}$|!{3,} ")
_PLACE = re.compile(
    r"((?:[A-Za-z]:)?[^\s:][^:]{0,400}):(\d+): ?(?:in (.+)|([A-Za-z_][\w.]*)|([A-Za-z_][\w.]*): (.*))?$"
)
_LINE = re.compile(r"((?:[A-Za-z]:)?[^\s:][^:]{0,400}):(\d+): (\S.*)$")
_TYPED = re.compile(
    r"([A-Za-z_][\w.]*(?:Error|Exception|Warning|Exit|Interrupt|Failed|Timeout|Group)|Failed|[a-z_]+(?"
    r":\.\w+)+)(?:: ?(.*))?$"
)
_IN_MESSAGE = re.compile(r'\s*File "([^"]+)", line (\d+)')
_FIXTURE = re.compile(r"file (.+), line (\d+)$")
_SUMMARY = re.compile(r"(?:FAILED|ERROR) ([^\s:]+\.py)(?:::(\S+))?(?: - (?:([A-Za-z_][\w.]*)(?:: |$))?(.*))?$")


class Test(Block):
    patience = 350

    def __init__(self, first: str) -> None:
        super().__init__(first)
        self.printed = False

    def follows(self, line: str) -> bool:
        if _END.match(line) and not line.startswith("_ _"):
            return False
        if line.startswith("E  "):
            self.sure = True
        return True

    def close(self) -> Reading:
        frames: list[RawFrame] = []
        errors: list[str] = []
        kind, code, previous = "", "", ""
        for line in self.lines:
            if re.match(r"-{3,} Captured ", line):
                break
            if line.startswith((">", "    ")) and line[1:].strip():
                code = line[1:].strip() if line[0] == ">" else code
            if line.startswith("E  "):
                errors = errors if previous.startswith("E  ") or not previous else []
                errors.append(line[1:].strip())
                frames += [RawFrame(f[1], number(f[2])) for f in [_IN_MESSAGE.match(line[1:])] if f]
            place = _PLACE.match(line) or _FIXTURE.match(line)
            if place:
                groups = [*place.groups(), "", "", "", ""]
                frames.append(RawFrame(groups[0] or "", number(groups[1]), function=groups[2] or "", code=code))
                kind, code = groups[3] or groups[4] or kind, ""
            previous = line
        return self._said(frames, errors, kind)

    def _said(self, frames: list[RawFrame], errors: list[str], kind: str) -> Reading:
        if not errors:
            return Reading()
        typed = next((f for f in map(_TYPED.match, errors) if f and (not kind or f[1].endswith(kind))), None)
        message = (typed[2] or "" if typed else "") or errors[0]
        if typed and not kind:
            kind = typed[1]
        if not kind and errors[0].startswith("assert "):
            kind = "AssertionError"
        title = self.lines[0].strip("_ ")
        frames = [f if f.function else RawFrame(f.path, f.line, None, title, f.code) for f in frames]
        text = tuple(self.lines)
        return Reading([Draft("python", kind, message, tuple(frames), text, last_is_nearest=True)])


class OneLine(Block):
    """--tb=line: a place and an error per line, right after the heading."""

    def follows(self, line: str) -> bool:
        if _LINE.match(line):
            self.sure = True
            return True
        return line.startswith("E  ")

    def close(self) -> Reading:
        drafts = []
        for line in self.lines:
            if found := _LINE.match(line):
                typed = _TYPED.match(found[3])
                kind = typed[1] if typed else "AssertionError" if found[3].startswith("assert ") else ""
                message = (typed[2] or "") if typed else found[3]
                drafts.append(Draft("python", kind, message, (RawFrame(found[1], number(found[2])),), (line,)))
        return Reading(drafts)


def _open(line: str, _before: str) -> Block | None:
    if _HEADER.match(line) or line.startswith("ImportError while loading conftest"):
        return Test(line)
    if re.match(r"=+ (?:FAILURES|ERRORS) =+$", line):
        return OneLine(line)
    found = _SUMMARY.match(line)
    if not found:
        return None
    frame = RawFrame(found[1], None, function=found[2] or "")
    return Single(line, Draft("python", found[3] or "", found[4] or "", (frame,), secondary=True))


GRAMMAR = Grammar("pytest", ("___ ", "= FAILURES =", "= ERRORS =", "ImportError while", "FAILED ", "ERROR "), _open)
