"""What `search` looks for: lines that hold a literal or match a regular expression, in files that a glob names. Pure.

RE2 needs time in proportion to text times pattern, whatever the two are. That product is bounded as well: a large
pattern sees the text in smaller windows, between which the caller looks at the clock.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

import re2
from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

from agent_wsl.envelope import ErrorCode
from agent_wsl.errors import Refusal
from agent_wsl.files.ignore import Rule, Rules

MAX_PROGRAM = 50_000
"""Instructions of a compiled pattern."""
STEPS = 100_000_000
"""Instructions times bytes of one line: a second when RE2 is at its slowest. Windows of many lines take a quarter."""
SMALLEST, LARGEST = 4 << 10, 1 << 20
"""Bytes of a window."""
LONGEST = 16 << 20
"""Bytes of a line, or less for large patterns. A longer one is searched in parts, as if it had line ends there."""
SHOWN = 500
"""Characters of a line."""
BEFORE = 100
"""Of those, before the hit."""
MAX_GLOBS = 64
"""After {a,b} is written out."""


@dataclass(frozen=True, slots=True)
class Found:
    line: int
    """Line ends before it in the window."""
    column: int
    """Characters before the hit, in the window."""
    text: str


class LinePattern:
    def __init__(self, pattern: str, regex: bool, ignore_case: bool) -> None:
        """BAD_PATTERN when it is not understood, is too large or could match in no line."""
        if "\n" in pattern:
            raise _bad("A pattern with a line end in it matches nothing: lines are searched one by one.")
        try:
            pattern.encode("utf-8")
        except UnicodeEncodeError:
            raise _bad("The pattern holds half a character.") from None
        options = re2.Options()
        options.literal = not regex
        options.case_sensitive = not ignore_case
        options.never_nl = options.never_capture = True
        options.log_errors = False
        try:
            self._regex = re2.compile(pattern, options)
            if regex:
                # Compiled alone first: "a)(?:b" must not become right by what is put before it.
                self._regex = re2.compile("(?m)" + pattern, options)
        except re2.error as error:
            raise _bad(_in_words(error)) from None
        finally:
            # The library would keep 128 of them, of 8 MiB each.
            re2.purge()
        if self._regex.programsize > MAX_PROGRAM:
            raise _bad("The regular expression is too large: use smaller numbers in {}, or fewer character classes.")
        steps = STEPS // self._regex.programsize if regex else LONGEST
        self.longest = max(SMALLEST, min(LONGEST, steps))
        self.window = max(SMALLEST, min(LARGEST, steps // 4))

    def found(self, data: bytes) -> Iterator[Found]:
        """The first hit of each line of UTF-8 text."""
        position = line = counted = 0
        while position < len(data):
            match = self._regex.search(data, position)
            if match is None:
                return
            at = match.start()
            begin = data.rfind(b"\n", position, at) + 1 or position
            if at == len(data) == begin and begin:
                return
            end = data.find(b"\n", at)
            end = end if end >= 0 else len(data)
            line += data.count(b"\n", counted, begin)
            counted = begin
            before = data[begin:at].decode("utf-8", "replace")
            yield Found(line, len(before), _around(before, data[at : min(end, at + 4 * SHOWN)]))
            position = end + 1


def _around(before: str, rest: bytes) -> str:
    """At most SHOWN characters of the line, the hit and what is next to it among them."""
    line = before + rest.decode("utf-8", "replace")
    start = max(0, min(len(before) - BEFORE, len(line) - SHOWN))
    return line[start : start + SHOWN]


def windows(pieces: Iterable[bytes], size: int, longest: int) -> Iterator[bytes]:
    """The same bytes in parts that end at line ends: of at most `size`, or of one line of at most `longest`."""
    held: list[bytes] = []
    length = 0
    for piece in chain(pieces, (b"",)):
        held.append(piece)
        length += len(piece)
        # Joined only when there may be something to give, as a long line comes in many pieces.
        if piece and (length <= size or (length <= longest and b"\n" not in piece)):
            continue
        rest, start = b"".join(held), 0
        while len(rest) - start > size and (end := _end_of_window(rest, start, size, longest)):
            yield rest[start:end]
            start = end
        held = [rest[start:]]
        length = len(held[0])
    if length:
        yield held[0]


def _end_of_window(data: bytes, start: int, size: int, longest: int) -> int:
    """0 when the line has no end yet and may become longer."""
    end = data.rfind(b"\n", start, start + size) + 1 or data.find(b"\n", start + size, start + longest) + 1
    if end or len(data) - start <= longest:
        return end
    end = start + longest
    while end > start + longest - 3 and data[end] & 0xC0 == 0x80:
        end -= 1
    return end


class Glob:
    """git's wildcards, and {a,b}. Without a slash inside, the name matches at any depth."""

    def __init__(self, glob: str) -> None:
        """Empty for all files. BAD_PATTERN."""
        self._rules = Rules([_rule(one) for one in _written_out(glob)]) if glob else None

    def matches(self, relative: str) -> bool:
        return self._rules is None or self._rules.verdict(os.fsencode(relative)) is True


def _written_out(glob: str) -> list[str]:
    done, waiting = [], [glob.removeprefix("./")]
    while waiting:
        one = waiting.pop()
        braces = re.search(r"\{([^{}]*,[^{}]*)\}", one)
        if braces is None:
            done.append(one)
        else:
            waiting += [one[: braces.start()] + part + one[braces.end() :] for part in braces[1].split(",")]
        if len(done) + len(waiting) > MAX_GLOBS:
            raise _bad(f"The glob stands for more than {MAX_GLOBS} names: write fewer alternatives in braces.")
    return done


def _rule(glob: str) -> Rule:
    # At the beginning these two mean something in a .gitignore, but not in a glob.
    escaped = "\\" + glob if glob.startswith(("!", "#")) else glob
    try:
        regex, _ = GitIgnoreSpecPattern.pattern_to_regex(escaped)
        rule = Rule(os.fsencode(regex), True) if regex is not None else None
        if rule is not None and Rules([rule]).usable:
            return rule
    except ValueError:
        pass
    raise _bad('The glob is not understood: write it as "*.py" or "src/**/*.ts".')


def _in_words(error: Exception) -> str:
    reason = error.args[0] if error.args else "unknown"
    text = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
    if "too large" in text:
        return "The regular expression is too large: use smaller numbers in {}, or fewer character classes."
    hint = ""
    if text.startswith("invalid perl operator") or re.match(r"invalid escape sequence: \\\d", text):
        hint = " Look-around and back-references do not exist here (RE2 syntax)."
    return f"The regular expression is not understood: {text}.{hint}"


def _bad(message: str) -> Refusal:
    return Refusal(ErrorCode.BAD_PATTERN, message)
