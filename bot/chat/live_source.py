"""The bot's voice in Discord: one endless source of 20 ms frames per call. Imports py-cord."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import discord
import numpy as np
import numpy.typing as npt

from bot.errors import MissingPackage
from bot.events import SPEECH_RATE, Int16
from bot.ports import SoundQueue

FRAME_BYTES = 3840
"""20 ms, 48 kHz, two channels, 16 bits. Opus reads behind the end of anything shorter."""
FRAME = 960
"""Samples per channel."""
RATE = 48_000
BLOCK = SPEECH_RATE // 50
"""20 ms of speech as it comes."""
IDLE_S = 8.0
"""Of silence, after which Discord's ring around the bot's picture goes out."""
FULL_SCALE = 32768


Tap = Callable[[float, Int16], None]
Changed = Callable[[], Awaitable[None]]


class LiveSource(discord.AudioSource):
    """Never ends by itself, so that one stream carries the whole call: to interrupt, the queue behind it is emptied.
    What is handed over is a continuous signal: the resampler runs on through silence, so nothing clicks between clips.

    It is an output of a loudspeaker (`open`, `run`, `close`) on one side and py-cord's source on the other; it may be
    given to one voice connection after another.
    """

    realtime = True

    def __init__(self, pause: Callable[[], None] = lambda: None, resume: Callable[[], None] = lambda: None) -> None:
        """`pause` and `resume` are called on the loop when there is nothing to say for a while, and when there is."""
        self._pause = pause
        self._resume = resume
        self._sound: SoundQueue | None = None
        self._clock: Callable[[], float] = lambda: 0.0
        self._lock = threading.Lock()
        self._stream = _upsampler()
        self._fed = 0
        self._given = 0
        self._ready: Int16 = np.zeros(0, np.int16)
        self.frames = 0
        """Handed to py-cord so far."""

    async def open(self, playback: SoundQueue, tap: Tap, changed: Changed) -> None:
        self._clock = asyncio.get_running_loop().time
        self._tap = tap
        self._changed = changed
        self._sound = playback

    async def run(self) -> None:
        """Lights the ring while there is something to say. The frames are fetched by py-cord's thread."""
        assert self._sound is not None  # noqa: S101 - after `open`
        while True:
            try:
                async with asyncio.timeout(IDLE_S):
                    await self._until_sound()
            except TimeoutError:
                self._pause()
                await self._until_sound()
            self._resume()
            while not self._sound.idle:
                await self._changed()

    async def _until_sound(self) -> None:
        while self._sound is not None and self._sound.idle:
            await self._changed()

    async def close(self) -> None:
        self._sound = None

    # On py-cord's thread

    def read(self) -> bytes:
        with self._lock:
            while len(self._ready) < FRAME:
                self._ready = np.concatenate([self._ready, self._next()])
            frame, self._ready = self._ready[:FRAME], self._ready[FRAME:]
        self.frames += 1
        return np.repeat(frame, 2).tobytes()

    def is_opus(self) -> bool:
        return False

    def _next(self) -> Int16:
        sound = self._sound
        if sound is None:
            return np.zeros(FRAME, np.int16)
        behind = len(self._ready) / RATE + max(0.0, self._fed / SPEECH_RATE - self._given / RATE)
        block, audible = sound.pull(BLOCK, behind)
        if audible:
            self._tap(self._clock() + behind, block[:audible])
        wide: npt.NDArray[np.float32] = self._stream.resample_chunk(block.astype(np.float32) / FULL_SCALE)
        self._fed += len(block)
        self._given += len(wide)
        return np.clip(np.rint(wide * FULL_SCALE), -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)


def _upsampler() -> Any:
    try:
        import soxr
    except ImportError as error:
        raise MissingPackage("The package soxr is not installed. Run: python scripts/run.py") from error
    # In float, because soxr dithers int16 and silence would stop being silent.
    return soxr.ResampleStream(SPEECH_RATE, RATE, 1, dtype="float32")
