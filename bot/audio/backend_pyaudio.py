"""PortAudio through PyAudio (`AUDIO_BACKEND=pyaudio`)."""

from __future__ import annotations

from typing import Any

import pyaudio

from bot.audio.backend import BackendError, Device, Ended, Feed, Pull, sane
from bot.audio.quiet import quiet

INPUT_BLOCK_S = 0.02
OUTPUT_BLOCK_S = 0.05
"""PyAudio cannot be told how much the driver may hold; it holds two of these."""


class _Stream:
    """PyAudio does not tell when a stream ends by itself: the owner notices that no block comes."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    @property
    def active(self) -> bool:
        try:
            return bool(self._stream.is_active())
        except OSError:
            return False

    def close(self) -> None:
        try:
            self._stream.close()
        except OSError:
            return


class PyAudioBackend:
    def __init__(self) -> None:
        self._portaudio = self._start()

    def devices(self) -> list[Device]:
        try:
            apis = [self._portaudio.get_host_api_info_by_index(n) for n in range(self._portaudio.get_host_api_count())]
            found = [self._portaudio.get_device_info_by_index(n) for n in range(self._portaudio.get_device_count())]
        except OSError as error:
            raise _said(error) from error
        return [
            Device(
                number=int(entry["index"]),
                name=str(entry["name"]),
                host_api=str(apis[entry["hostApi"]]["name"]),
                inputs=int(entry["maxInputChannels"]),
                outputs=int(entry["maxOutputChannels"]),
                rate=round(entry["defaultSampleRate"]),
                default_input=apis[entry["hostApi"]]["defaultInputDevice"] == entry["index"],
                default_output=apis[entry["hostApi"]]["defaultOutputDevice"] == entry["index"],
            )
            for entry in found
        ]

    def open_input(self, device: Device, rate: int, channels: int, feed: Feed, ended: Ended) -> _Stream:
        def callback(data: bytes, frames: int, time: Any, status: int) -> tuple[None, int]:
            lag = sane(time["current_time"] - time["input_buffer_adc_time"] - frames / rate, 0.0)
            feed(data, lag, bool(status & pyaudio.paInputOverflow))
            return None, pyaudio.paContinue

        return self._open(rate, channels, INPUT_BLOCK_S, callback, input=True, input_device_index=device.number)

    def open_output(self, device: Device, rate: int, channels: int, pull: Pull, ended: Ended) -> _Stream:
        stream: Any = None

        def callback(_data: None, frames: int, time: Any, status: int) -> tuple[bytes, int]:
            latency = stream.get_output_latency() if stream else 0.0
            lead = sane(time["output_buffer_dac_time"] - time["current_time"], latency)
            return pull(frames, lead, bool(status & pyaudio.paOutputUnderflow)), pyaudio.paContinue

        opened = self._open(rate, channels, OUTPUT_BLOCK_S, callback, output=True, output_device_index=device.number)
        stream = opened._stream
        return opened

    def reinitialise(self) -> None:
        self._portaudio.terminate()
        self._portaudio = self._start()

    def _open(self, rate: int, channels: int, block_s: float, callback: Any, **which: Any) -> _Stream:
        try:
            with quiet():
                stream = self._portaudio.open(
                    rate=rate,
                    channels=channels,
                    format=pyaudio.paInt16,
                    frames_per_buffer=round(rate * block_s),
                    stream_callback=callback,
                    **which,
                )
        except (OSError, ValueError) as error:
            raise _said(error) from error
        return _Stream(stream)

    def _start(self) -> Any:
        try:
            with quiet():
                return pyaudio.PyAudio()
        except OSError as error:
            raise _said(error) from error


def _said(error: Exception) -> BackendError:
    """PyAudio's OSError carries PortAudio's code as errno, but for opening without any device."""
    code = error.errno if isinstance(error, OSError) and error.errno else 0
    return BackendError((error.strerror if isinstance(error, OSError) else "") or str(error), code)
