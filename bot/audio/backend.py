"""The seam to PortAudio: sounddevice and PyAudio look alike behind it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from bot.audio.quiet import hush_alsa
from bot.errors import AudioDeviceError, MissingPackage

Feed = Callable[[bytes, float, bool], None]
"""Takes a block of int16, how many seconds ago its last sample was captured, and whether sound was lost before it
because nobody took it in time. Called on PortAudio's thread."""
Pull = Callable[[int, float, bool], bytes]
"""Gives so many int16 frames, the first of which is heard so many seconds from now; the last says whether there was a
gap before them because they were late. Called on PortAudio's thread."""
Ended = Callable[[], None]
"""The stream has stopped by itself. Called on PortAudio's thread."""

DEVICE_UNAVAILABLE = -9985
INVALID_DEVICE = -9996
ACCESS_DENIED = "80070005"
"""What Windows answers, in hexadecimal or as a negative number, when its privacy settings keep the microphone."""
ACCESS_DENIED_SIGNED = "-2147024891"
SANE_LAG_S = 0.5
"""Some host APIs report clocks of their own; a larger distance than this is such a one."""


@dataclass(frozen=True, slots=True)
class Device:
    number: int
    """PortAudio's index."""
    name: str
    host_api: str
    inputs: int
    """Channels that can be recorded; 0 for a loudspeaker."""
    outputs: int
    rate: int
    """The device's own samples per second."""
    default_input: bool
    """Of its host API, as the next."""
    default_output: bool


class BackendError(Exception):
    """What PortAudio said."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code


class RawStream(Protocol):
    @property
    def active(self) -> bool: ...

    def close(self) -> None:
        """Stops at once; never raises."""


class Backend(Protocol):
    """All of it blocks, and belongs on one thread: PortAudio is not safe on several."""

    def devices(self) -> list[Device]: ...

    def open_input(self, device: Device, rate: int, channels: int, feed: Feed, ended: Ended) -> RawStream:
        """Raises BackendError."""

    def open_output(self, device: Device, rate: int, channels: int, pull: Pull, ended: Ended) -> RawStream:
        """Raises BackendError."""

    def reinitialise(self) -> None:
        """PortAudio looks for devices only when it starts. No stream may be open."""


def load_backend(name: str) -> Backend:
    """ "sounddevice" or "pyaudio". Raises MissingPackage."""
    hush_alsa()
    try:
        if name == "pyaudio":
            from bot.audio.backend_pyaudio import PyAudioBackend

            return PyAudioBackend()
        from bot.audio.backend_sounddevice import SounddeviceBackend

        return SounddeviceBackend()
    except ImportError as error:
        package = "PyAudio" if name == "pyaudio" else "sounddevice"
        raise MissingPackage(
            f"{package} cannot be used ({error}). Run python scripts/run.py, which installs it; "
            "on Debian and Ubuntu it needs: apt-get install libportaudio2 portaudio19-dev gcc"
        ) from error
    except OSError as error:
        raise MissingPackage(
            f"The PortAudio library is not installed ({error}). On Debian and Ubuntu: apt-get install libportaudio2"
        ) from error
    except BackendError as error:
        raise AudioDeviceError(f"The sound system does not start: {error}. Restart it or the computer.") from error


def explain(error: BackendError, device: Device, what: str, variable: str) -> AudioDeviceError:
    """One sentence for people. `what` is "microphone" or "loudspeaker"."""
    text = str(error)
    if ACCESS_DENIED in text or ACCESS_DENIED_SIGNED in text:
        return AudioDeviceError(
            f"Windows does not let this program use the {what} {device.name!r}. "
            "Allow desktop apps under Settings, Privacy & security, Microphone."
        )
    if error.code in (DEVICE_UNAVAILABLE, INVALID_DEVICE):
        return AudioDeviceError(
            f"The {what} {device.name!r} is in use by another program or has been unplugged. Close the other program, "
            f"plug it in again, or choose another with {variable}: python -m bot doctor lists them."
        )
    return AudioDeviceError(
        f"The {what} {device.name!r} cannot be opened: {text}. Choose another with {variable}: "
        "python -m bot doctor lists them."
    )


def sane(seconds: float, fallback: float) -> float:
    """A distance on PortAudio's clock, or `fallback` when it is not one."""
    return seconds if 0.0 <= seconds <= SANE_LAG_S else fallback
