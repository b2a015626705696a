"""The queue of sound: what is played, counted, cleared and told."""

from __future__ import annotations

import numpy as np
import pytest

from bot.audio.playback import FADE_SAMPLES, Playback
from bot.events import SPEECH_RATE, Int16


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def woken() -> list[int]:
    return []


@pytest.fixture
def playback(clock: Clock, woken: list[int]) -> Playback:
    return Playback(clock, lambda: woken.append(1), low_water_s=1.0)


def ramp(count: int, start: int = 1000) -> Int16:
    return np.arange(start, start + count, dtype=np.int16)


def test_clips_follow_each_other_without_a_seam(playback: Playback) -> None:
    playback.write(ramp(250))
    playback.write(ramp(250, 1250))
    blocks = [playback.pull(120) for _ in range(5)]
    joined = np.concatenate([block for block, _ in blocks])
    assert np.array_equal(joined[:500], ramp(500))
    assert not joined[500:].any()
    assert [sound for _, sound in blocks] == [120, 120, 120, 120, 20]


def test_padding_is_not_played(playback: Playback, clock: Clock) -> None:
    playback.pull(1000)
    playback.write(ramp(300))
    playback.pull(1000)
    playback.pull(1000)
    clock.now += 1
    assert playback.clear() == 300
    assert playback.clear() == 0


def test_clear_fades_and_then_is_silent(playback: Playback, clock: Clock) -> None:
    playback.write(np.full(10_000, 20_000, np.int16))
    playback.pull(240)
    clock.now += 240 / SPEECH_RATE
    assert playback.clear() == 240
    after, sound = playback.pull(480)
    assert sound == FADE_SAMPLES
    assert after[0] == 20_000
    assert (np.diff(after[:FADE_SAMPLES].astype(int)) < 0).all()
    assert not after[FADE_SAMPLES:].any()
    assert playback.idle
    assert not playback.pull(480)[0].any()


def test_what_was_never_sounding_does_not_sound_when_it_is_cleared(playback: Playback) -> None:
    playback.write(np.full(10_000, 20_000, np.int16))
    assert playback.clear() == 0
    assert not playback.pull(480)[0].any()


def test_the_next_answer_follows_the_fade(playback: Playback) -> None:
    playback.write(np.full(1000, 20_000, np.int16))
    playback.pull(100)
    playback.clear()
    playback.write(np.full(1000, 111, np.int16))
    block, sound = playback.pull(480)
    assert sound == 480
    assert (block[FADE_SAMPLES:] == 111).all()
    assert playback.first_audible == pytest.approx(100.0 + FADE_SAMPLES / SPEECH_RATE)


def test_a_fade_is_not_counted_as_played(playback: Playback, clock: Clock) -> None:
    playback.write(np.full(1000, 20_000, np.int16))
    playback.pull(100)
    clock.now += 1
    assert playback.clear() == 100
    playback.pull(480)
    clock.now += 1
    assert playback.clear() == 0


def test_what_the_sound_card_still_holds_was_not_heard(playback: Playback, clock: Clock) -> None:
    playback.write(ramp(4800))
    playback.pull(2400, lead_s=0.05)
    assert playback.audible_until == pytest.approx(100.15)
    clock.now = 100.1
    assert playback.clear() == 1200


def test_the_first_audible_sample_is_found_behind_the_breath(playback: Playback, woken: list[int]) -> None:
    breath = np.full(2400, 90, np.int16)
    playback.write(breath)
    playback.pull(2400, lead_s=0.02)
    assert playback.first_audible is None
    playback.write(np.concatenate([breath[:1200], [-5000, 5000]]).astype(np.int16))
    woken.clear()
    playback.pull(1202, lead_s=0.02)
    assert playback.first_audible == pytest.approx(100.07)
    assert woken
    playback.clear()
    assert playback.first_audible is None


def test_running_dry_in_the_middle_of_a_reply_is_counted(playback: Playback) -> None:
    playback.pull(100)
    playback.write(ramp(100))
    playback.pull(200)
    assert playback.underruns == 0, "the end of a reply is no underrun"
    playback.write(ramp(100))
    assert playback.underruns == 1
    playback.pull(200)
    playback.clear()
    playback.write(ramp(100))
    assert playback.underruns == 1, "nor is the beginning of the next"


def test_waiters_are_woken_when_it_matters(playback: Playback, woken: list[int]) -> None:
    playback.write(ramp(30_000))
    playback.pull(1)
    woken.clear()
    playback.pull(5_000)
    assert not woken
    playback.pull(5_000)
    assert len(woken) == 1, "less than a second is left"
    playback.pull(20_000 - 1)
    assert len(woken) == 2, "nothing is left"
    assert playback.idle
    assert playback.queued_s == 0
