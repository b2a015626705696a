"""Sample arithmetic, the resampler, the reblocker and the level meter."""

from __future__ import annotations

import numpy as np
import pytest

from bot.audio import pcm
from bot.audio.level import LevelMeter
from bot.audio.resample import Reblocker, Resampler
from bot.events import FRAME_SAMPLES, Int16


def tone(seconds: float, rate: int, hertz: float = 440.0, amplitude: int = 12_000) -> Int16:
    return np.rint(amplitude * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(np.int16)


def test_the_loudest_negative_sample_does_not_wrap_around() -> None:
    extreme = np.array([-32768, 32767], np.int16)
    assert pcm.peak(extreme) == 32768
    assert pcm.rms(extreme) == pytest.approx(32767.5)
    assert pcm.dbfs(pcm.peak(extreme)) == 0.0


def test_levels() -> None:
    assert pcm.dbfs(pcm.rms(tone(1, 16_000, amplitude=32767))) == pytest.approx(-3.01, abs=0.01)
    assert pcm.dbfs(0) == pcm.dbfs(pcm.rms(np.zeros(0, np.int16))) == pcm.FLOOR_DBFS
    assert pcm.peak(np.zeros(0, np.int16)) == 0
    assert pcm.dbfs(pcm.amplitude(-50)) == pytest.approx(-50)


def test_what_is_too_loud_clips_instead_of_wrapping() -> None:
    odd = np.array([1.5, -1.5, 1.0, -1.0, 0.0, np.nan, np.inf, -np.inf])
    assert pcm.to_int16(odd).tolist() == [32767, -32768, 32767, -32768, 0, 0, 32767, -32768]


def test_float_and_back_is_the_same() -> None:
    every = np.arange(-32768, 32768, dtype=np.int16)
    assert np.array_equal(pcm.to_int16(pcm.to_float(every)), every)


def test_channels_are_averaged_without_wrapping() -> None:
    stereo = np.array([[32767, 32767], [-32768, -32768], [100, 300]], np.int16)
    assert pcm.to_mono(stereo).tolist() == [32767, -32768, 200]
    assert pcm.to_mono(stereo[:, :1]).tolist() == [32767, -32768, 100]


def test_fades() -> None:
    flat = np.full(5, 1000, np.int16)
    assert pcm.fade_out(flat).tolist() == [1000, 750, 500, 250, 0]
    assert pcm.fade_in(flat).tolist() == [0, 250, 500, 750, 1000]


@pytest.mark.parametrize("source", [8_000, 22_050, 44_100, 48_000])
def test_resampling_in_blocks_keeps_the_tone(source: int) -> None:
    resampler = Resampler(source, 16_000)
    parts, block = [], 441
    whole = tone(1.0, source)
    for start in range(0, len(whole), block):
        parts.append(resampler.feed(whole[start : start + block]))
        assert 0 <= resampler.delay_s < 0.15
    parts.append(resampler.feed(np.zeros(0, np.int16), last=True))
    out = np.concatenate(parts)
    expected = tone(1.0, 16_000)
    assert abs(len(out) - len(expected)) <= 1
    middle = slice(800, 15_000)
    assert np.abs(out[middle].astype(int) - expected[middle]).max() < 200


def test_resampled_silence_is_silent() -> None:
    assert not Resampler(48_000, 16_000).feed(np.zeros(48_000, np.int16), last=True).any()


def test_a_full_scale_square_wave_clips_rather_than_wraps() -> None:
    square = np.where(np.arange(48_000) // 120 % 2, 32767, -32768).astype(np.int16)
    out = Resampler(48_000, 16_000).feed(square, last=True).astype(int)
    assert np.abs(np.diff(out)).max() <= 65535
    assert out.max() == 32767
    assert out.min() == -32768
    plateau = out[10:30]
    assert (plateau < 0).all() or (plateau > 0).all(), "a wrapped sample would change its sign"


def test_the_same_rate_passes_untouched() -> None:
    sound = tone(0.1, 16_000)
    assert Resampler(16_000, 16_000).feed(sound) is sound


def test_blocks_of_any_size_become_frames() -> None:
    reblocker = Reblocker(FRAME_SAMPLES)
    sound = np.arange(5000, dtype=np.int16)
    blocks: list[Int16] = []
    for start, end in [(0, 1), (1, 511), (511, 512), (512, 3000), (3000, 3000), (3000, 5000)]:
        blocks += reblocker.feed(sound[start:end])
    assert reblocker.pending == 5000 % FRAME_SAMPLES
    blocks += reblocker.flush()
    assert reblocker.flush() == []
    joined = np.concatenate(blocks)
    assert all(len(block) == FRAME_SAMPLES for block in blocks)
    assert np.array_equal(joined[:5000], sound)
    assert not joined[5000:].any()


def test_a_dead_microphone_is_noticed_after_three_seconds() -> None:
    meter = LevelMeter()
    zeros, hiss = np.zeros(FRAME_SAMPLES, np.int16), np.full(FRAME_SAMPLES, 1, np.int16)
    for _ in range(93):
        assert meter.feed(zeros) == pcm.FLOOR_DBFS
    assert not meter.silent
    meter.feed(zeros)
    assert meter.silent
    meter.feed(hiss)
    assert not meter.silent


def test_clipping_and_the_peak_are_held_for_a_second() -> None:
    meter = LevelMeter()
    meter.feed(np.full(FRAME_SAMPLES, -32768, np.int16))
    assert meter.clipping
    assert meter.held_peak == 0.0
    quiet = np.full(FRAME_SAMPLES, 328, np.int16)
    for _ in range(30):
        assert meter.feed(quiet) == pytest.approx(-40, abs=0.1)
    assert meter.clipping
    assert meter.held_peak == 0.0
    for _ in range(20):
        meter.feed(quiet)
    assert not meter.clipping
    assert -20 < meter.held_peak < -5
