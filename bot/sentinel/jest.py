"""Tests of JavaScript: jest's and vitest's reports (mocha's and node's own are plain stacks)."""

from __future__ import annotations

import re

from bot.sentinel.block import Block, Draft, Grammar, RawFrame, Reading, number
from bot.sentinel.node import FRAME

_TYPE = re.compile(r"\s*((?:[A-Z]\w*)?(?:Error|Exception))(?: \[\w+\])?(?:: ?(.*))?$")
_AT = re.compile(r"\s*\N{HEAVY RIGHT-POINTING ANGLE QUOTATION MARK ORNAMENT} (?:(.+?) )?(\S+?):(\d+):(\d+)$")
_TS = re.compile(r"\s*(\S+\.[cm]?[jt]sx?):(\d+):(\d+) - error (TS\d+): (.*)$")
_PARSE = re.compile(r"\s*(?:SyntaxError: )(\S+\.[cm]?[jt]sx?): (.*) \((\d+):(\d+)\)$")
_TAP_FRAME = re.compile(
    r"\s+(?:at )?(?:([\w.<> ]+?) \()?((?:file://|/|node:|[A-Za-z]:)[^\s():][^()]*?):(\d+):(\d+)\)?$"
)
_NO_TEST = ("Console", "Validation Warning", "Deprecation Warning", "Cannot log after tests are done")


class Failure(Block):
    patience = 200

    def __init__(self, first: str, vitest: bool) -> None:
        super().__init__(first)
        self.vitest = vitest

    def follows(self, line: str) -> bool:
        if self.vitest:
            self.sure = self.sure or bool(_AT.match(line) or FRAME.match(line))
            return not line.startswith(("⎯", " FAIL ", " Test Files", "FAIL "))
        if line.startswith("  ● ") or (line and not line.startswith("  ")):
            return False
        self.sure = self.sure or bool(line.strip())
        return True

    def close(self) -> Reading:
        body = [line for line in self.lines[1:] if line.strip()]
        if not body:
            return Reading()
        kind, message = "", body[0].strip()
        for line in body[:8]:
            found = _TYPE.match(line)
            if found:
                kind, message = found[1], found[2] or ""
                break
        frames: list[RawFrame] = []
        for line in body:
            if (ts := _TS.match(line)) and not frames:
                kind, message = ts[4], ts[5]
                frames.append(RawFrame(ts[1], number(ts[2]), number(ts[3])))
            elif (parse := _PARSE.match(line)) and not frames:
                kind, message = "SyntaxError", parse[2]
                frames.append(RawFrame(parse[1], number(parse[3]), number(parse[4])))
            elif (at := FRAME.match(line)) or (at := _AT.match(line)):
                frames.append(RawFrame(at[2], number(at[3]), number(at[4]), at[1] or ""))
        if self.vitest and not frames and not kind:
            return Reading()
        language = "typescript" if kind.startswith("TS") else "node"
        return Reading([Draft(language, kind, message, tuple(frames), tuple(self.lines))])


class Tap(Block):
    """The Test Anything Protocol, as node --test, tape and tap print it."""

    patience = 3

    def follows(self, line: str) -> bool:
        margin = len(self.lines[0]) - len(self.lines[0].lstrip())
        self.sure = self.sure or line.strip() == "---"
        return line[: margin + 1].isspace() and not line.lstrip().startswith(("not ok", "ok "))

    def close(self) -> Reading:
        said = {f[1]: f[2].strip("'\"") for f in (re.match(r"\s+(\w+): (.*)$", line) for line in self.lines) if f}
        if not self.sure or said.get("failureType") == "subtestsFailed" or re.search(r"# (?:TODO|SKIP)", self.lines[0]):
            return Reading()
        frames = [
            RawFrame(f[2], number(f[3]), number(f[4]), f[1] or "") for f in map(_TAP_FRAME.match, self.lines) if f
        ]
        if place := re.match(r"(.+):(\d+):(\d+)$", said.get("location") or said.get("at") or ""):
            frames.append(RawFrame(place[1], number(place[2]), number(place[3])))
        message = said.get("error") or said.get("message") or self.lines[0].strip()
        return Reading([Draft("node", said.get("name", ""), message, tuple(frames), tuple(self.lines))])


def _open(line: str, _before: str) -> Block | None:
    if line.startswith("  ● "):
        title = line[4:].strip()
        return None if title in _NO_TEST or title.startswith("Console") else Failure(line, vitest=False)
    if re.match(r"\s*not ok \d+", line):
        return Tap(line)
    if re.match(r"\s?FAIL  \S.*(?: > | \[ )", line):
        return Failure(line, vitest=True)
    return None


GRAMMAR = Grammar("jest", ("● ", "FAIL  ", "not ok "), _open)
