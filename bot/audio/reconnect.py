"""A microphone that comes back: says once that it is gone, and opens it again as soon as it can."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

from bot.errors import AudioDeviceError, SidetoneError
from bot.events import Frame
from bot.ports import Microphone

FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 5.0


class Backoff:
    """Half a second, then twice as long each time, up to five."""

    def __init__(self) -> None:
        self._next = FIRST_WAIT_S

    async def wait(self, until: asyncio.Event | None = None) -> None:
        """No longer than `until` is set."""
        if until is None:
            await asyncio.sleep(self._next)
        else:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._next):
                    await until.wait()
        self._next = min(LONGEST_WAIT_S, self._next * 2)


class ReconnectingMicrophone:
    """`connect` first: without any microphone it raises. `look` makes the sound system search for devices again;
    `notify` hears of each outage once."""

    def __init__(
        self,
        open: Callable[[], Awaitable[Microphone]],
        notify: Callable[[SidetoneError], None],
        look: Callable[[], Awaitable[None]],
    ) -> None:
        self._open = open
        self._notify = notify
        self._look = look
        self._microphone: Microphone | None = None
        self._closed = asyncio.Event()
        self.outages = 0

    async def connect(self) -> Microphone:
        """Raises AudioDeviceError, MissingPackage."""
        self._microphone = await self._open()
        return self._microphone

    async def frames(self) -> AsyncIterator[Frame]:
        while not self._closed.is_set():
            microphone = self._microphone or await self.connect()
            try:
                async for frame in microphone.frames():
                    yield frame
                return
            except AudioDeviceError as error:
                self.outages += 1
                self._notify(error)
            self._microphone = None
            await microphone.close()
            await self._reopen()

    async def close(self) -> None:
        self._closed.set()
        if self._microphone:
            await self._microphone.close()

    async def _reopen(self) -> None:
        backoff = Backoff()
        while not self._closed.is_set():
            await backoff.wait(self._closed)
            if self._closed.is_set():
                return
            try:
                await self._look()
                microphone = await self.connect()
            except AudioDeviceError:
                continue
            if self._closed.is_set():
                # It was closed while the device was being opened.
                await microphone.close()
            return
