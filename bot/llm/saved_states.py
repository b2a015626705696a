"""What a model had evaluated of conversations that had to make room for others, bounded in memory. Pure."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

LIMIT_BYTES = 256_000_000
"""A token of the 0.5B model takes 12 kB, one of Phi-3-mini 393 kB: 20 000 and 650 tokens."""
WORTH_TOKENS = 48
"""Fewer are evaluated sooner than a state is copied, and every answer leaves a few that differ."""


@dataclass(frozen=True, slots=True)
class Saved:
    tokens: tuple[int, ...]
    data: Any
    """llama.cpp's own bytes of it, a ctypes array."""
    common: int
    """Tokens that it has in common with what was looked for."""


class SavedStates:
    def __init__(self, limit_bytes: int = LIMIT_BYTES) -> None:
        self._limit = limit_bytes
        self._size = 0
        self._states: OrderedDict[tuple[int, ...], Any] = OrderedDict()

    @property
    def size(self) -> int:
        """Bytes."""
        return self._size

    @staticmethod
    def worth(tokens: int) -> bool:
        return tokens >= WORTH_TOKENS

    def takes(self, size: int) -> bool:
        return 0 < size <= self._limit

    def put(self, tokens: Sequence[int], data: Any) -> None:
        """The longest unused ones make room; one that this continues is not needed any more."""
        key = tuple(tokens)
        for known in [each for each in self._states if key[: len(each)] == each]:
            self._drop(known)
        while self._states and self._size + len(data) > self._limit:
            self._drop(next(iter(self._states)))
        self._states[key] = data
        self._size += len(data)

    def best(self, tokens: Sequence[int]) -> Saved | None:
        """The one with the longest common start."""
        found = max(self._states, key=lambda each: common(each, tokens), default=None)
        if found is None:
            return None
        self._states.move_to_end(found)
        return Saved(found, self._states[found], common(found, tokens))

    def clear(self) -> None:
        self._states.clear()
        self._size = 0

    def _drop(self, key: tuple[int, ...]) -> None:
        self._size -= len(self._states.pop(key))


def common(one: Sequence[int], other: Sequence[int]) -> int:
    """Length of the common start."""
    for at, (left, right) in enumerate(zip(one, other, strict=False)):
        if left != right:
            return at
    return min(len(one), len(other))
