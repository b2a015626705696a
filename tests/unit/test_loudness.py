"""Level, limiter and edges on signals whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from bot.voice import loudness
from bot.voice.loudness import CEILING, FRAME, GAIN, Float, finish, gain, limit, tail_s, to_int16, trim

RATE = 24_000


def tone(seconds: float, amplitude: float, frequency: float = 200.0) -> Float:
    t = np.arange(round(seconds * RATE)) / RATE
    return (amplitude * np.sin(2 * np.pi * frequency * t)).astype(np.float32)


def silence(seconds: float) -> Float:
    return np.zeros(round(seconds * RATE), dtype=np.float32)


def speech(amplitude: float, seed: int = 0) -> Float:
    """Noise in syllables: loud and soft in turn, with the crest factor of speech."""
    rng = np.random.default_rng(seed)
    envelope = np.repeat(rng.uniform(0.05, 1.0, 20), RATE // 10)
    return (amplitude * envelope * rng.normal(0, 0.3, envelope.size)).astype(np.float32)


def rms(pcm: np.ndarray) -> float:
    return float(np.sqrt(np.mean(pcm.astype(np.float64) ** 2)))


def test_normal_speech_is_loud_and_never_clipped() -> None:
    for amplitude in (0.2, 0.3, 0.5):
        pcm, _ = finish(np.concatenate([silence(0.3), speech(amplitude), silence(0.5)]), "Hello.")
        assert pcm.dtype == np.int16
        assert 15_000 < np.abs(pcm).max() <= 32_000
        assert rms(pcm) > 2_000


def test_clips_come_out_at_one_level() -> None:
    levels = [rms(finish(speech(amplitude), "")[0]) for amplitude in (0.3, 0.4, 0.55, 0.7)]
    assert 20 * np.log10(max(levels) / min(levels)) < 1.0


def test_gain_is_about_one_and_a_half_for_kokoros_own_level_and_bounded() -> None:
    assert gain(tone(1, 0.125 / 1.5 * np.sqrt(2))) == pytest.approx(1.5, rel=0.02)
    assert gain(tone(1, 0.001)) == pytest.approx(GAIN * loudness.REACH)
    assert gain(tone(1, 1.0)) == pytest.approx(GAIN / loudness.REACH)
    assert gain(np.zeros(0, dtype=np.float32)) == GAIN


@pytest.mark.parametrize("peak", [1.01, 1.5, 3.0])
@pytest.mark.parametrize("at", [0, 7, 12_000, 23_990])
def test_the_limiter_holds_every_peak_without_cutting_it(peak: float, at: int) -> None:
    signal = tone(1, 0.5)
    signal[at : at + 10] = peak
    limited = limit(signal)
    assert np.abs(limited).max() <= CEILING * 1.0001
    # What was the peak stays the peak, and is not cut far lower than it must be.
    assert np.abs(limited[at : at + 10]).max() > CEILING * 0.9


def test_the_limiter_moves_smoothly_and_only_around_the_peak() -> None:
    signal = np.full(RATE, 0.5, dtype=np.float32)
    signal[12_000:12_010] = 2.0
    limited = limit(signal)
    far = np.r_[0:11_500, 12_500:24_000]
    assert np.array_equal(limited[far], signal[far])
    assert np.abs(np.diff(limited / signal)).max() < 0.01, "a step in the gain is a click"


def test_the_limiter_leaves_quiet_sound_alone() -> None:
    signal = tone(0.5, 0.9)
    assert limit(signal) is signal
    assert limit(np.zeros(0, dtype=np.float32)).size == 0


def test_a_sustained_overload_is_turned_down_not_distorted() -> None:
    """A limited sine stays a sine: hard clipping at this level would leave 11 % of other frequencies."""
    limited = limit(tone(1, 1.5))
    middle = limited[2_400:-2_400] * np.hanning(limited.size - 4_800)
    power = np.abs(np.fft.rfft(middle)) ** 2
    frequency = np.fft.rfftfreq(middle.size, 1 / RATE)
    own = np.abs(frequency - 200) < 20
    assert power[~own].sum() / power.sum() < 0.001


def test_to_int16_is_the_last_guard() -> None:
    assert np.abs(to_int16(np.array([5, -5], dtype=np.float32))).max() == 31_000


def test_edges_are_trimmed_and_the_lead_is_told() -> None:
    raw = np.concatenate([silence(0.3), tone(1, 0.3), silence(0.5)])
    part, lead = trim(raw)
    assert lead == pytest.approx(0.010)
    assert part.size / RATE == pytest.approx(1.013, abs=0.002)
    assert np.abs(part[: round(lead * RATE)]).max() == 0
    assert abs(part[0]) < 1e-4
    assert abs(part[-1]) < 1e-4


def test_a_clip_that_starts_at_once_has_no_lead() -> None:
    part, lead = trim(tone(0.2, 0.3))
    assert lead == 0
    assert part.size / RATE == pytest.approx(0.2)


def test_soft_sounds_at_the_edges_stay() -> None:
    """An "f" 35 dB under the vowels is speech; a breath at 60 dB under is not."""
    raw = np.concatenate([tone(0.3, 0.0003), tone(0.1, 0.3 * 10 ** (-35 / 20), 4000), tone(0.5, 0.3)])
    part, _ = trim(raw)
    assert part.size / RATE == pytest.approx(0.61, abs=0.006)


@pytest.mark.parametrize("raw", [np.zeros(0), np.zeros(5), np.zeros(24_000), np.full(24_000, 1e-6)])
def test_silence_becomes_an_empty_clip(raw: np.ndarray) -> None:
    pcm, lead = finish(raw.astype(np.float32), "Hello.")
    assert pcm.shape == (0,)
    assert lead == 0


def test_clips_shorter_than_a_frame() -> None:
    for size in (1, FRAME - 1, FRAME, FRAME + 1):
        pcm, _ = finish(np.full(size, 0.5, dtype=np.float32), "")
        assert pcm.size >= size


def test_the_tail_goes_by_the_closing_mark() -> None:
    assert tail_s("Done.") == tail_s('He said "done."') == tail_s("Really?") == 0.12
    assert tail_s("First,") == 0.08
    assert tail_s("and so") == 0.06
    assert tail_s("") == 0.06
    pcm, _ = finish(tone(0.5, 0.3), "Done.")
    assert not pcm[-round(0.115 * RATE) :].any()
