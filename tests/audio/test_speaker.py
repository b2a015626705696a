"""The product's loudspeaker into a PulseAudio null sink, heard through its monitor."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from bot.audio.outputs import DeviceOutput
from bot.audio.resample import Resampler
from bot.audio.speaker import PlaybackSpeaker
from bot.audio.wav import WavRecorder, read_wav
from bot.errors import SidetoneError
from bot.events import MIC_RATE, SPEECH_RATE, Int16, Sentence, SpeechClip
from tests.audio.compare import drift, likeness
from tests.audio.pulse import PulseDaemon
from tests.audio.test_microphone import BACKENDS, sound

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

FOLDER = Path(__file__).parent


def speech(name: str) -> Int16:
    return Resampler(MIC_RATE, SPEECH_RATE).feed(read_wav(FOLDER / name), last=True)


def clip(pcm: Int16) -> SpeechClip:
    return SpeechClip(Sentence(1, 0, "", ""), pcm, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Played:
    delay: float
    """Seconds from `play` to the first audible sample."""
    took: float
    """Seconds from `play` until everything had been played."""
    samples: int
    underruns: int
    underflows: int


async def play(backend: str, parts: list[Int16], out: Path, troubles: list[SidetoneError]) -> Played:
    loop = asyncio.get_running_loop()
    async with sound(backend) as system:
        began = loop.time()
        recorder = WavRecorder(out)
        output = DeviceOutput(system, "", troubles.append)
        async with PlaybackSpeaker(output, troubles.append, recorder, began) as speaker:
            await asyncio.sleep(0.5)
            started = loop.time()
            for part in parts:
                await speaker.play(clip(part))
            delay = await speaker.first_audible() - started
            await speaker.drained()
            took = loop.time() - started
            played = Played(delay, took, speaker.clear(), speaker.playback.underruns, output.underflows)
            await asyncio.sleep(0.3)
        recorder.close(loop.time() - began)
    return played


@BACKENDS
def test_what_is_played_is_heard_and_recorded(backend: str, pulse: PulseDaemon, tmp_path: Path) -> None:
    parts = [speech("amiable.wav"), speech("disposed.wav")]
    whole = np.concatenate(parts)
    troubles: list[SidetoneError] = []
    for _ in range(4):
        listening = pulse.listen(tmp_path / "heard.raw")
        played = asyncio.run(play(backend, parts, tmp_path / "out.wav", troubles))
        listening.terminate()
        heard = np.fromfile(tmp_path / "heard.raw", np.int16)
        # On an overloaded machine the sound card runs dry; the product knows, and only then there is another try.
        if not played.underflows:
            break
    assert likeness(whole, heard)[0] >= 0.98, played
    assert abs(drift(whole, heard)) <= 1
    recorded = Resampler(MIC_RATE, SPEECH_RATE).feed(read_wav(tmp_path / "out.wav"), last=True)
    assert likeness(whole, recorded)[0] >= 0.98
    assert played.samples == len(whole)
    assert not played.underruns
    assert not troubles
    leading = float(np.argmax(np.abs(whole) > 104)) / SPEECH_RATE
    assert leading <= played.delay < leading + 0.25
    assert len(whole) / SPEECH_RATE <= played.took < len(whole) / SPEECH_RATE + 0.5


@BACKENDS
def test_clear_silences_the_loudspeaker(backend: str, pulse: PulseDaemon, tmp_path: Path) -> None:
    whole = speech("leisure.wav")

    async def run() -> tuple[int, float]:
        loop = asyncio.get_running_loop()
        async with (
            sound(backend) as system,
            PlaybackSpeaker(DeviceOutput(system, "default", lambda error: None), lambda error: None) as speaker,
        ):
            await speaker.play(clip(whole))
            audible = await speaker.first_audible()
            await asyncio.sleep(audible + 2.0 - loop.time())
            played = speaker.clear()
            await asyncio.sleep(0.5)
        return played, audible

    listening = pulse.listen(tmp_path / "heard.raw")
    played, _ = asyncio.run(run())
    listening.terminate()
    leading = int(np.argmax(np.abs(whole) > 104))
    assert abs(played - leading - 2.0 * SPEECH_RATE) < 0.1 * SPEECH_RATE
    heard = np.fromfile(tmp_path / "heard.raw", np.int16)
    loud = np.flatnonzero(np.abs(heard) > 104)
    # What is heard in all is what was counted as played, and at most what the sound card had taken before.
    assert played - leading <= loud[-1] - loud[0] + 0.3 * SPEECH_RATE
    assert loud[-1] - loud[0] < played - leading + 0.25 * SPEECH_RATE


@BACKENDS
def test_an_answer_goes_on_when_the_sound_server_dies(backend: str, mortal_pulse: PulseDaemon) -> None:
    troubles: list[SidetoneError] = []
    whole = speech("leisure.wav")

    async def run() -> tuple[float, int]:
        loop = asyncio.get_running_loop()
        async with (
            sound(backend) as system,
            PlaybackSpeaker(DeviceOutput(system, "", troubles.append), troubles.append) as speaker,
        ):
            started = loop.time()
            await speaker.play(clip(whole))
            await speaker.first_audible()
            mortal_pulse.kill_daemon()
            async with asyncio.timeout(20):
                await speaker.drained()
            return loop.time() - started, speaker.clear()

    took, played = asyncio.run(run())
    assert len(troubles) == 1 and "has stopped playing" in str(troubles[0])
    assert played == len(whole)
    assert took < len(whole) / SPEECH_RATE + 5
