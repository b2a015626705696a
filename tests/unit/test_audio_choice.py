"""Another microphone in the middle of a conversation. With a scripted PortAudio."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from bot.audio import system as module
from bot.audio.backend import Device
from bot.audio.choice import MicrophoneChoice
from bot.audio.system import SoundSystem
from bot.errors import AudioDeviceError
from bot.events import InputDevice
from bot.ports import Microphone
from bot.talk import open_microphone
from tests.unit.test_audio_system import ScriptedPortAudio


def device(number: int, name: str, *, default: bool = False, api: str = "ALSA") -> Device:
    return Device(number, name, api, 1, 0, 48_000, default, False)


HEADSET, WEBCAM = device(0, "Headset", default=True), device(1, "Webcam")


@pytest.fixture
def portaudio(monkeypatch: pytest.MonkeyPatch) -> ScriptedPortAudio:
    scripted = ScriptedPortAudio()
    scripted.present = [HEADSET, WEBCAM]
    monkeypatch.setattr(module, "load_backend", lambda name: scripted)
    return scripted


def say(portaudio: ScriptedPortAudio, value: int) -> None:
    portaudio.feed(np.full(512, value, np.int16).tobytes(), 0.0, False)


def test_the_chosen_one_is_marked_and_kept(portaudio: ScriptedPortAudio) -> None:
    async def run() -> None:
        choice = MicrophoneChoice("sounddevice", "")
        assert await choice.listed() == [InputDevice(0, "Headset", True), InputDevice(1, "Webcam", False)]
        assert await choice.choose("web") == InputDevice(1, "Webcam", True)
        # Numbers change.
        portaudio.present = [device(0, "New", default=True), device(3, "Webcam")]
        assert await choice.listed() == [InputDevice(0, "New", False), InputDevice(3, "Webcam", True)]
        with pytest.raises(AudioDeviceError, match="There is no microphone 'nobody'"):
            await choice.choose("nobody")
        portaudio.present = [HEADSET]
        assert await choice.listed() == [InputDevice(0, "Headset", False)]
        portaudio.present = []
        with pytest.raises(AudioDeviceError, match="no microphone on this machine"):
            await choice.listed()

    asyncio.run(run())
    assert "open 16000x1" not in portaudio.log


def test_windows_devices_are_listed_once(portaudio: ScriptedPortAudio) -> None:
    apis = ("MME", "Windows DirectSound", "Windows WASAPI", "Windows WDM-KS")
    portaudio.present = [device(n, "Headset", api=api) for n, api in enumerate(apis)]

    async def run() -> None:
        assert await MicrophoneChoice("sounddevice", "").listed() == [InputDevice(2, "Headset", True)]

    asyncio.run(run())


def test_a_conversation_goes_on_with_another(portaudio: ScriptedPortAudio) -> None:
    async def run() -> None:
        system, choice = SoundSystem(), MicrophoneChoice("sounddevice", "Headset")

        async def opened(wanted: str) -> Microphone:
            return await open_microphone(system, wanted, lambda error: None)

        microphone = await choice.open(system, opened)
        frames = microphone.frames()
        say(portaudio, 1)
        assert (await anext(frames)).pcm[0] == 1
        portaudio.rates = set()
        with pytest.raises(AudioDeviceError, match="'Webcam' cannot be opened"):
            await choice.choose("1")
        assert len(portaudio.streams) == 1
        portaudio.rates = {16_000}
        async with asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(anext(frames))  # type: ignore[arg-type]
            await asyncio.sleep(0)
            assert (await choice.choose("1")).name == "Webcam"
            assert len(portaudio.streams) == 1, "the one before is still open"
            say(portaudio, 2)
        assert waiting.result().pcm[0] == 2
        portaudio.plugged_in = [device(2, "Lapel")]
        assert (await choice.choose("lapel")).number == 2
        say(portaudio, 3)
        assert (await anext(frames)).pcm[0] == 3
        await microphone.close()
        assert [each async for each in frames] == []
        choice.release()
        await system.close()

    asyncio.run(run())


def test_one_that_is_lost_is_left_at_once(portaudio: ScriptedPortAudio) -> None:
    lost: list[str] = []

    async def run() -> None:
        system, choice = SoundSystem(), MicrophoneChoice("sounddevice", "Headset")

        async def opened(wanted: str) -> Microphone:
            return await open_microphone(system, wanted, lambda error: lost.append(str(error)))

        microphone = await choice.open(system, opened)
        frames = microphone.frames()
        async with asyncio.TaskGroup() as tasks, asyncio.timeout(0.4):
            waiting = tasks.create_task(anext(frames))  # type: ignore[arg-type]
            await asyncio.sleep(0)
            portaudio.present = [WEBCAM]
            portaudio.ended()
            await asyncio.sleep(0.01)
            await choice.choose("Webcam")
            while not waiting.done():
                say(portaudio, 2)
                await asyncio.sleep(0.02)
        await microphone.close()
        choice.release()
        await system.close()

    asyncio.run(run())
    assert len(lost) == 1
