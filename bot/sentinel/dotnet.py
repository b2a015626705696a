""".NET and Mono at run time: exceptions with what they hold, failing tests. MSBuild's lines are a compiler's."""

from __future__ import annotations

import re

from bot.sentinel.block import Block, Draft, Grammar, RawFrame, Reading, number

_HEAD = re.compile(
    r"(?:.*[\s:(])?(?:Unhandled [Ee]xception[.:] ?)?((?:[A-Z]\w*\.)+[A-Z]\w*(?:[`+]\w+)?|"
    r"[A-Z]\w*Exception)(?: \(0x[0-9A-Fa-f]{8}\))?: (.*)$"
)
_FRAME = re.compile(r"\s+at (.{1,400}?\)?)(?: \[0x[0-9a-f]+\])? in (.+?):(?:line )?(\d+)\s*$")
_BARE = re.compile(r"\s+at [\w.<>`+\[\],]+ ?\(.*|\s+--- End of .*|\s*---> |\s+at \(wrapper .*")
_OUTER = "--- End of inner exception stack trace ---"
_FAILED = re.compile(r"\s+Failed (\S+) \[")


class Trace(Block):
    patience = 8

    def __init__(self, first: str) -> None:
        super().__init__(first)
        self.stated = "Unhandled" in first or "UNHANDLED" in first

    def follows(self, line: str) -> bool:
        if _FRAME.match(line) or _BARE.match(line):
            self.sure = True
            return True
        return not self.sure and not line.startswith("Traceback")

    def close(self) -> Reading:
        if not self.sure:
            return Reading()
        head = next((f for f in (_HEAD.match(line.partition(" ---> ")[0]) for line in self.lines) if f), None)
        traced = [i for i, line in enumerate(self.lines) if re.match(r"\s+at ", line)]
        if head is None or not traced or not re.match(r"(?:\s+at .*\)|.* in .*:\d+)", self.lines[traced[0]]):
            return Reading()
        if "    at " in self.lines[traced[0]][:7] and not self.stated and " in " not in self.lines[traced[0]]:
            return Reading()
        parts = [i for i, line in enumerate(self.lines) if _OUTER in line]
        inner, outer = (self.lines[: parts[-1]], self.lines[parts[-1] :]) if parts else ([], self.lines)
        frames = tuple(RawFrame(f[2], number(f[3]), function=f[1]) for f in map(_FRAME.match, [*outer, *inner]) if f)
        held = next((line.partition("---> ")[2] for line in self.lines if "---> " in line), "")
        message = f"{head[2]} (caused by {held})" if held else head[2]
        return Reading([Draft("dotnet", head[1], message, frames, tuple(self.lines))])


class Test(Block):
    """dotnet test: name, message, stack."""

    patience = 40

    def follows(self, line: str) -> bool:
        self.sure = self.sure or line.strip() == "Stack Trace:"
        if self.sure:
            return line.startswith(("  ", "---")) and not _FAILED.match(line)
        return not _FAILED.match(line)

    def close(self) -> Reading:
        at = next((i for i, line in enumerate(self.lines) if line.strip() == "Error Message:"), None)
        if not self.sure or at is None:
            return Reading()
        said = self.lines[at + 1].strip()
        typed = re.match(r"((?:\w+\.)+\w*Exception) : (.*)", said)
        frames = tuple(RawFrame(f[2], number(f[3]), function=f[1]) for f in map(_FRAME.match, self.lines) if f)
        kind, message = (typed[1], typed[2]) if typed else ("", said)
        return Reading([Draft("dotnet", kind, message, frames, tuple(self.lines))])


def _open(line: str, _before: str) -> Block | None:
    if _FAILED.match(line):
        return Test(line)
    if line.startswith(("Unhandled Exception:", "Unhandled exception.")) or "FATAL UNHANDLED EXCEPTION: " in line:
        return Trace(line)
    if len(line) > 2000 or line.lstrip().startswith(("at ", "//", "*", "#", "+")):
        return None
    return Trace(line) if _HEAD.match(line) else None


GRAMMAR = Grammar("dotnet", ("xception: ", "Unhandled ", "UNHANDLED", "  Failed ", "Exception."), _open)
