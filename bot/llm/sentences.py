"""Cuts the stream of an answer into pieces for the voice, each as early as it can go. Pure.

The text is taken character by character, so the pieces do not depend on how the model's tokens cut it.
"""

from __future__ import annotations

from collections.abc import Callable

from bot.events import Sentence
from bot.llm.borders import (
    clause_border,
    ends_clause,
    ends_sentence,
    inside_brackets,
    inside_code,
    joiner_border,
    word_border,
    words_in,
)

FIRST_WORDS = 3
"""Words that the first piece has at least, when its sentence is longer."""
FIRST_ENOUGH = 8
"""Words after which the first piece does not wait for punctuation any more."""
FIRST_MOST = 10
SHORTEST = 2
"""Words of a sentence that is said on its own: "Yes." goes with what follows."""
LONGEST = 110
"""Characters of a piece that is not worth cutting."""
GROWTH = 2
"""Times that a piece may be as long as the one before: the voice takes about half as long as it speaks, so that the
next piece is ready when this one has been said."""
LEAST_LIMIT = 48
"""Characters; below this the voice is so quick that growth does not matter."""
FENCE = 3
"""Backticks in a row."""


class SentenceSplitter:
    def __init__(self, turn: int, speakable: Callable[[str], str] = str) -> None:
        """`speakable` turns written text into what is to be said."""
        self._turn = turn
        self._speakable = speakable
        self._index = 0
        self._text = ""
        """What is not in any piece yet."""
        self._last_length = 0
        """Characters of the last piece that is said; 0 before the first."""
        self._ticks = 0
        """Backticks in a row at the end of the text."""
        self._fence = 0
        """Backticks that opened the code block in which the text is; 0 outside."""
        self._fence_closed = False

    def feed(self, delta: str) -> list[Sentence]:
        pieces: list[Sentence] = []
        for character in delta:
            pieces += self._push(character)
        return pieces

    def finish(self) -> list[Sentence]:
        pieces: list[Sentence] = []
        if not self._fence and self._ticks >= FENCE:
            pieces += self._cut(len(self._text) - self._ticks)
            self._fence = self._ticks
        pieces += self._cut(len(self._text), code=bool(self._fence))
        self._ticks = self._fence = 0
        return pieces

    def _push(self, character: str) -> list[Sentence]:
        if character == "`" and not self._fence_closed:
            self._text += character
            self._ticks += 1
            return []
        ticks, self._ticks = self._ticks, 0
        if self._fence:
            return self._push_code(character, ticks)
        pieces: list[Sentence] = []
        if ticks >= FENCE:
            pieces += self._cut(len(self._text) - ticks)
            self._fence = ticks
        elif not character.isspace():
            pieces += self._before_word(len(self._text) - ticks, "`" if ticks else character)
        self._text += character
        return pieces

    def _push_code(self, character: str, ticks: int) -> list[Sentence]:
        if self._fence_closed and not character.isspace():
            pieces = self._cut(len(self._text), code=True)
            self._fence, self._fence_closed = 0, False
            return pieces + self._push(character)
        if ticks >= self._fence and self._closes(ticks, character):
            self._fence_closed = True
            return self._push_code(character, 0)
        self._text += character
        return []

    def _closes(self, ticks: int, following: str) -> bool:
        """A fence ends at the start of a line, or in the line in which it began."""
        lines = self._text[: len(self._text) - ticks].split("\n")
        if len(lines) == 1:
            return bool(lines[0].strip("`"))
        return not lines[-1].strip() and not following.isalnum()

    def _before_word(self, at: int, following: str) -> list[Sentence]:
        """`at` may be where a word begins: looks whether a piece is complete before it."""
        head = self._text[:at]
        if not head.strip() or not (head[-1].isspace() or head[-1] == "—"):
            return []
        if "\n" in head[len(head.rstrip()) :]:
            return self._cut(at)
        if inside_code(head):
            return []
        if ends_sentence(head, following) and len(words_in(head)) >= SHORTEST:
            return self._cut(at)
        return self._cut(self._early(head) if self._last_length else self._first(head))

    def _first(self, head: str) -> int:
        """Where to cut the first piece within a sentence; 0 for not yet."""
        count = len(words_in(head))
        if count >= FIRST_WORDS and ends_clause(head) and not inside_brackets(head):
            return len(head)
        if count < FIRST_ENOUGH:
            return 0
        border = joiner_border(head, FIRST_WORDS, LONGEST)
        if not border and count >= FIRST_MOST:
            border = word_border(head, FIRST_WORDS, LONGEST)
        return border

    def _early(self, head: str) -> int:
        """Where to cut a long sentence; 0 for not yet."""
        limit = min(LONGEST, max(LEAST_LIMIT, GROWTH * self._last_length))
        length = len(head.strip())
        # A little more than the limit must be there, or a word or two would be left alone.
        if length <= limit * 1.2:
            return 0
        border = clause_border(head, FIRST_WORDS, limit) or joiner_border(head, FIRST_WORDS, limit)
        if not border and length > limit * 1.6:
            border = word_border(head, FIRST_WORDS, limit)
        return border

    def _cut(self, at: int, *, code: bool = False) -> list[Sentence]:
        text, self._text = self._text[:at], self._text[at:]
        if not text:
            return []
        spoken = "" if code else self._speakable(text).strip()
        if not any(c.isalnum() for c in spoken):
            spoken = ""
        self._last_length = len(spoken) or self._last_length
        sentence = Sentence(self._turn, self._index, text, spoken)
        self._index += 1
        return [sentence]
