"""The microphone: 16 kHz mono frames from a sound device of any rate."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from bot.audio.backend import Backend, RawStream
from bot.audio.capture import Capture, lost
from bot.audio.devices import INPUT, find, open_any_way
from bot.audio.system import SoundSystem
from bot.events import MIC_RATE, Frame


class DeviceMicrophone:
    """`open` it first. `wanted` is a device's number, a part of its name, or empty for the system's default."""

    def __init__(self, system: SoundSystem, wanted: str = "") -> None:
        self._system = system
        self._wanted = wanted
        self._capture = Capture(wanted or "default", asyncio.get_running_loop())
        self._stream: RawStream | None = None
        self._closing = False
        self.name = ""
        """Of the device that is open."""

    @property
    def dropped(self) -> int:
        return self._capture.dropped

    @property
    def overflows(self) -> int:
        return self._capture.overflows

    async def open(self) -> None:
        """Raises AudioDeviceError, MissingPackage."""
        await self._system.attach(self)

    async def frames(self) -> AsyncIterator[Frame]:
        async for frame in self._capture.frames():
            yield frame

    async def close(self) -> None:
        self._capture.end()
        await self._system.detach(self)

    # On the sound thread

    def open_stream(self, backend: Backend) -> None:
        device = find(backend, self._wanted, INPUT)
        self.name = device.name
        self._closing = False

        def attempt(rate: int, channels: int) -> RawStream:
            return backend.open_input(device, rate, channels, self._capture.feed(rate, channels), self._stopped)

        self._stream = open_any_way(device, INPUT, MIC_RATE, attempt)

    def close_stream(self) -> None:
        self._closing = True
        if self._stream:
            self._stream.close()
            self._stream = None

    def stream_lost(self, error: Exception) -> None:
        self._capture.fail(error)

    def _stopped(self) -> None:
        if not self._closing:
            self._capture.fail(lost(self.name))
