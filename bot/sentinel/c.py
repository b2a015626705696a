"""C and C++ beyond the compiler's lines: linker, drivers, CMake, failed assertions, aborts, sanitizers, valgrind."""

from __future__ import annotations

import re

from bot.sentinel.block import Block, Draft, Grammar, RawFrame, Reading, Single, number

_LINK = re.compile(
    r"(?:\S*ld(?:\.\w+)?: )?(?:(\S+?):(?:(\d+)|\(\.\w+[^)]*\)): |\S+: )?"
    r"((?:undefined reference to|multiple definition of|undefined symbol:|duplicate symbol:?) [`']?[^`']+.*)$"
)
_LIBRARY = re.compile(
    r"\S*ld(?:\.\w+)?: (?:error: )?((?:cannot find|unable to find library|library not found for) .*)$"
)
_DRIVER = re.compile(
    r"\S*\b(?:gcc|g\+\+|cc|c\+\+|clang|clang\+\+|cc1|cc1plus)(?:-\d+)?(?:\.exe)?: (fatal error|error|"
    r"internal compiler error): (.*)$"
)
_CMAKE = re.compile(r"CMake Error(?: at ([^:]+):(\d+)(?: \((\w+)\))?| in ([^:]+))?:(.*)$")
_ASSERT = re.compile(
    r"(?:[^\s:]+: )?([^\s:]+\.(?:c|cc|cpp|cxx|h|hh|hpp|m|mm)):(\d+): (.+?): Assertion [`'](.*)' failed\.?"
)
_GLIBC = re.compile(
    r"(?:\*\*\* )?((?:stack smashing|buffer overflow) detected|double free or corruption.*|free\(\): .*|"
    r"malloc\w*\(\): .*|munmap_chunk\(\): .*|corrupted .*)(?: \*\*\*: .*)?$"
)
_FRAME = re.compile(
    r"\s+#\d+ 0x[0-9a-f]+ (?:in (.+?) )?\(?([^\s()]+?)(?::(\d+))?(?::(\d+))?(?:\+0x[0-9a-f]+)?\)?(?: "
    r"\(BuildId: \w+\))?$"
)
_TSAN_FRAME = re.compile(r"\s+#\d+ (.{1,400}?) ([^\s()<>]+?)(?::(\d+))?(?::(\d+))? \([^()\s]+\+0x[0-9a-f]+\)")
_SANITIZER = re.compile(r"(?:==\d+==)?\s*(?:ERROR|WARNING): (Address|Leak|Thread|Memory|HWAddress)Sanitizer: (.*)$")
_UB = re.compile(r"([^\s:]+):(\d+):(\d+): runtime error: (.*)$")
_VALGRIND = re.compile(
    r"==\d+== (Invalid (?:read|write|free)[^=]*|Conditional jump or move depends on uninitialised "
    r"value\(s\)|Use of uninitialised value.*"
    r"|Process terminating with default action of signal .*|Jump to the invalid address.*|Mismatched "
    r"free.*|Source and destination overlap.*"
    r"|.* are definitely lost in loss record .*|Syscall param .*)$"
)
_VALGRIND_FRAME = re.compile(r"==\d+==\s+(?:at|by) 0x[0-9A-Fa-f]+: (.+?) \((?:in )?([^\s():]+)(?::(\d+))?\)$")


class Terminated(Block):
    """terminate called after throwing ...: the message may follow."""

    patience = 3

    def follows(self, line: str) -> bool:
        return line.startswith("  what():")

    def close(self) -> Reading:
        found = re.search(r"instance of '(.+)'", self.lines[0])
        message = self.lines[1].partition("what():")[2].strip() if len(self.lines) > 1 else self.lines[0]
        return Reading([Draft("c", found[1] if found else "terminate", message, (), tuple(self.lines))])


class CMake(Block):
    def follows(self, line: str) -> bool:
        return not line or line.startswith("  ")

    def close(self) -> Reading:
        found = _CMAKE.match(self.lines[0])
        if not found:
            return Reading()
        message = found[5].strip() or next((line.strip() for line in self.lines[1:] if line.strip()), "")
        path = found[1] or found[4]
        frames = (RawFrame(path, number(found[2]), function=found[3] or ""),) if path else ()
        return Reading([Draft("cmake", "CMake Error", message, frames, tuple(self.lines))])


