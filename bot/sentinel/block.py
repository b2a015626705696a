"""The seam of all detectors: a grammar opens a block at a line, the block takes lines until one is not its own.

What a block makes of its lines it says once, when it is closed. One that makes nothing of them gives all but its first
line back, to be read by others; so a grammar may open on little evidence as long as it loses patience soon.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

MAX_LINES = 400
"""More than a block keeps: of a recursion's thousand frames the middle goes."""
KEPT_HEAD = 150


@dataclass(frozen=True, slots=True)
class RawFrame:
    path: str
    line: int | None
    column: int | None = None
    function: str = ""
    code: str = ""
    """The source line, where the error shows it: tells two places of one function apart when line numbers move."""
    foreign: bool = False
    """Known to be a dependency's for a reason that its path does not show, such as a Java package."""


@dataclass(frozen=True, slots=True)
class Draft:
    """An error as the text tells it, before it is known whose frames are the project's."""

    language: str
    type: str
    message: str
    frames: tuple[RawFrame, ...] = ()
    text: tuple[str, ...] = ()
    last_is_nearest: bool = False
    """Python lists the nearest frame last, most others first."""
    secondary: bool = False
    """Says only that something failed ("Error 1"); of no interest after an error that says what."""


@dataclass(slots=True)
class Reading:
    drafts: list[Draft] = field(default_factory=list)
    rest: list[str] = field(default_factory=list)
    """Lines at the end that were taken but belong to what follows."""
    harmless: bool = False
    """Without a draft: nobody else is to read the lines either."""


class Block:
    """One line, and for a subclass what follows it."""

    patience = 12
    """Lines after which a block that is not sure yet gives up."""

    def __init__(self, first: str) -> None:
        self.lines = [first]
        self.sure = False

    def take(self, line: str) -> bool:
        if not self.sure and len(self.lines) >= self.patience:
            return False
        if not self.follows(line):
            return False
        self.lines.append(line)
        if len(self.lines) > MAX_LINES:
            del self.lines[KEPT_HEAD : KEPT_HEAD + 50]
        return True

    def follows(self, line: str) -> bool:
        """Whether it belongs to the block."""
        return False

    def close(self) -> Reading:
        raise NotImplementedError


class Single(Block):
    """Errors whose first line says it all; lines that illustrate it (code, carets) are kept as text."""

    shown = 12

    def __init__(self, first: str, draft: Draft, illustrates: Callable[[str], bool] | None = None) -> None:
        super().__init__(first)
        self.draft = draft
        self.illustrates = illustrates
        self.sure = True

    def follows(self, line: str) -> bool:
        return self.illustrates is not None and len(self.lines) <= self.shown and self.illustrates(line)

    def close(self) -> Reading:
        d = self.draft
        done = Draft(d.language, d.type, d.message, d.frames, tuple(self.lines), d.last_is_nearest, d.secondary)
        return Reading([done])


@dataclass(frozen=True, slots=True)
class Grammar:
    name: str
    openers: tuple[str, ...]
    """A line with none of these opens nothing: looked for before any regular expression is tried. Empty: any line."""
    open: Callable[[str, str], Block | None]
    """From a line and the one before it."""


def number(text: str | None) -> int | None:
    return int(text) if text and len(text) < 10 else None


def indented(line: str) -> bool:
    return line.startswith((" ", "\t"))
