"""From one sampling rate to another, block by block, and from blocks of any size to blocks of one size."""

from __future__ import annotations

from typing import Any

import numpy as np

from bot.audio.pcm import to_float, to_int16
from bot.errors import MissingPackage
from bot.events import Int16


class Resampler:
    """Mono. Works in float, because soxr dithers int16 and digital silence would stop being silent."""

    def __init__(self, source_rate: int, target_rate: int) -> None:
        self._source_rate = source_rate
        self._target_rate = target_rate
        self._fed = 0
        self._given = 0
        self._stream: Any = None
        if source_rate != target_rate:
            try:
                import soxr
            except ImportError as error:
                raise MissingPackage("The package soxr is not installed. Run: python scripts/run.py") from error
            self._stream = soxr.ResampleStream(source_rate, target_rate, 1, dtype="float32")

    @property
    def delay_s(self) -> float:
        """How much sound it has taken and not yet given back."""
        return max(0.0, self._fed / self._source_rate - self._given / self._target_rate)

    def feed(self, pcm: Int16, *, last: bool = False) -> Int16:
        """What can be given back so far; with `last` all the rest, after which nothing more may be fed."""
        if self._stream is None:
            return pcm
        out = to_int16(self._stream.resample_chunk(to_float(pcm), last=last))
        self._fed += len(pcm)
        self._given += len(out)
        return out


class Reblocker:
    """Cuts a stream into blocks of `size` samples."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._rest: Int16 = np.zeros(0, np.int16)

    @property
    def pending(self) -> int:
        """Samples that wait for their block to become full."""
        return len(self._rest)

    def feed(self, pcm: Int16) -> list[Int16]:
        joined = np.concatenate([self._rest, pcm]) if len(self._rest) else pcm
        whole = len(joined) - len(joined) % self._size
        self._rest = joined[whole:].copy()
        return [joined[start : start + self._size] for start in range(0, whole, self._size)]

    def flush(self) -> list[Int16]:
        """The last, shorter block, filled up with zeros; nothing when there is none."""
        if not len(self._rest):
            return []
        block = np.zeros(self._size, np.int16)
        block[: len(self._rest)] = self._rest
        self._rest = self._rest[:0]
        return [block]
