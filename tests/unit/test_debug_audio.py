"""`--debug-audio`: what is recorded, when, and where it is said."""

from __future__ import annotations

import asyncio
import os
import stat
import wave
from contextlib import AsyncExitStack
from pathlib import Path

import numpy as np
import pytest

from bot.answer import Mouth
from bot.chat.voice_card import Card
from bot.debug_audio import DebugAudio, recorded
from bot.errors import ConfigError, DiskError
from bot.events import MIC_RATE, SPEECH_RATE, Ready, SoundRecorded
from bot.session import Ears, Session
from bot.talk import make_splitter
from bot.voice.listener import Listener
from bot.voice.turn import SilenceTurnDetector
from tests.fakes import FakeBrain, FakeSpeaker, FakeStt, FakeTts, LoudnessVad, Recorder, ScriptedMicrophone
from tests.virtual_clock import run_virtual


def hold(sound: DebugAudio | None) -> tuple[Recorder, FakeStt, FakeTts]:
    """One conversation of one question."""
    seen, stt, tts = Recorder(), FakeStt(["What is it?"]), FakeTts()

    async def main() -> None:
        async with AsyncExitStack() as stack:
            microphone = ScriptedMicrophone([(0.5, 1.5)], 8)
            ears = Ears(microphone, LoudnessVad(), Listener(SilenceTurnDetector()), stt)
            mouth = Mouth(FakeBrain(["It is a test. It is short."]), tts, FakeSpeaker(), make_splitter)
            ears, mouth = recorded(sound, ears, mouth, seen, stack)
            await Session(ears, mouth, seen).run()

    run_virtual(main())
    return seen, stt, tts


def samples(path: Path) -> tuple[int, int]:
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth()) == (1, 2)
        return file.getframerate(), file.getnframes()


def test_each_stage_of_one_conversation_and_no_more(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "sound"
    sound = DebugAudio(folder)
    seen, stt, tts = hold(sound)
    assert seen.names()[:2] == ["sound_recorded", "ready"]
    assert seen.events[0][1] == SoundRecorded(0, str(folder))
    rate, count = samples(folder / "microphone.wav")
    assert rate == MIC_RATE
    assert count == pytest.approx(8 * MIC_RATE, abs=MIC_RATE / 10)
    heard = sorted(folder.glob("utterance-*.wav"))
    assert [samples(path) for path in heard] == [(MIC_RATE, count) for count in stt.calls]
    clips = sorted(folder.glob("clip-*.wav"))
    assert [path.name for path in clips] == ["clip-turn001-000.wav", "clip-turn001-001.wav"]
    assert len(tts.spoken) == 2
    assert [samples(path) for path in clips] == [(SPEECH_RATE, round(0.3 * n * SPEECH_RATE)) for n in (4, 3)]
    before = sorted(path.name for path in folder.iterdir())
    again, _, _ = hold(sound)
    assert "sound_recorded" not in again.names()
    assert sorted(path.name for path in folder.iterdir()) == before


def test_without_the_option_nothing_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    seen, _, _ = hold(None)
    assert "sound_recorded" not in seen.names()
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.name == "nt", reason="Windows has other permissions")
def test_nobody_else_can_read_it(tmp_path: Path) -> None:
    DebugAudio(tmp_path / "sound")
    assert stat.S_IMODE((tmp_path / "sound").stat().st_mode) == 0o700


def test_a_start_that_fails_does_not_use_the_folder_up(tmp_path: Path) -> None:
    DebugAudio(tmp_path / "sound")
    DebugAudio(tmp_path / "sound")


def test_a_recording_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "clip-turn001-000.wav").touch()
    with pytest.raises(ConfigError, match="holds recordings already"):
        DebugAudio(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(DiskError, match="cannot write to"):
        DebugAudio(tmp_path / "file")


def test_a_disk_that_fills_up_ends_the_recording_and_not_the_conversation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    sound = DebugAudio(tmp_path / "sound")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(wave.Wave_write, "writeframes", full)
    seen, _, _ = hold(sound)
    assert "reply_done" in seen.names()
    assert caplog.text.count("is not recorded in") == 1


def test_the_card_in_discord_says_so() -> None:
    async def main() -> None:
        card = Card("#voice")
        card.feed(Ready(0))
        assert "recorded" not in card.text
        card.feed(SoundRecorded(0, "/home/me/sound"))
        assert "The sound is recorded on this PC (--debug-audio)." in card.text
        assert "/home/me" not in card.text, "where it lies is not for the channel"

    asyncio.run(main())


def test_the_samples_are_those_that_were_heard(tmp_path: Path) -> None:
    recording = DebugAudio(tmp_path / "sound").begin()
    assert recording is not None
    pcm = np.arange(-256, 256, dtype=np.int16)
    recording.frame(pcm)
    with wave.open(str(tmp_path / "sound" / "microphone.wav")) as file:
        assert np.array_equal(np.frombuffer(file.readframes(512), "<i2"), pcm), "whole before it is closed"
    recording.close()
