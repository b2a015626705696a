"""Choosing a device, opening it somehow, and the sentences when it cannot be opened."""

from __future__ import annotations

import pytest

from bot.audio import devices
from bot.audio.backend import BackendError, Device, RawStream, explain
from bot.audio.devices import INPUT, OUTPUT, choose, open_any_way
from bot.errors import AudioDeviceError, MissingPackage


def device(
    number: int, name: str, api: str = "MME", inputs: int = 2, outputs: int = 0, default: bool = False
) -> Device:
    return Device(number, name, api, inputs, outputs, 44_100, default and inputs > 0, default and outputs > 0)


WINDOWS = [
    device(0, "Headset (USB Audio)", default=True),
    device(1, "Microphone (Realtek)"),
    device(2, "Speakers (Realtek)", inputs=0, outputs=2, default=True),
    device(7, "Microphone (Realtek)", "Windows WASAPI", default=True),
    device(8, "Speakers (Realtek)", "Windows WASAPI", inputs=0, outputs=8, default=True),
    device(9, "Realtek", "Windows WDM-KS"),
]


@pytest.mark.parametrize(
    ("wanted", "kind", "number"),
    [
        ("", INPUT, 7),
        ("", OUTPUT, 8),
        ("1", INPUT, 1),
        (" 2 ", OUTPUT, 2),
        ("usb audio", INPUT, 0),
        ("MICROPHONE", INPUT, 7),
        ("realtek", INPUT, 9),
        ("realtek", OUTPUT, 8),
    ],
)
def test_which_device_is_meant(wanted: str, kind: str, number: int) -> None:
    assert choose(WINDOWS, wanted, kind).number == number


@pytest.mark.parametrize("wanted", ["2", "99", "Yeti", "²"])
def test_an_unknown_microphone_names_those_there_are(wanted: str) -> None:
    with pytest.raises(AudioDeviceError, match=r"MIC_DEVICE.*7: Microphone \(Realtek\).*0: Headset") as caught:
        choose(WINDOWS, wanted, INPUT)
    assert "Speakers" not in str(caught.value)


def test_a_machine_without_any() -> None:
    with pytest.raises(AudioDeviceError, match="no microphone on this machine"):
        choose([WINDOWS[2]], "", INPUT)


class Stream:
    active = True

    def close(self) -> None:
        return


def opened(accepts: tuple[int, int], code: int = -9997) -> list[tuple[int, int]]:
    tried: list[tuple[int, int]] = []

    def attempt(rate: int, channels: int) -> RawStream:
        tried.append((rate, channels))
        if (rate, channels) == accepts:
            return Stream()
        raise BackendError("Invalid sample rate", code)

    open_any_way(device(0, "Array", inputs=4), INPUT, 16_000, attempt)
    return tried


def test_a_device_is_opened_in_its_own_format_when_it_refuses_ours() -> None:
    assert opened((16_000, 1)) == [(16_000, 1)]
    assert opened((44_100, 2)) == [(16_000, 1), (44_100, 1), (44_100, 2)]
    assert opened((44_100, 4))[-1] == (44_100, 4)


def test_a_busy_device_is_tried_once() -> None:
    with pytest.raises(AudioDeviceError, match="in use by another program"):
        opened((44_100, 4), code=-9985)


@pytest.mark.parametrize("text", ["Unanticipated host error [PaErrorCode -9999]: -2147024891", "hr 0x80070005"])
def test_the_privacy_switch_is_named(text: str) -> None:
    error = explain(BackendError(text, -9999), WINDOWS[0], INPUT, "MIC_DEVICE")
    assert "Privacy" in str(error)


def test_no_portaudio_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """sounddevice raises OSError when it is imported without the library, PyAudio ImportError."""
    import builtins

    real = builtins.__import__

    def refuse(name: str, *args: object, **kwargs: object) -> object:
        if name == "bot.audio.backend_sounddevice":
            raise OSError("PortAudio library not found")
        if name == "bot.audio.backend_pyaudio":
            raise ImportError("libportaudio.so.2: cannot open shared object file")
        return real(name, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", refuse)
    for backend in ("sounddevice", "pyaudio"):
        with pytest.raises(MissingPackage, match="apt-get install libportaudio2"):
            devices.inputs(backend)
        assert devices.has_microphone(backend) is False
        assert devices.has_speaker(backend) is False
