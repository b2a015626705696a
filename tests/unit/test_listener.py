"""What an utterance contains: pre-roll, all of the speech, a little silence, and the right times."""

import numpy as np
import pytest

from bot.events import FRAME_SAMPLES, FRAME_SECONDS, Frame, Heard, TurnSignal
from bot.voice.listener import POST_ROLL_S, PRE_ROLL_S, Listener
from bot.voice.turn import SilenceTurnDetector


def hear(listener: Listener, pattern: str, start: int = 0) -> list[Heard]:
    """One frame a character: "." silence, "#" voice. Frame n holds the value n + 1 in all its samples."""
    heard = []
    for n, sign in enumerate(pattern, start):
        frame = Frame(np.full(FRAME_SAMPLES, n + 1, np.int16), (n + 1) * FRAME_SECONDS)
        heard.append(listener.feed(frame, 0.95 if sign == "#" else 0.02))
    return [h for h in heard if h.signal is not TurnSignal.NONE]


def test_the_utterance_holds_pre_roll_speech_and_a_little_silence() -> None:
    heard = hear(Listener(SilenceTurnDetector()), "." * 40 + "#" * 20 + "." * 30)
    utterance = heard[-1].utterance
    assert utterance is not None
    frames = utterance.pcm[::FRAME_SAMPLES]
    assert frames[0] <= 41 - PRE_ROLL_S / FRAME_SECONDS
    assert frames[-1] == 60 + round(POST_ROLL_S / FRAME_SECONDS)
    assert list(np.diff(frames)) == [1] * (len(frames) - 1), "frames are missing or repeated"


def test_times_are_those_of_the_voice() -> None:
    utterance = hear(Listener(SilenceTurnDetector()), "." * 40 + "#" * 20 + "." * 30)[-1].utterance
    assert utterance is not None
    assert utterance.started == pytest.approx(40 * FRAME_SECONDS)
    assert utterance.ended == pytest.approx(60 * FRAME_SECONDS)
    assert utterance.seconds == pytest.approx(20 * FRAME_SECONDS)
    assert utterance.decided == pytest.approx(utterance.ended + 0.6, abs=FRAME_SECONDS)


def test_what_was_heard_at_the_pause_is_what_is_heard_at_the_end() -> None:
    heard = hear(Listener(SilenceTurnDetector()), "." * 40 + "#" * 20 + "." * 30)
    paused, ended = heard[-2], heard[-1]
    assert paused.signal is TurnSignal.PAUSED
    assert ended.signal is TurnSignal.ENDED
    assert paused.utterance is not None
    assert ended.utterance is not None
    assert np.array_equal(paused.utterance.pcm, ended.utterance.pcm)
    assert paused.utterance.ended == ended.utterance.ended


def test_speech_after_a_pause_is_in_the_same_utterance() -> None:
    heard = hear(Listener(SilenceTurnDetector()), "#" * 20 + "." * 10 + "#" * 20 + "." * 30)
    assert [h.signal.value for h in heard] == ["started", "paused", "resumed", "paused", "ended"]
    utterance = heard[-1].utterance
    assert utterance is not None
    assert 50 * FRAME_SAMPLES <= len(utterance.pcm) <= 57 * FRAME_SAMPLES


def test_a_second_utterance_keeps_its_pre_roll_and_nothing_of_the_first() -> None:
    listener = Listener(SilenceTurnDetector())
    hear(listener, "#" * 20 + "." * 19)
    assert not listener.speaking
    utterance = hear(listener, "#" * 10 + "." * 30, start=39)[-1].utterance
    assert utterance is not None
    frames = utterance.pcm[::FRAME_SAMPLES]
    assert 21 <= frames[0] <= 32
