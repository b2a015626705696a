"""Reads one process's lines with all grammars: the first that makes something of a block of lines has them."""

from __future__ import annotations

from collections.abc import Sequence

import re2

from bot.sentinel.block import Block, Draft, Grammar


class Openers:
    """Which grammars a line might open, by one pass over it for all their words."""

    def __init__(self, grammars: Sequence[Grammar]) -> None:
        self.grammars = grammars
        self._of_word: list[int] = []
        self._always = tuple(index for index, grammar in enumerate(grammars) if "" in grammar.openers)
        self._words = re2.Set.SearchSet()
        for index, grammar in enumerate(grammars):
            for word in grammar.openers:
                self._words.Add(re2.escape(word))
                self._of_word.append(index)
        self._words.Compile()

    def of(self, text: str) -> Sequence[int]:
        """In order of priority."""
        words = self._words.Match(text)
        return sorted({self._of_word[word] for word in words}) if words else self._always


class Reader:
    def __init__(self, openers: Openers) -> None:
        self._openers = openers
        self._block: Block | None = None
        self._opened_by = 0
        self._before = ""

    @property
    def busy(self) -> bool:
        return self._block is not None

    def line(self, text: str) -> list[Draft]:
        return self._read([text])

    def flush(self) -> list[Draft]:
        """Nothing follows for now: what is open is closed as it is."""
        found: list[Draft] = []
        while self._block is not None:
            waiting: list[str] = []
            found += self._close(waiting)
            found += self._read(waiting)
        return found

    def _read(self, waiting: list[str]) -> list[Draft]:
        """`waiting` is a stack: the next line is its last."""
        found: list[Draft] = []
        while waiting:
            text = waiting.pop()
            if self._block is None:
                self._open(text, 0)
            elif not self._block.take(text):
                waiting.append(text)
                found += self._close(waiting)
        return found

    def _close(self, waiting: list[str]) -> list[Draft]:
        block, self._block = self._block, None
        if block is None:
            return []
        reading = block.close()
        if reading.drafts or reading.harmless:
            waiting += reversed(reading.rest)
        else:
            waiting += reversed(block.lines[1:])
            self._open(block.lines[0], self._opened_by + 1)
        return reading.drafts

    def _open(self, text: str, start: int) -> None:
        for index in self._openers.of(text):
            block = self._openers.grammars[index].open(text, self._before) if index >= start else None
            if block is not None:
                self._block, self._opened_by = block, index
                break
        if text.strip():
            self._before = text
