"""Which microphones and loudspeakers there are, and which one is meant."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from bot.audio.backend import DEVICE_UNAVAILABLE, Backend, BackendError, Device, RawStream, explain, load_backend
from bot.errors import AudioDeviceError, SidetoneError

log = logging.getLogger(__name__)

INPUT, OUTPUT = "microphone", "loudspeaker"
VARIABLE = {INPUT: "MIC_DEVICE", OUTPUT: "SPEAKER_DEVICE"}
PREFERRED_API = "Windows WASAPI"
"""Windows offers each device through four APIs; this one has the least delay."""


def inputs(backend: str = "sounddevice") -> list[Device]:
    """Raises MissingPackage without PortAudio, AudioDeviceError without a sound system."""
    return [device for device in listed(load_backend(backend)) if device.inputs]


def outputs(backend: str = "sounddevice") -> list[Device]:
    return [device for device in listed(load_backend(backend)) if device.outputs]


def has_microphone(backend: str = "sounddevice") -> bool:
    """Never raises."""
    return _any(INPUT, backend)


def has_speaker(backend: str = "sounddevice") -> bool:
    return _any(OUTPUT, backend)


def find(backend: Backend, wanted: str, kind: str) -> Device:
    return choose(listed(backend), wanted, kind)


def choose(devices: Sequence[Device], wanted: str, kind: str) -> Device:
    """By number, or by a part of its name in any case; the system's default for "". `kind` is INPUT or OUTPUT."""
    usable = [device for device in devices if (device.inputs if kind == INPUT else device.outputs)]
    if not usable:
        raise AudioDeviceError(
            f"There is no {kind} on this machine. Plug one in, or hold a conversation on a file: "
            "python -m bot talk --wav question.wav --out answer.wav"
        )
    wanted = wanted.strip()
    usable.sort(key=lambda device: device.host_api != PREFERRED_API)
    if not wanted:
        defaults = [device for device in usable if (device.default_input if kind == INPUT else device.default_output)]
        return (defaults or usable)[0]
    if wanted.isascii() and wanted.isdigit():
        found = [device for device in usable if device.number == int(wanted)]
    else:
        found = [device for device in usable if wanted.casefold() in device.name.casefold()]
        found.sort(key=lambda device: device.name.casefold() != wanted.casefold())
    if not found:
        names = ", ".join(f"{device.number}: {device.name}" for device in usable)
        message = f"There is no {kind} {wanted!r}. {VARIABLE[kind]} may be a number or a part of a name of: {names}."
        raise AudioDeviceError(message)
    return found[0]


def open_any_way(device: Device, kind: str, rate: int, attempt: Callable[[int, int], RawStream]) -> RawStream:
    """Tries mono at `rate`, then what the hardware says it has; `attempt` takes rate and channels."""
    most = device.inputs if kind == INPUT else device.outputs
    refusals: list[BackendError] = []
    for format in dict.fromkeys([(rate, 1), (device.rate, 1), (device.rate, min(2, most)), (device.rate, most)]):
        try:
            return attempt(*format)
        except BackendError as error:
            refusals.append(error)
            if error.code == DEVICE_UNAVAILABLE:
                break
    raise explain(refusals[-1], device, kind, VARIABLE[kind]) from refusals[-1]


def listed(backend: Backend) -> list[Device]:
    """Raises AudioDeviceError."""
    try:
        return backend.devices()
    except BackendError as error:
        raise AudioDeviceError(f"The sound system does not answer: {error}. Restart it or the computer.") from error


def _any(kind: str, backend: str) -> bool:
    try:
        return bool(inputs(backend) if kind == INPUT else outputs(backend))
    except SidetoneError as error:
        log.debug("no %s: %s", kind, error)
        return False
