"""Every kind of WAV, the file as a microphone, and the recording."""

from __future__ import annotations

import asyncio
import sys
import wave
from pathlib import Path

import numpy as np
import pytest
import soundfile

from bot.audio.wav import WavMicrophone, WavRecorder, read_wav
from bot.errors import AudioFileError, DiskError
from bot.events import FRAME_SAMPLES, FRAME_SECONDS, Frame, Int16
from tests.unit.test_audio_pcm import tone
from tests.virtual_clock import run_virtual


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW"])
@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000, 96_000])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_any_wav_is_read(tmp_path: Path, subtype: str, rate: int, channels: int) -> None:
    path = tmp_path / "tone.wav"
    sound = tone(0.5, rate) / 32768
    soundfile.write(path, np.stack([sound] * channels, axis=1), rate, subtype=subtype)
    pcm = read_wav(path)
    assert pcm.dtype == np.int16
    assert pcm.ndim == 1
    assert abs(len(pcm) - 8000) <= 1
    expected = tone(0.5, 16_000)
    worst = np.abs(pcm[800:7000].astype(int) - expected[800:7000]).max()
    assert worst < (700 if subtype in ("PCM_U8", "ULAW") else 250)


def test_float_louder_than_full_scale_clips(tmp_path: Path) -> None:
    path = tmp_path / "hot.wav"
    soundfile.write(path, np.array([2.0, -2.0, np.nan, 0.5] * 100), 16_000, subtype="FLOAT")
    assert read_wav(path)[:4].tolist() == [32767, -32768, 0, 16384]


def test_other_formats_of_the_library_are_welcome(tmp_path: Path) -> None:
    path = tmp_path / "tone.flac"
    soundfile.write(path, tone(0.2, 16_000), 16_000)
    assert np.array_equal(read_wav(path), tone(0.2, 16_000))


def refused(path: Path) -> str:
    with pytest.raises(AudioFileError) as caught:
        read_wav(path)
    message = str(caught.value)
    assert str(path) in message
    assert message.endswith(".")
    assert message.count("..") == 0
    return message


def test_files_that_are_no_sound(tmp_path: Path) -> None:
    assert "There is no file" in refused(tmp_path / "missing.wav")
    assert "cannot be opened" in refused(tmp_path)
    (tmp_path / "empty.wav").write_bytes(b"")
    assert "is empty" in refused(tmp_path / "empty.wav")
    (tmp_path / "text.wav").write_text("This is not sound.", encoding="utf-8")
    assert "cannot be read as sound" in refused(tmp_path / "text.wav")
    soundfile.write(tmp_path / "none.wav", np.zeros(0, np.int16), 16_000)
    assert "holds no sound" in refused(tmp_path / "none.wav")


@pytest.mark.parametrize("keep", [10, 30, 44, 45, 1000])
def test_a_wav_that_was_cut_short(tmp_path: Path, keep: int) -> None:
    soundfile.write(tmp_path / "whole.wav", tone(1, 16_000), 16_000)
    cut = tmp_path / "cut.wav"
    cut.write_bytes((tmp_path / "whole.wav").read_bytes()[:keep])
    message = refused(cut)
    if keep == 1000:
        assert "cut short: 956 of 32000 bytes" in message


def test_a_wav_from_a_pipe_does_not_know_its_length(tmp_path: Path) -> None:
    path = tmp_path / "pipe.wav"
    soundfile.write(path, tone(1, 16_000), 16_000)
    data = bytearray(path.read_bytes())
    data[4:8] = data[40:44] = b"\xff\xff\xff\xff"
    path.write_bytes(data)
    assert len(read_wav(path)) == 16_000


async def take(microphone: WavMicrophone, count: int) -> list[Frame]:
    frames: list[Frame] = []
    async for frame in microphone.frames():
        frames.append(frame)
        if len(frames) == count:
            await microphone.close()
    return frames


