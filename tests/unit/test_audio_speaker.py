"""The loudspeaker of a conversation without a device, on a virtual clock."""

from __future__ import annotations

import asyncio
import wave
from pathlib import Path

import numpy as np
import pytest

from bot.audio.outputs import PacedOutput
from bot.audio.speaker import PlaybackSpeaker
from bot.audio.wav import WavRecorder
from bot.errors import DiskError, SidetoneError
from bot.events import SPEECH_RATE, Int16, Sentence, SpeechClip
from bot.ports import Speaker
from tests.virtual_clock import run_virtual


def clip(seconds: float, value: int = 8000, silence: float = 0.0) -> SpeechClip:
    pcm = np.full(round(seconds * SPEECH_RATE), value, np.int16)
    pcm[: round(silence * SPEECH_RATE)] = 0
    return SpeechClip(Sentence(1, 0, "", ""), pcm, silence, 0.0)


def ignore(error: SidetoneError) -> None:
    raise AssertionError(error)


def recorded(path: Path) -> Int16:
    with wave.open(str(path), "rb") as file:
        return np.frombuffer(file.readframes(file.getnframes()), np.int16)


def test_clips_take_their_time() -> None:
    async def run() -> tuple[float, float, int]:
        loop = asyncio.get_running_loop()
        async with PlaybackSpeaker(PacedOutput(), ignore) as made:
            speaker: Speaker = made
            await asyncio.sleep(1.0)
            await speaker.play(clip(1.0, silence=0.25))
            await speaker.play(clip(0.5))
            audible = await speaker.first_audible()
            await speaker.drained()
            drained = loop.time()
            return audible, drained, speaker.clear()

    audible, drained, played = run_virtual(run())
    assert audible == pytest.approx(1.25, abs=1e-4)
    assert drained == pytest.approx(2.5, abs=0.011)
    assert played == 1.5 * SPEECH_RATE


def test_drained_returns_at_once_when_nothing_was_said() -> None:
    async def run() -> float:
        async with PlaybackSpeaker(PacedOutput(), ignore) as speaker:
            await speaker.drained()
            return asyncio.get_running_loop().time()

    assert run_virtual(run()) == 0.0


def test_clear_counts_to_the_sample_and_nothing_old_follows(tmp_path: Path) -> None:
    async def run() -> int:
        recorder = WavRecorder(tmp_path / "out.wav")
        async with PlaybackSpeaker(PacedOutput(), ignore, recorder, began=0.0) as speaker:
            await speaker.play(clip(5.0))
            await asyncio.sleep(1.0)
            played = speaker.clear()
            await asyncio.sleep(0.5)
            await speaker.play(clip(0.5, 3000))
            await speaker.drained()
        recorder.close(3.0)
        return played

    assert abs(run_virtual(run()) - SPEECH_RATE) <= 1
    pcm = recorded(tmp_path / "out.wav")
    assert len(pcm) == 3 * SPEECH_RATE
    assert (pcm[: SPEECH_RATE - 10] == 8000).all()
    quiet = pcm[round(1.025 * SPEECH_RATE) : round(1.49 * SPEECH_RATE)]
    assert not quiet.any()
    second = np.flatnonzero(pcm == 3000)
    assert second[0] == pytest.approx(1.5 * SPEECH_RATE, abs=2)
    assert len(second) == SPEECH_RATE // 2
    assert np.abs(np.diff(pcm.astype(int))).max() < 8000 or second[0] > 0
    fade = pcm[SPEECH_RATE - 10 : round(1.03 * SPEECH_RATE)].astype(int)
    assert np.diff(fade).min() > -400, "no click where the sound stops"


def test_play_waits_above_twenty_seconds() -> None:
    async def run() -> list[float]:
        loop = asyncio.get_running_loop()
        times = []
        async with PlaybackSpeaker(PacedOutput(), ignore) as speaker:
            for _ in range(5):
                await speaker.play(clip(10.0))
                times.append(loop.time())
        return times

    times = run_virtual(run())
    assert times[:3] == [0.0, 0.0, 0.0]
    assert times[3] == pytest.approx(10.0, abs=0.05)
    assert times[4] == pytest.approx(20.0, abs=0.05)


def test_a_clip_that_waited_is_dropped_by_clear() -> None:
    async def run() -> bool:
        async with PlaybackSpeaker(PacedOutput(), ignore) as speaker, asyncio.TaskGroup() as tasks:
            await speaker.play(clip(30.0))
            waiting = tasks.create_task(speaker.play(clip(1.0)))
            await asyncio.sleep(1.0)
            speaker.clear()
            await waiting
            await asyncio.sleep(0.1)
            return speaker.playback.idle

    assert run_virtual(run())


def test_first_audible_after_clear_is_that_of_the_next_answer() -> None:
    async def run() -> float:
        async with PlaybackSpeaker(PacedOutput(), ignore) as speaker:
            await speaker.play(clip(1.0))
            await speaker.first_audible()
            speaker.clear()
            asyncio.get_running_loop().call_later(2.0, speaker.playback.write, clip(1.0).pcm)
            return await speaker.first_audible()

    assert run_virtual(run()) == pytest.approx(2.0, abs=0.01)


def test_not_in_real_time_nobody_waits(tmp_path: Path) -> None:
    async def run() -> tuple[float, float, float]:
        loop = asyncio.get_running_loop()
        recorder = WavRecorder(tmp_path / "out.wav")
        async with PlaybackSpeaker(PacedOutput(realtime=False), ignore, recorder, began=0.0) as speaker:
            await asyncio.sleep(1.0)
            for _ in range(10):
                await speaker.play(clip(10.0, silence=0.1))
            audible = await speaker.first_audible()
            await speaker.drained()
            took = loop.time()
            speaker.clear()
            await speaker.play(clip(1.0, 3000))
            second = await speaker.first_audible()
            await speaker.drained()
        recorder.close()
        return audible, took, second

    audible, took, second = run_virtual(run())
    assert audible == pytest.approx(1.1, abs=1e-4)
    assert took == pytest.approx(1.0, abs=0.01)
    assert second == pytest.approx(1.0, abs=0.01)
    pcm = recorded(tmp_path / "out.wav")
    assert len(pcm) == 102 * SPEECH_RATE
    assert (pcm[-SPEECH_RATE:] == 3000).all()


def test_a_full_disk_costs_the_recording_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[SidetoneError] = []

    def full(self: WavRecorder, seconds: float, pcm: Int16) -> None:
        raise DiskError("The disk is full.")

    monkeypatch.setattr(WavRecorder, "write_at", full)

    async def run() -> int:
        recorder = WavRecorder(tmp_path / "out.wav")
        async with PlaybackSpeaker(PacedOutput(), told.append, recorder) as speaker:
            await speaker.play(clip(2.0))
            await speaker.drained()
            played = speaker.clear()
        recorder.close()
        return played

    assert run_virtual(run()) == 2 * SPEECH_RATE
    assert [str(error) for error in told] == ["The disk is full."]


def test_an_error_inside_comes_out_as_itself() -> None:
    async def run() -> None:
        async with PlaybackSpeaker(PacedOutput(), ignore) as speaker:
            await speaker.play(clip(2.0))
            raise DiskError("mine")

    with pytest.raises(DiskError, match="mine"):
        run_virtual(run())


def test_closing_twice_is_harmless() -> None:
    async def run() -> None:
        async with PlaybackSpeaker(PacedOutput(), ignore) as speaker:
            await speaker.play(clip(2.0))
            await speaker.close()

    run_virtual(run())
