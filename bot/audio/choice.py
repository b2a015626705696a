"""Which microphone is listened to, and another one while it is listened to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from bot.audio.backend import Device
from bot.audio.devices import INPUT, PREFERRED_API, choose
from bot.audio.system import SoundSystem
from bot.errors import AudioDeviceError
from bot.events import Frame, InputDevice
from bot.ports import Microphone

Open = Callable[[str], Awaitable[Microphone]]
"""Opens the microphone of that number or name, "" for the system's default. Raises AudioDeviceError."""


class SwitchingMicrophone:
    """Goes on with another microphone when it is told to. Implements ports.Microphone."""

    def __init__(self, open: Open) -> None:
        self._open = open
        self._current: Microphone | None = None

    async def switch(self, wanted: str) -> None:
        """The one before is listened to until the other is open, and on when that does not open."""
        before, self._current = self._current, await self._open(wanted)
        if before:
            await before.close()

    async def frames(self) -> AsyncIterator[Frame]:
        while current := self._current:
            async for frame in current.frames():
                yield frame
            if self._current is current:
                return

    async def close(self) -> None:
        current, self._current = self._current, None
        if current:
            await current.close()


class MicrophoneChoice:
    """Implements ports.Microphones."""

    def __init__(self, backend: str, wanted: str) -> None:
        self._backend = backend
        self._wanted = wanted
        self._door = asyncio.Lock()
        self._live: tuple[SoundSystem, SwitchingMicrophone] | None = None

    async def open(self, system: SoundSystem, open: Open) -> SwitchingMicrophone:
        """The chosen one; it is what `choose` acts on, until another is opened or it is closed by `release`."""
        microphone = SwitchingMicrophone(open)
        await microphone.switch(self._wanted)
        self._live = system, microphone
        return microphone

    def release(self) -> None:
        self._live = None

    async def listed(self) -> Sequence[InputDevice]:
        async with self._door:
            if self._live:
                return self._marked(await self._live[0].devices())
            system = SoundSystem(self._backend)
            try:
                # What was plugged in since the start is there only after a search, which nothing here minds.
                await system.refresh()
                return self._marked(await system.devices())
            finally:
                await system.close()

    async def choose(self, wanted: str) -> InputDevice:
        async with self._door:
            if self._live is None:
                system = SoundSystem(self._backend)
                try:
                    await system.refresh()
                    device = choose(await system.devices(), wanted, INPUT)
                finally:
                    await system.close()
            else:
                system, microphone = self._live
                device = await _found(system, wanted)
                await microphone.switch(device.name)
            # Not its number, which changes when something is plugged in.
            self._wanted = device.name
        return InputDevice(device.number, device.name, chosen=True)

    def _marked(self, devices: Sequence[Device]) -> list[InputDevice]:
        usable = [each for each in devices if each.inputs]
        try:
            chosen = choose(devices, self._wanted, INPUT).number
        except AudioDeviceError:
            if not usable:
                raise
            # Unplugged; what else there is matters all the more.
            chosen = None
        # The same devices through other APIs would make it four times as long.
        shown = [each for each in usable if each.host_api == PREFERRED_API] or usable
        return [InputDevice(each.number, each.name, each.number == chosen) for each in shown]


async def _found(system: SoundSystem, wanted: str) -> Device:
    try:
        return choose(await system.devices(), wanted, INPUT)
    except AudioDeviceError:
        # It may have been plugged in a moment ago.
        await system.refresh()
        return choose(await system.devices(), wanted, INPUT)
