"""PortAudio through sounddevice, whose wheels carry the library on Windows."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import sounddevice as sd

from bot.audio.backend import BackendError, Device, Ended, Feed, Pull, sane
from bot.audio.quiet import quiet

BLOCK_S = 0.01
"""Short blocks: a whole frame of 32 ms per call arrives twice as late."""
BUFFER_S = 0.1
"""How much the driver may hold while Python is busy; a smaller buffer clicks, and loses what the microphone heard."""
WASAPI = "Windows WASAPI"


class _Stream:
    def __init__(self, stream: Any) -> None:
        self._stream = stream

    @property
    def active(self) -> bool:
        return bool(self._stream.active)

    def close(self) -> None:
        # Not stop(): that waits for a device that may be gone.
        self._stream.abort(ignore_errors=True)
        self._stream.close(ignore_errors=True)


class SounddeviceBackend:
    def devices(self) -> list[Device]:
        try:
            apis = sd.query_hostapis()
            found = sd.query_devices()
        except sd.PortAudioError as error:
            raise _said(error) from error
        return [
            Device(
                number=entry["index"],
                name=entry["name"],
                host_api=apis[entry["hostapi"]]["name"],
                inputs=entry["max_input_channels"],
                outputs=entry["max_output_channels"],
                rate=round(entry["default_samplerate"]),
                default_input=apis[entry["hostapi"]]["default_input_device"] == entry["index"],
                default_output=apis[entry["hostapi"]]["default_output_device"] == entry["index"],
            )
            for entry in found
        ]

    def open_input(self, device: Device, rate: int, channels: int, feed: Feed, ended: Ended) -> _Stream:
        def callback(data: Any, frames: int, time: Any, status: Any) -> None:
            lag = sane(time.currentTime - time.inputBufferAdcTime - frames / rate, 0.0)
            feed(bytes(data), lag, status.input_overflow)

        return self._open(sd.RawInputStream, device, rate, channels, callback, ended)

    def open_output(self, device: Device, rate: int, channels: int, pull: Pull, ended: Ended) -> _Stream:
        stream: Any = None

        def callback(out: Any, frames: int, time: Any, status: Any) -> None:
            latency = stream.latency if stream else 0.0
            lead = sane(time.outputBufferDacTime - time.currentTime, latency)
            out[:] = pull(frames, lead, status.output_underflow)

        opened = self._open(sd.RawOutputStream, device, rate, channels, callback, ended)
        stream = opened._stream
        return opened

    def reinitialise(self) -> None:
        # sounddevice offers no public way to look for devices again. It may be down already, after a failed start.
        with suppress(sd.PortAudioError):
            sd._terminate()
        try:
            sd._initialize()
        except sd.PortAudioError as error:
            raise _said(error) from error

    def _open(self, kind: Any, device: Device, rate: int, channels: int, callback: Any, ended: Ended) -> _Stream:
        extra = sd.WasapiSettings(auto_convert=True) if device.host_api == WASAPI else None
        stream = None
        try:
            with quiet():
                stream = kind(
                    samplerate=rate,
                    blocksize=round(rate * BLOCK_S),
                    device=device.number,
                    channels=channels,
                    dtype="int16",
                    latency=BUFFER_S,
                    extra_settings=extra,
                    callback=callback,
                    finished_callback=ended,
                )
                stream.start()
        except (sd.PortAudioError, ValueError) as error:
            if stream is not None:
                stream.close(ignore_errors=True)
            raise _said(error) from error
        return _Stream(stream)


def _said(error: Exception) -> BackendError:
    """PortAudioError carries its text, its code and what the host API said."""
    code = error.args[1] if len(error.args) > 1 and isinstance(error.args[1], int) else 0
    return BackendError(str(error).replace("\n", " "), code)
