"""What PortAudio's thread captures becomes frames on the loop."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import TypeVarTuple, Unpack

import numpy as np

from bot.audio.backend import Feed
from bot.audio.pcm import to_mono
from bot.audio.resample import Reblocker, Resampler
from bot.errors import AudioDeviceError
from bot.events import FRAME_SAMPLES, FRAME_SECONDS, MIC_RATE, Frame

Ts = TypeVarTuple("Ts")

QUEUED_S = 2.0
"""More than this behind, the oldest frames are dropped and counted: old speech is of no use."""
LOST_AFTER_S = 2.0
"""A device that was unplugged often goes quiet without a word to PortAudio."""


class _Converter:
    """The blocks of one stream on their way to frames."""

    def __init__(self, rate: int, channels: int) -> None:
        self._channels = channels
        self._resampler = Resampler(rate, MIC_RATE)
        self._blocks = Reblocker(FRAME_SAMPLES)

    def frames(self, data: bytes, captured: float) -> list[Frame]:
        """`captured` is the loop time of the last sample in `data`."""
        pcm = to_mono(np.frombuffer(data, np.int16).reshape(-1, self._channels))
        blocks = self._blocks.feed(self._resampler.feed(pcm))
        last = captured - self._resampler.delay_s - self._blocks.pending / MIC_RATE
        newest = len(blocks) - 1
        return [Frame(block, last - (newest - n) * FRAME_SECONDS) for n, block in enumerate(blocks)]


class Capture:
    """`fail` and what `feed` returns may be called on any thread; everything else belongs to the loop."""

    def __init__(self, name: str, loop: asyncio.AbstractEventLoop) -> None:
        self._name = name
        self._loop = loop
        self._frames: deque[Frame] = deque()
        self._limit = round(QUEUED_S / FRAME_SECONDS)
        self._arrived = asyncio.Event()
        self._error: Exception | None = None
        self._ended = False
        self._last_block = loop.time()
        self.dropped = 0
        """Frames that nobody took in time."""
        self.overflows = 0
        """How often the driver lost sound because the machine was too busy to take it."""

    def feed(self, rate: int, channels: int) -> Feed:
        """Where a stream with this format puts its blocks: int16, channels interleaved."""
        converter = _Converter(rate, channels)

        def push(data: bytes, lag_s: float, overflow: bool) -> None:
            self.overflows += overflow
            self._call(self._take, converter, data, self._loop.time() - lag_s)

        return push

    def fail(self, error: Exception) -> None:
        self._call(self._fail, error)

    def end(self) -> None:
        self._ended = True
        self._arrived.set()

    async def frames(self) -> AsyncIterator[Frame]:
        """Raises the error given to `fail`, or AudioDeviceError when no sound has come for two seconds."""
        self._last_block = self._loop.time()
        while True:
            while self._frames and not self._ended:
                yield self._frames.popleft()
            if self._ended:
                return
            if self._error:
                raise self._error
            self._arrived.clear()
            waited_since = self._last_block
            try:
                async with asyncio.timeout_at(waited_since + LOST_AFTER_S):
                    await self._arrived.wait()
            except TimeoutError:
                # Not asked of the clock: Windows' timers come up to 16 ms early by it.
                if not self._frames and self._last_block == waited_since:
                    raise lost(self._name) from None

    def _call(self, function: Callable[[Unpack[Ts]], None], *args: *Ts) -> None:
        try:
            self._loop.call_soon_threadsafe(function, *args)
        except RuntimeError:
            # The loop has been closed; a last block on its way has nowhere to go.
            return

    def _take(self, converter: _Converter, data: bytes, captured: float) -> None:
        self._last_block = self._loop.time()
        frames = converter.frames(data, captured)
        self._frames.extend(frames)
        while len(self._frames) > self._limit:
            self._frames.popleft()
            self.dropped += 1
        if frames:
            self._arrived.set()

    def _fail(self, error: Exception) -> None:
        self._error = error
        self._arrived.set()


def lost(name: str) -> AudioDeviceError:
    return AudioDeviceError(
        f"The microphone {name!r} has stopped giving sound. Is it unplugged? Plug it in again, or choose another with "
        "MIC_DEVICE: python -m bot doctor lists them."
    )