class Sanitizer(Block):
    def __init__(self, first: str, found: re.Match[str]) -> None:
        super().__init__(first)
        self.sure = True
        self.found = found
        self.ended = False

    def follows(self, line: str) -> bool:
        if self.ended:
            return line.endswith("==ABORTING")
        self.ended = line.startswith("SUMMARY: ")
        return _SANITIZER.match(line) is None or self.ended

    def close(self) -> Reading:
        tool, said = self.found[1], self.found[2]
        if tool == "Leak":
            kind, message = "memory leak", said
        elif said.startswith("attempting "):
            kind, message = re.sub(r" on .*| \(pid.*|:.*", "", said.removeprefix("attempting ")), said
        else:
            kind, message = re.split(r" on | \(pid|:| in ", said, maxsplit=1)[0], said
        frames = [_frame(f) for line in self.lines if (f := _FRAME.match(line) or _TSAN_FRAME.match(line))]
        return Reading([Draft("c", kind.strip(), message, tuple(f for f in frames if f.line), tuple(self.lines))])


def _frame(found: re.Match[str]) -> RawFrame:
    return RawFrame(found[2], number(found[3]), number(found[4]), found[1] or "")


class Valgrind(Block):
    def follows(self, line: str) -> bool:
        self.sure = self.sure or bool(_VALGRIND_FRAME.match(line))
        return bool(re.match(r"==\d+==\s+\S", line))

    def close(self) -> Reading:
        found = _VALGRIND.match(self.lines[0])
        frames = tuple(
            RawFrame(f[2], number(f[3]), function=f[1]) for f in map(_VALGRIND_FRAME.match, self.lines) if f and f[3]
        )
        if not found or not frames:
            return Reading()
        lost = "definitely lost" in found[1]
        kind = "memory leak" if lost else re.sub(r" of size \d+.*| with default.*|\(s\)", "", found[1]).strip()
        return Reading([Draft("c", kind, found[1], frames, tuple(self.lines))])


def _linker(line: str) -> Block | None:
    if ("undefined " in line or "multiple " in line or "duplicate " in line) and (found := _LINK.match(line)):
        kind = re.match(r"(undefined reference|multiple definition|undefined symbol|duplicate symbol)", found[3])
        frames = (RawFrame(found[1], number(found[2])),) if found[1] and not found[1].endswith(".o") else ()
        return Single(line, Draft("c", kind[1] if kind else "", found[3], frames))
    if "ld: " in line and (found := _LIBRARY.match(line)):
        return Single(line, Draft("c", "linker", found[1]))
    if found := _DRIVER.match(line):
        return Single(line, Draft("c", found[1], found[2], secondary="linker command failed" in line))
    return None


def _open(line: str, _before: str) -> Block | None:
    if "Sanitizer: " in line and (found := _SANITIZER.match(line)):
        return Sanitizer(line, found)
    if "runtime error: " in line and (found := _UB.match(line)):
        frame = RawFrame(found[1], number(found[2]), number(found[3]))
        return Single(line, Draft("c", "runtime error", found[4], (frame,)), lambda text: bool(_FRAME.match(text)))
    if line.startswith("terminate called"):
        return Terminated(line)
    if line.startswith("CMake Error"):
        return CMake(line)
    if "Assertion " in line and (found := _ASSERT.match(line)):
        frame = RawFrame(found[1], number(found[2]), function=found[3])
        return Single(line, Draft("c", "Assertion", found[4], (frame,)))
    if line.startswith("==") and _VALGRIND.match(line):
        return Valgrind(line)
    if found := _GLIBC.match(line):
        return Single(line, Draft("c", "abort", found[1]))
    return _linker(line)


GRAMMAR = Grammar(
    "c",
    (
        "Sanitizer: ",
        "runtime error: ",
        "terminate called",
        "CMake Error",
        "Assertion ",
        "==",
        " detected ***",
        "free()",
        "malloc",
        "double free",
        "corrupted ",
        "undefined ",
        "multiple definition",
        "duplicate symbol",
        "ld: ",
        "error: ",
    ),
    _open,
)
