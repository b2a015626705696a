"""What empties the playback queue: a sound card, or the clock when there is none."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

import numpy as np

from bot.audio.backend import Backend, Pull, RawStream
from bot.audio.devices import OUTPUT, find, open_any_way
from bot.audio.playback import Playback
from bot.audio.reconnect import Backoff
from bot.audio.resample import Resampler
from bot.audio.system import SoundSystem
from bot.errors import AudioDeviceError, SidetoneError
from bot.events import SPEECH_RATE, Int16

BLOCK = SPEECH_RATE // 100
BLOCK_S = BLOCK / SPEECH_RATE
LOST_AFTER_S = 2.0
"""A device that was unplugged often stops asking for sound without a word to PortAudio."""

Tap = Callable[[float, Int16], None]
"""Hears what is played: loop time of its first sample, and the samples. Called on any thread."""
Changed = Callable[[], Awaitable[None]]
"""Waits for the next change of the playback."""


class Output(Protocol):
    realtime: bool
    """Whether a second of sound takes a second."""

    async def open(self, playback: Playback, tap: Tap, changed: Changed) -> None:
        """Raises AudioDeviceError, MissingPackage."""

    async def run(self) -> None:
        """Plays until it is cancelled."""

    async def close(self) -> None: ...


class PacedOutput:
    """No loudspeaker: takes 10 ms at a time on an absolute schedule. Not in real time it takes all there is at once
    and only pretends, for the recording, that it took its time."""

    def __init__(self, *, realtime: bool = True) -> None:
        self.realtime = realtime

    async def open(self, playback: Playback, tap: Tap, changed: Changed) -> None:
        self._playback = playback
        self._tap = tap
        self._changed = changed

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            while self._playback.idle:
                await self._changed()
                due = loop.time()
            now = loop.time()
            block, sound = self._playback.pull(BLOCK, due - now)
            if sound:
                self._tap(due, block[:sound])
            due += BLOCK_S
            await asyncio.sleep(due - loop.time() if self.realtime else 0)

    async def close(self) -> None:
        return


class DeviceOutput:
    """A loudspeaker. When it is lost in the middle of an answer, the answer goes on in silence at its own pace, so
    that the conversation never hangs on a cable; sound returns as soon as a device does."""

    realtime = True

    def __init__(self, system: SoundSystem, wanted: str, notify: Callable[[SidetoneError], None]) -> None:
        self._system = system
        self._wanted = wanted
        self._notify = notify
        self._loop = asyncio.get_running_loop()
        self._lost = asyncio.Event()
        self._last_pull = 0.0
        self._stream: RawStream | None = None
        self._closing = False
        self.name = ""
        """Of the device that is open."""
        self.underflows = 0
        """Gaps in what was heard, because the machine was too busy to give the sound card its next block in time."""

    async def open(self, playback: Playback, tap: Tap, changed: Changed) -> None:
        self._playback = playback
        self._tap = tap
        self._changed = changed
        await self._system.attach(self)

    async def run(self) -> None:
        while True:
            await self._until_lost()
            self._notify(
                AudioDeviceError(
                    f"The loudspeaker {self.name!r} has stopped playing. Is it unplugged? Answers go on in writing; "
                    "sound returns when it is plugged in again."
                )
            )
            await self._system.detach(self)
            async with asyncio.TaskGroup() as tasks:
                pace = tasks.create_task(self._play_to_nobody())
                await self._reopen()
                pace.cancel()

    async def close(self) -> None:
        await self._system.detach(self)

    async def _until_lost(self) -> None:
        while not self._lost.is_set():
            try:
                async with asyncio.timeout(LOST_AFTER_S / 2):
                    await self._lost.wait()
            except TimeoutError:
                if self._loop.time() - self._last_pull > LOST_AFTER_S:
                    return

    async def _reopen(self) -> None:
        backoff = Backoff()
        while True:
            await backoff.wait()
            try:
                await self._system.refresh()
                await self._system.attach(self)
            except AudioDeviceError:
                continue
            return

    async def _play_to_nobody(self) -> None:
        pace = PacedOutput()
        await pace.open(self._playback, self._tap, self._changed)
        await pace.run()

    # On the sound thread

    def open_stream(self, backend: Backend) -> None:
        device = find(backend, self._wanted, OUTPUT)
        self.name = device.name
        self._closing = False
        self._last_pull = self._loop.time()

        def attempt(rate: int, channels: int) -> RawStream:
            return backend.open_output(device, rate, channels, self._puller(rate, channels), self._stopped)

        self._stream = open_any_way(device, OUTPUT, SPEECH_RATE, attempt)
        self._lost.clear()

    def close_stream(self) -> None:
        self._closing = True
        if self._stream:
            self._stream.close()
            self._stream = None

    def stream_lost(self, error: Exception) -> None:
        self._call(self._lost.set)

    # On PortAudio's thread

    def _puller(self, rate: int, channels: int) -> Pull:
        resampler = Resampler(SPEECH_RATE, rate)
        ready: Int16 = np.zeros(0, np.int16)

        def pull(frames: int, lead_s: float, underflow: bool) -> bytes:
            nonlocal ready
            self.underflows += underflow
            now = self._last_pull = self._loop.time()
            while len(ready) < frames:
                wanted = frames if rate == SPEECH_RATE else BLOCK
                behind = lead_s + len(ready) / rate + resampler.delay_s
                block, sound = self._playback.pull(wanted, behind)
                if sound:
                    self._tap(now + behind, block[:sound])
                ready = np.concatenate([ready, resampler.feed(block)])
            out, ready = ready[:frames], ready[frames:]
            return np.repeat(out, channels).tobytes() if channels > 1 else out.tobytes()

        return pull

    def _stopped(self) -> None:
        if not self._closing:
            self._call(self._lost.set)

    def _call(self, function: Callable[[], None]) -> None:
        try:
            self._loop.call_soon_threadsafe(function)
        except RuntimeError:
            # The loop has been closed: nobody is left to tell.
            return
