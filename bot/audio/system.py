"""All of PortAudio on one thread, and the only place that makes it look for devices again."""

from __future__ import annotations

import logging
from typing import Protocol

from bot.audio.backend import Backend, BackendError, Device, load_backend
from bot.audio.devices import listed
from bot.worker import Worker

log = logging.getLogger(__name__)


class Holder(Protocol):
    """Something that has a stream open. Both methods run on the sound thread."""

    def open_stream(self, backend: Backend) -> None:
        """Chooses the device afresh. Raises AudioDeviceError."""

    def close_stream(self) -> None: ...

    def stream_lost(self, error: Exception) -> None:
        """The stream could not be opened again after the devices were looked for."""


class SoundSystem:
    """PortAudio is not safe on several threads, blocks for as long as a driver likes, and kills every open stream when
    it looks for new devices. So whatever is done with it is done here, one thing after the other."""

    def __init__(self, backend: str = "sounddevice") -> None:
        self._name = backend
        self._backend: Backend | None = None
        self._worker = Worker("sound")
        self._holders: list[Holder] = []

    async def attach(self, holder: Holder) -> None:
        """Opens the holder's stream. Raises AudioDeviceError, MissingPackage."""
        await self._worker.run(self._attach, holder)

    async def detach(self, holder: Holder) -> None:
        if holder in self._holders:
            await self._worker.run(self._detach, holder)

    async def devices(self) -> list[Device]:
        """Those that were there when they were looked for last. Raises AudioDeviceError, MissingPackage."""
        return await self._worker.run(lambda: listed(self._loaded()))

    async def refresh(self) -> None:
        """Finds devices that were plugged in. Streams that are open stop for a moment."""
        await self._worker.run(self._refresh)

    async def close(self) -> None:
        """Ends the sound thread; streams that are still open are closed."""
        for holder in list(self._holders):
            await self.detach(holder)
        self._worker.close()

    def _loaded(self) -> Backend:
        if self._backend is None:
            self._backend = load_backend(self._name)
        return self._backend

    def _attach(self, holder: Holder) -> None:
        holder.open_stream(self._loaded())
        self._holders.append(holder)

    def _detach(self, holder: Holder) -> None:
        holder.close_stream()
        if holder in self._holders:
            self._holders.remove(holder)

    def _refresh(self) -> None:
        backend = self._loaded()
        for holder in self._holders:
            holder.close_stream()
        try:
            backend.reinitialise()
        except BackendError as error:
            log.warning("PortAudio does not start again: %s", error)
        for holder in list(self._holders):
            try:
                holder.open_stream(backend)
            except Exception as error:
                # Whatever it is, it is that stream's misfortune and not that of the one who asked for new devices.
                self._holders.remove(holder)
                holder.stream_lost(error)
