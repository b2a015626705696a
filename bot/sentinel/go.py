"""Go at run time: panics, fatal errors of the runtime, data races, failing tests."""

from __future__ import annotations

import re

from bot.sentinel.block import Block, Draft, Grammar, RawFrame, Reading, Single, indented, number

_PANIC = re.compile(r"(?:.*\bhttp: panic serving [^ ]+: |\s*panic: )(.*)$")
_FATAL = re.compile(r"fatal error: (?!error)(.*)$")
_CALL = re.compile(r"(?:created by )?([\w./*()\[\]·~-]+?)(?:\(.*\)|(?: in goroutine \d+)?)$")
_PLACE = re.compile(r"\s+((?:[A-Za-z]:)?[^\s:]+\.(?:go|s)):(\d+)(?: \+0x[0-9a-f]+.*)?$")
_FAIL = re.compile(r"\s*--- FAIL: (\S+) \(")
_LOG = re.compile(r"\s+([^\s:]+\.go):(\d+): ?(.*)$")
_TRACE = re.compile(r"\s+Error Trace:\s+(\S+?):(\d+)")


class Panic(Block):
    patience = 8

    def __init__(self, first: str) -> None:
        super().__init__(first)
        self.race = "DATA RACE" in first

    def follows(self, line: str) -> bool:
        if self.race:
            self.sure = self.sure or "goroutine" in line
            return not line.startswith("==")
        if line.startswith(("goroutine ", "runtime stack:")):
            self.sure = True
            return True
        if not self.sure:
            return not _FAIL.match(line)
        if not line or indented(line):
            return True
        return (bool(_CALL.match(line)) and "/" + line != "/FAIL" and line.endswith((")", "..."))) or line.startswith(
            "created by "
        )

    def close(self) -> Reading:
        if not self.sure:
            return Reading()
        frames: list[RawFrame] = []
        function = ""
        for line in self.lines[1:]:
            place = _PLACE.match(line)
            if place:
                frames.append(RawFrame(place[1], number(place[2]), function=function))
            elif call := _CALL.match(line.strip()):
                function = call[1]
        end = len(self.lines)
        while end > 1 and not self.lines[end - 1].strip():
            end -= 1
        if self.race:
            return Reading([Draft("go", "DATA RACE", self._race(), tuple(frames), tuple(self.lines))])
        found = _PANIC.match(self.lines[0])
        fatal = _FATAL.match(self.lines[0])
        kind, message = ("panic", found[1]) if found else ("fatal error", fatal[1] if fatal else "")
        message = message.removesuffix(" [recovered]").removesuffix(" [recovered, repanicked]")
        return Reading([Draft("go", kind, message, tuple(frames), tuple(self.lines[:end]))])

    def _race(self) -> str:
        return next((re.sub(r"0x[0-9a-f]+ ", "", line).strip(" :") for line in self.lines[1:] if line.strip()), "")


class Test(Block):
    """Since Go 1.14 -v prints a test's log before its verdict, else after it."""

    patience = 60
    panicked = False
    """What ended the test comes next, and says more."""

    def follows(self, line: str) -> bool:
        if _FAIL.match(line):
            self.sure = True
            return True
        self.panicked = line.startswith("panic: ")
        if indented(line):
            return True
        if self.sure or re.match(r"--- (?:PASS|SKIP)|PASS|FAIL|ok ", line):
            return False
        return line.startswith("===") or not line or not line.startswith(("panic: ", "fatal error: ", "#"))

    def close(self) -> Reading:
        if not self.sure or self.panicked:
            return Reading()
        places = [(f, index) for index, line in enumerate(self.lines) if (f := _LOG.match(line) or _TRACE.match(line))]
        name = [f[1] for f in map(_FAIL.match, self.lines) if f][-1]
        text = tuple(self.lines)
        if not places:
            return Reading([Draft("go", "FAIL", name, (), text, secondary=True)])
        drafts = []
        for found, index in places:
            if found.re is _TRACE or not found[3]:
                message = next(
                    (line.strip() for line in self.lines[index + 1 :] if line.strip().startswith("Error:")), ""
                )
                message = re.sub(r"^Error:\s+", "", message)
            else:
                message = found[3]
            if found.re is _LOG and not found[3] and any(f.re is _TRACE for f, _ in places):
                continue
            frame = RawFrame(found[1], number(found[2]), function=name)
            drafts.append(Draft("go", "FAIL", message or name, (frame,), text))
        return Reading(drafts[:20])


def _open(line: str, _before: str) -> Block | None:
    if _FAIL.match(line):
        block = Test(line)
        block.sure = True
        return block
    if line.startswith("=== RUN "):
        return Test(line)
    if line == "WARNING: DATA RACE" or _PANIC.match(line) or _FATAL.match(line):
        return Panic(line)
    found = re.match(
        r"(?:go: |package )(.*(?:cannot find|is not in std|no required module|go\.mod file not found).*)$", line
    )
    return Single(line, Draft("go", "", line.removeprefix("go: "))) if found else None


GRAMMAR = Grammar("go", ("--- FAIL: ", "=== RUN ", "panic", "fatal error: ", "DATA RACE", "go: ", "package "), _open)
