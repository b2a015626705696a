"""One thread for PortAudio, and streams that survive the search for new devices. With a scripted PortAudio."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bot.audio import system as module
from bot.audio.backend import BackendError, Device
from bot.audio.microphone import DeviceMicrophone
from bot.audio.outputs import DeviceOutput
from bot.audio.speaker import PlaybackSpeaker
from bot.audio.system import SoundSystem
from bot.errors import AudioDeviceError, SidetoneError
from bot.events import SPEECH_RATE
from tests.unit.test_audio_speaker import clip


class Stream:
    def __init__(self, owner: ScriptedPortAudio) -> None:
        self._owner = owner
        self.active = True

    def close(self) -> None:
        self._owner.note("close")
        if self.active:
            self._owner.streams.remove(self)
        self.active = False


class ScriptedPortAudio:
    """Remembers which threads called it; gives and takes sound when the test says so."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.threads: set[str] = set()
        self.streams: list[Stream] = []
        self.present = [Device(0, "Headset", "ALSA", 1, 2, 48_000, True, True)]
        self.plugged_in: list[Device] = []
        """Seen after the next search."""
        self.rates = {16_000, 24_000}
        self.feed: Callable[[bytes, float, bool], None] = lambda data, lag, lost: None
        self.pull: Callable[[int, float, bool], bytes] = lambda frames, lead, late: b""
        self.ended: Callable[[], None] = lambda: None
        self.format = (0, 0)

    def note(self, what: str) -> None:
        self.log.append(what)
        self.threads.add(threading.current_thread().name)

    def devices(self) -> list[Device]:
        self.note("devices")
        return self.present

    def _open(self, rate: int, channels: int, ended: Callable[[], None]) -> Stream:
        self.note(f"open {rate}x{channels}")
        if rate not in self.rates:
            raise BackendError("Invalid sample rate", -9997)
        self.format, self.ended = (rate, channels), ended
        self.streams.append(Stream(self))
        return self.streams[-1]

    def open_input(self, device: Device, rate: int, channels: int, feed: Any, ended: Any) -> Stream:
        self.feed = feed
        return self._open(rate, channels, ended)

    def open_output(self, device: Device, rate: int, channels: int, pull: Any, ended: Any) -> Stream:
        self.pull = pull
        return self._open(rate, channels, ended)

    def reinitialise(self) -> None:
        self.note("reinitialise")
        self.present, self.plugged_in = [*self.present, *self.plugged_in], []
        assert not self.streams, "a stream that is open when PortAudio ends crashes the process"


@pytest.fixture
def portaudio(monkeypatch: pytest.MonkeyPatch) -> ScriptedPortAudio:
    scripted = ScriptedPortAudio()
    monkeypatch.setattr(module, "load_backend", lambda name: scripted)
    return scripted


def test_a_search_for_devices_closes_and_reopens_what_is_open(portaudio: ScriptedPortAudio) -> None:
    async def run() -> None:
        system = SoundSystem()
        microphone = DeviceMicrophone(system)
        await microphone.open()
        await system.refresh()
        assert len(portaudio.streams) == 1
        frames = microphone.frames()
        portaudio.feed(np.ones(512, np.int16).tobytes(), 0.0, False)
        assert (await anext(frames)).pcm[0] == 1
        await microphone.close()
        await system.close()

    asyncio.run(run())
    assert portaudio.log.count("reinitialise") == 1
    assert not portaudio.streams
    assert len(portaudio.threads) == 1
    assert threading.current_thread().name not in portaudio.threads


def test_a_microphone_that_is_gone_after_the_search_says_so(portaudio: ScriptedPortAudio) -> None:
    async def run() -> None:
        system = SoundSystem()
        microphone = DeviceMicrophone(system)
        await microphone.open()
        portaudio.present = []
        await system.refresh()
        try:
            with pytest.raises(AudioDeviceError, match="no microphone on this machine"):
                await anext(microphone.frames())
        finally:
            await system.close()

    asyncio.run(run())


def test_a_stream_that_ends_by_itself_is_lost_and_one_that_is_closed_is_not(portaudio: ScriptedPortAudio) -> None:
    async def run() -> None:
        system = SoundSystem()
        microphone = DeviceMicrophone(system)
        await microphone.open()
        portaudio.ended()
        with pytest.raises(AudioDeviceError, match="'Headset' has stopped giving sound"):
            await anext(microphone.frames())
        await microphone.close()
        again = DeviceMicrophone(system)
        await again.open()
        await again.close()
        portaudio.ended()
        assert [frame async for frame in again.frames()] == []
        await system.close()

    asyncio.run(run())


@pytest.mark.parametrize(("rates", "expected"), [({24_000}, (24_000, 1)), ({48_000}, (48_000, 1))])
def test_a_loudspeaker_of_another_rate(
    portaudio: ScriptedPortAudio, rates: set[int], expected: tuple[int, int]
) -> None:
    portaudio.rates = rates
    troubles: list[SidetoneError] = []

    async def run() -> tuple[float, float, bytes]:
        loop = asyncio.get_running_loop()
        system = SoundSystem()
        async with PlaybackSpeaker(DeviceOutput(system, "", troubles.append), troubles.append) as speaker:
            await speaker.play(clip(0.5))
            started = loop.time()
            data = b"".join(portaudio.pull(480, 0.08, False) for _ in range(expected[0] * 3 // 4 // 480))
            audible = await speaker.first_audible()
        await system.close()
        return started, audible, data

    started, audible, data = asyncio.run(run())
    assert portaudio.format == expected
    assert 0.079 < audible - started < 0.12, "what the sound card still holds counts"
    pcm = np.frombuffer(data, np.int16)
    seconds = np.count_nonzero(np.abs(pcm) > 4000) / expected[0]
    assert seconds == pytest.approx(0.5, abs=0.01)
    assert not troubles


def test_a_lost_loudspeaker_is_said_the_answer_goes_on_and_sound_returns(portaudio: ScriptedPortAudio) -> None:
    troubles: list[SidetoneError] = []

    async def play(heard: list[np.ndarray]) -> None:
        """The device plays in real time whenever a stream is open."""
        while True:
            await asyncio.sleep(0.01)
            if portaudio.streams:
                heard.append(np.frombuffer(portaudio.pull(240, 0.0, False), np.int16))

    async def run() -> tuple[int, list[np.ndarray]]:
        system = SoundSystem()
        heard: list[np.ndarray] = []
        async with (
            PlaybackSpeaker(DeviceOutput(system, "", troubles.append), troubles.append) as speaker,
            asyncio.TaskGroup() as tasks,
        ):
            device = tasks.create_task(play(heard))
            await speaker.play(clip(1.0))
            await speaker.first_audible()
            portaudio.ended()
            await speaker.drained()
            played = speaker.clear()
            assert portaudio.log.count("reinitialise") == 1
            await speaker.play(clip(0.5, 4321))
            await speaker.drained()
            device.cancel()
        await system.close()
        return played, heard

    played, heard = asyncio.run(run())
    assert [type(error) for error in troubles] == [AudioDeviceError]
    assert "'Headset' has stopped playing" in str(troubles[0])
    assert played == SPEECH_RATE
    assert np.count_nonzero(np.concatenate(heard) == 4321) == SPEECH_RATE // 2
