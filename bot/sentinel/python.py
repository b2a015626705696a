"""Python: tracebacks (chained, groups, threads), syntax errors, crashes of the interpreter."""

from __future__ import annotations

import re

from bot.sentinel.block import Block, Draft, Grammar, RawFrame, Reading, indented, number

HEAD = "Traceback (most recent call last):"
FRAME = re.compile(r'\s*File "([^"]+)", line (\d+)(?:,? in (.+))?$')
RAISED = re.compile(r"([A-Za-z_]\w*(?:\.[A-Za-z_<]\w*>?)*)(?:: ?(.*))?$")
_GROUP_MARGIN = re.compile(r"[ |+-]*")
_LINKS = (
    "During handling of the above exception, another exception occurred:",
    "The above exception was the direct cause of the following exception:",
)
_QUIET = ("KeyboardInterrupt", "SystemExit", "GeneratorExit")
_SYNTAX = ("SyntaxError", "IndentationError", "TabError")
_MARGIN = re.compile(r"(?=.*\w).*[\s\]|:)]$")
_TAIL = 10
"""Lines of a message, looked through for the link to the next exception."""


class Traceback(Block):
    def __init__(self, first: str, margin: str) -> None:
        super().__init__(first)
        self.margin = re.sub(r"\d", "0", margin)
        self.group = "Group" in first
        self.frames = 0
        self.raised = ""
        self.after = 0
        """Lines since the exception's own."""
        self.linked = False

    def _bare(self, line: str) -> str:
        width = len(self.margin)
        if width and re.sub(r"\d", "0", line[:width]) == self.margin:
            return line[width:]
        return line

    def follows(self, line: str) -> bool:
        line = self._bare(line)
        if self.group and re.match(r"\s*[|+]", line):
            self.sure = True
            return True
        if self.raised:
            return self._continues(line)
        if self.linked and (not line or line.startswith(HEAD) or "Group Traceback" in line):
            self.linked = not line
            return True
        if FRAME.match(line):
            self.frames += 1
            self.sure = True
            return True
        if indented(line):
            return True
        found = RAISED.match(line)
        if found and self.frames:
            self.raised = found[1]
            self.after = 0
            return True
        return False

    def _continues(self, line: str) -> bool:
        """After the exception's line only the link to the next one, or lines of its message before such a link."""
        if line in _LINKS:
            self.raised, self.linked = "", True
            return True
        if self.after >= _TAIL or HEAD in line:
            return False
        self.after += 1
        return True

    def close(self) -> Reading:
        lines = [self._bare(line) for line in self.lines]
        if not self.raised and not self.group:
            return Reading()
        last = len(lines) - self.after if self.raised else len(lines)
        if self.group:
            draft = _group(lines, tuple(self.lines))
            return Reading([draft] if draft else [])
        segments = _segments(lines[:last])
        found = RAISED.match(segments[-1][-1])
        frames = _frames(segments[-1])
        if not found or not frames or found[1] in _QUIET:
            return Reading()
        message = _with_cause(found[2] or "", segments)
        text = tuple(self.lines[:last])
        return Reading([Draft("python", found[1], message, frames, text, last_is_nearest=True)], self.lines[last:])


def _segments(lines: list[str]) -> list[list[str]]:
    segments: list[list[str]] = [[]]
    for line in lines:
        if line in _LINKS:
            segments.append([])
        elif line.strip():
            segments[-1].append(line)
    return [s for s in segments if s] or [[""]]


def _with_cause(message: str, segments: list[list[str]]) -> str:
    if len(segments) < 2:
        return message
    return f"{message} (after {segments[0][-1]})" if message else f"(after {segments[0][-1]})"


def _frames(lines: list[str]) -> tuple[RawFrame, ...]:
    frames = []
    for index, line in enumerate(lines):
        found = FRAME.match(line)
        if found:
            code = lines[index + 1].strip() if index + 1 < len(lines) and indented(lines[index + 1]) else ""
            code = "" if FRAME.match(lines[index + 1] if code else "") else code
            frames.append(RawFrame(found[1], number(found[2]), function=found[3] or "", code=code))
    return tuple(frames)


def _group(lines: list[str], text: tuple[str, ...]) -> Draft | None:
    """The group's own exception comes first; what it holds follows behind longer margins."""
    bare = [_GROUP_MARGIN.sub("", line, count=1) if "|" in line or "+" in line else line for line in lines]
    top, message = "", ""
    own: list[str] = []
    rest: list[str] = []
    for line in bare:
        found = (
            None if top or not own or FRAME.match(line) else re.match(r"(\w[\w.]*): (.*\(\d+ sub-exceptions?\))$", line)
        )
        if found:
            top, message = found[1], found[2]
        (rest if top else own).append("    " + line)
    if not top:
        return None
    first, held = _frames(own), _frames(rest)
    if first and re.search(r"taskgroups?\.py$|_backends", first[-1].path):
        # A task group raises for its tasks: what went wrong stands in theirs.
        return Draft("python", top, message, first + held, text, last_is_nearest=True)
    return Draft("python", top, message, held + first, text, last_is_nearest=True)


class Syntax(Block):
    """A syntax error as the interpreter prints it when nothing has run yet."""

    patience = 6

    def follows(self, line: str) -> bool:
        if self.sure:
            return False
        self.sure = line.startswith(_SYNTAX)
        return self.sure or indented(line)

    def close(self) -> Reading:
        found = RAISED.match(self.lines[-1])
        if not self.sure or not found:
            return Reading()
        return Reading([Draft("python", found[1], found[2] or "", _frames(self.lines)[-1:], tuple(self.lines))])


class Crash(Block):
    """faulthandler: the nearest frame comes first."""

    def follows(self, line: str) -> bool:
        if FRAME.match(line):
            self.sure = True
            return True
        return not line or line.startswith(("Current thread", "Thread ", "Python runtime state", "<no Python frame>"))

    def close(self) -> Reading:
        message = self.lines[0].removeprefix("Fatal Python error: ")
        return Reading([Draft("python", "Fatal Python error", message, _frames(self.lines), tuple(self.lines))])


def _open(line: str, before: str) -> Block | None:
    if line.startswith("Fatal Python error: "):
        return Crash(line)
    at = line.find(HEAD)
    if at < 0:
        found = FRAME.match(line)
        return Syntax(line) if found and line.startswith("  File") and not found[3] else None
    margin = line[:at]
    if "Exception Group" in margin and not margin.replace("Exception Group ", "").strip(" +|"):
        return Traceback(line, "")
    if before.startswith((">>> ", "... ")) or not line.endswith(HEAD):
        # Somebody tried something out and shows what came of it.
        return None
    if margin and (not _MARGIN.match(margin) or margin[0] in "+-#>*/ \t\"'`"):
        return None
    return Traceback(line, margin)


GRAMMAR = Grammar("python", (HEAD, '  File "', "Fatal Python error: "), _open)
