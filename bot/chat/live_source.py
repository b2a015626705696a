"""The bot's voice in Discord: one endless source of 20 ms frames per call. Imports py-cord."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable

import discord
import numpy as np

from bot.chat.doubling import DELAY_S, Doubler
from bot.events import SPEECH_RATE, Int16
from bot.ports import SoundQueue
from bot.worker import run_before_others

FRAME_BYTES = 3840
"""20 ms, 48 kHz, two channels, 16 bits. Opus reads behind the end of anything shorter."""
BLOCK = SPEECH_RATE // 50
"""20 ms of speech as it comes."""
IDLE_S = 8.0
"""Of silence, after which Discord's ring around the bot's picture goes out."""


Tap = Callable[[float, Int16], None]
Changed = Callable[[], Awaitable[None]]


class LiveSource(discord.AudioSource):
    """Never ends by itself, so that one stream carries the whole call: to interrupt, the queue behind it is emptied.
    What is handed over is a continuous signal: silence is resampled like speech, so nothing clicks between clips.

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
        # A new connection's thread may begin before the old one's has ended.
        self._lock = threading.Lock()
        self._doubler = Doubler()
        self._thread = 0
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
        if self._thread != threading.get_ident():
            self._thread = threading.get_ident()
            run_before_others()
        with self._lock:
            frame = self._next()
        self.frames += 1
        return np.repeat(frame, 2).tobytes()

    def is_opus(self) -> bool:
        return False

    def _next(self) -> Int16:
        sound = self._sound
        if sound is None:
            return np.zeros(2 * BLOCK, np.int16)
        block, audible = sound.pull(BLOCK, DELAY_S)
        if audible:
            self._tap(self._clock() + DELAY_S, block[:audible])
        return self._doubler.feed(block)
