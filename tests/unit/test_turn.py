"""The turn detector on scripted timelines of (seconds, probability)."""

from collections.abc import Sequence

import pytest

from bot.events import FRAME_SECONDS, TurnSignal
from bot.voice.turn import SilenceTurnDetector, TurnSettings

Timeline = Sequence[tuple[float, float]]


def signals(timeline: Timeline, settings: TurnSettings | None = None) -> list[tuple[str, float]]:
    """Each signal with the audio time at which it came."""
    detector = SilenceTurnDetector(settings)
    found, now = [], 0.0
    for seconds, probability in timeline:
        for _ in range(round(seconds / FRAME_SECONDS)):
            now += FRAME_SECONDS
            signal = detector.process(FRAME_SECONDS, probability)
            if signal is not TurnSignal.NONE:
                found.append((signal.value, round(now, 3)))
    return found


def test_a_question_starts_pauses_and_ends() -> None:
    found = signals([(0.32, 0.0), (0.96, 0.9), (1.6, 0.0)])
    assert [name for name, _ in found] == ["started", "paused", "ended"]
    started, paused, ended = (t for _, t in found)
    assert started == pytest.approx(0.32 + 0.096)
    assert paused == pytest.approx(1.28 + 0.2, abs=FRAME_SECONDS)
    assert ended == pytest.approx(1.28 + 0.6, abs=FRAME_SECONDS)


def test_a_pause_inside_a_sentence_does_not_end_it() -> None:
    names = [name for name, _ in signals([(0.64, 0.9), (0.4, 0.0), (0.64, 0.9), (1.0, 0.0)])]
    assert names == ["started", "paused", "resumed", "paused", "ended"]


@pytest.mark.parametrize("burst", [0.032, 0.064])
def test_a_click_is_not_speech(burst: float) -> None:
    assert signals([(0.32, 0.0), (burst, 1.0), (1.0, 0.0)]) == []


def test_clicks_far_apart_do_not_add_up() -> None:
    assert signals([(0.064, 1.0), (0.32, 0.0)] * 10) == []


def test_a_soft_syllable_does_not_end_a_word() -> None:
    names = [name for name, _ in signals([(0.32, 0.9), (0.96, 0.4), (0.32, 0.9), (1.0, 0.0)])]
    assert names == ["started", "paused", "ended"]


def test_a_soft_sound_alone_does_not_start_one() -> None:
    assert signals([(2.0, 0.45)]) == []


def test_endless_speech_is_cut() -> None:
    settings = TurnSettings(max_speech_s=2.0)
    names = [name for name, _ in signals([(5.0, 0.9)], settings)]
    assert names[:3] == ["started", "ended", "started"]


def test_the_second_turn_is_like_the_first() -> None:
    names = [name for name, _ in signals([(0.5, 0.9), (1.0, 0.0)] * 2)]
    assert names == ["started", "paused", "ended"] * 2