def test_frames_come_in_real_time_and_silence_follows() -> None:
    sound = np.full(FRAME_SAMPLES * 3 + 10, 7, np.int16)

    async def run() -> tuple[list[Frame], float]:
        return await take(WavMicrophone(sound), 100), asyncio.get_running_loop().time()

    frames, ended = run_virtual(run())
    assert len(frames) == 100
    assert [frame.t for frame in frames] == pytest.approx([(n + 1) * FRAME_SECONDS for n in range(100)])
    assert ended == pytest.approx(100 * FRAME_SECONDS)
    joined = np.concatenate([frame.pcm for frame in frames])
    assert np.array_equal(joined[: len(sound)], sound)
    assert not joined[len(sound) :].any()
    assert all(len(frame.pcm) == FRAME_SAMPLES for frame in frames)


def test_a_slow_listener_does_not_shift_the_schedule() -> None:
    async def run() -> list[float]:
        times = []
        microphone = WavMicrophone(np.zeros(0, np.int16))
        async for frame in microphone.frames():
            times.append(frame.t)
            await asyncio.sleep(0.5 if len(times) == 3 else 0.0)
            if len(times) == 50:
                await microphone.close()
        return times

    assert run_virtual(run()) == pytest.approx([(n + 1) * FRAME_SECONDS for n in range(50)])


def test_the_end_of_the_file_is_told() -> None:
    async def run() -> list[bool]:
        microphone = WavMicrophone(np.ones(FRAME_SAMPLES + 1, np.int16))
        told = []
        async for _ in microphone.frames():
            told.append(microphone.exhausted.is_set())
            if len(told) == 3:
                await microphone.close()
        return told

    assert run_virtual(run()) == [False, True, True]


def test_not_in_real_time_the_gate_holds_the_file() -> None:
    async def run() -> list[float]:
        answering = asyncio.Event()
        answering.set()
        microphone = WavMicrophone(np.ones(FRAME_SAMPLES * 10, np.int16), realtime=False, gate=answering.wait)
        loop = asyncio.get_running_loop()
        times = []
        async for frame in microphone.frames():
            times.append(frame.t)
            if len(times) == 4:
                answering.clear()
                loop.call_later(5.0, answering.set)
            if len(times) == 8:
                await microphone.close()
        return times

    assert run_virtual(run()) == [0.0] * 4 + [5.0] * 4


def test_not_in_real_time_other_tasks_still_run() -> None:
    async def run() -> int:
        microphone = WavMicrophone(np.zeros(0, np.int16), realtime=False)
        turns = 0

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        async with asyncio.TaskGroup() as tasks:
            beside = tasks.create_task(other())
            await take(microphone, 100)
            beside.cancel()
        return turns

    assert run_virtual(run()) >= 100


def recorded(path: Path) -> Int16:
    with wave.open(str(path), "rb") as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 24_000)
        return np.frombuffer(file.readframes(file.getnframes()), np.int16)


def test_a_recording_is_aligned_with_the_session(tmp_path: Path) -> None:
    recorder = WavRecorder(tmp_path / "out.wav")
    recorder.write_at(1.0, np.full(24_000, 5, np.int16))
    recorder.write_at(1.5, np.full(12_000, 6, np.int16))
    recorder.write_at(3.0, np.full(10, 7, np.int16))
    recorder.close(4.0)
    recorder.write_at(5.0, np.full(10, 8, np.int16))
    recorder.close(6.0)
    pcm = recorded(tmp_path / "out.wav")
    assert len(pcm) == 4 * 24_000
    assert not pcm[:24_000].any()
    assert (pcm[24_000:48_000] == 5).all()
    assert (pcm[48_000:60_000] == 6).all(), "what comes too early is put after what is there"
    assert not pcm[60_000:72_000].any()
    assert (pcm[72_000:72_010] == 7).all()
    assert not pcm[72_010:].any()


def test_a_recording_can_be_played_at_any_moment(tmp_path: Path) -> None:
    """As a killed process leaves it: nothing is closed."""
    recorder = WavRecorder(tmp_path / "out.wav")
    assert len(recorded(tmp_path / "out.wav")) == 0
    for n in range(1, 4):
        recorder.write_at(0.0, np.full(100, n, np.int16))
        assert len(recorded(tmp_path / "out.wav")) == 100 * n
    recorder.close()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /dev/full")
def test_a_full_disk_is_said_once(tmp_path: Path) -> None:
    with pytest.raises(DiskError, match="the disk is full"):
        WavRecorder(Path("/dev/full"))


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DiskError, match="cannot be written"):
        WavRecorder(tmp_path / "nowhere" / "out.wav")
