"""One conversation on a virtual clock: scripts of who speaks when, and what the session does, when."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from bot.answer import Answer, Mouth
from bot.errors import StageError
from bot.events import SPEECH_RATE, Sentence, SpeechClip
from bot.session import Ears, Session
from bot.spans import TurnClock
from bot.voice.listener import Listener
from bot.voice.turn import SilenceTurnDetector
from tests.fakes import (
    FakeBrain,
    FakeSpeaker,
    FakeStt,
    FakeTts,
    FullStopSplitter,
    LoudnessVad,
    Recorder,
    ScriptedMicrophone,
)
from tests.virtual_clock import run_virtual

ANSWER = "Sure, a list comprehension builds a list in one line. It reads from left to right."


class Stage:
    """A session among fakes."""

    def __init__(
        self,
        speech: Sequence[tuple[float, float]],
        seconds: float,
        texts: Sequence[str | Exception] | Callable[[int], str] = ("What is a list comprehension?",) * 9,
        answers: Sequence[str | Exception] = (ANSWER,) * 9,
        **options: Any,
    ) -> None:
        self.events = Recorder()
        self.stt = FakeStt(texts)
        self.brain = FakeBrain(answers)
        self.tts = FakeTts()
        self._script = (speech, seconds)
        self._options = options

    def run(self) -> Stage:
        async def main() -> None:
            self.speaker = FakeSpeaker()
            ears = Ears(ScriptedMicrophone(*self._script), LoudnessVad(), Listener(SilenceTurnDetector()), self.stt)
            mouth = Mouth(self.brain, self.tts, self.speaker, FullStopSplitter)
            await Session(ears, mouth, self.events, **self._options).run()

        run_virtual(main())
        return self

    def at(self, name: str, which: int = 0) -> float:
        return self.events.named(name)[which][0]

    def field(self, name: str, attribute: str) -> list[Any]:
        return [getattr(e, attribute) for _, e in self.events.named(name)]


def test_a_question_is_answered_aloud() -> None:
    stage = Stage([(1.0, 3.0)], 14.0).run()
    wanted = ["ready", "speech_started", "speech_ended", "transcript", "first_audio", "reply_done", "turn_metrics"]
    assert [n for n in stage.events.names() if n in wanted] == wanted
    assert stage.brain.history == [(ANSWER, False)]
    assert stage.tts.spoken == [
        "Sure,",
        "a list comprehension builds a list in one line.",
        "It reads from left to right.",
    ]
    assert stage.field("reply_done", "text") == [ANSWER + " "]
    assert stage.brain.warmed == 1


def test_recognition_is_done_when_the_silence_is_long_enough() -> None:
    stage = Stage([(1.0, 3.0)], 14.0).run()
    ended = stage.at("speech_ended")
    assert ended == pytest.approx(3.6, abs=0.07)
    assert stage.at("transcript") == pytest.approx(ended, abs=0.001), "it waited for work that the pause had begun"
    spans = stage.field("turn_metrics", "spans")[0]
    assert spans["stt_ms"] == 0
    assert spans["stt_work_ms"] == 300


def test_the_first_sound_comes_before_the_answer_is_complete() -> None:
    stage = Stage([(1.0, 3.0)], 14.0).run()
    assert stage.at("first_audio") < stage.at("reply_delta", -1)


def test_speech_that_goes_on_after_a_pause_is_one_question() -> None:
    stage = Stage([(1.0, 2.0), (2.4, 3.4)], 14.0).run()
    assert len(stage.events.named("transcript")) == 1
    assert len(stage.stt.calls) == 2
    assert stage.stt.calls[1] > stage.stt.calls[0]


def test_speaking_over_the_answer_stops_it() -> None:
    stage = Stage([(1.0, 3.0), (6.0, 7.5)], 20.0, texts=("First question?", "Second question?")).run()
    interrupted = stage.at("interrupted")
    assert interrupted == pytest.approx(6.0 + 0.096, abs=0.04)
    assert stage.speaker.cleared_at[-2] == pytest.approx(interrupted, abs=0.001)
    heard = stage.field("interrupted", "heard")[0]
    assert ANSWER.startswith(heard)
    assert 0 < len(heard) < len(ANSWER)
    assert stage.brain.history[0] == (heard, True)
    assert stage.brain.history[1] == (ANSWER, False)
    late = [text for t, text in stage.speaker.played_at if interrupted < t < stage.at("transcript", 1)]
    assert late == [], "sound of the old answer after the interruption"


def test_an_interrupted_generation_stops() -> None:
    words = "word " * 300 + "end."
    answers = ("Sure, " + words, "Fine.")
    stage = Stage([(1.0, 3.0), (6.0, 7.5)], 20.0, texts=("Tell me?", "Stop."), answers=answers).run()
    assert stage.brain.words < 150
    assert stage.field("reply_done", "text") == ["Fine. "]


def test_a_cough_while_thinking_costs_nothing() -> None:
    stage = Stage([(1.0, 3.0), (3.7, 3.9)], 14.0, texts=("A question?", "")).run()
    assert stage.field("transcript", "text") == ["A question?", ""]
    assert stage.brain.history == [(ANSWER, False)]
    assert stage.events.named("interrupted") == []


def test_it_does_not_begin_to_speak_while_somebody_speaks() -> None:
    """A cough releases the answer that it held back, but not into the words that follow it."""

    def understood(samples: int) -> str:
        return "A question?" if samples > 16_000 else ""

    stage = Stage([(1.0, 3.0), (3.7, 3.9), (4.6, 8.0)], 22.0, texts=understood)
    stage.stt.seconds = 0.9
    stage.run()
    early = [t for t, _ in stage.speaker.played_at if 4.7 < t < 8.0]
    assert early == []
    assert stage.brain.history == [(ANSWER, False)]


class HeldTts(FakeTts):
    """Gives the first clip at once, the second when it is told to."""

    async def speak(self, sentence: Sentence) -> SpeechClip:
        clip = SpeechClip(sentence, np.full(SPEECH_RATE, 8000, np.int16), 0.0, 0.0)
        if sentence.index:
            self.second: asyncio.Future[SpeechClip] = asyncio.get_running_loop().create_future()
            self.spoken.append(sentence.spoken)
            return await self.second
        return clip


def test_a_clip_that_is_ready_at_the_moment_of_the_interruption_is_not_played() -> None:
    async def main() -> list[str]:
        tts, speaker = HeldTts(), FakeSpeaker()
        brain = FakeBrain(("One two. Three four. " + "word " * 400,))
        answer = Answer(1, Mouth(brain, tts, speaker, FullStopSplitter), Recorder(), TurnClock(0.0, 0.0))
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(answer.run("Count."))
            await asyncio.sleep(1.0)
            tts.second.set_result(SpeechClip(Sentence(1, 1, "Three four. ", "Three four."), np.ones(9, np.int16), 0, 0))
            answer.interrupt()
            running.cancel()
            played = len(speaker.played_at)
            await asyncio.wait([running])
        return [text for _, text in speaker.played_at[played:]]

    assert run_virtual(main()) == []


def test_what_is_not_answered_has_metrics_too() -> None:
    stage = Stage([(1.0, 3.0)], 6.0, texts=("",)).run()
    (spans,) = stage.field("turn_metrics", "spans")
    assert spans["silence_ms"] > 500


def test_more_words_while_thinking_replace_the_answer() -> None:
    stage = Stage([(1.0, 3.0), (3.7, 4.7)], 16.0, texts=("What is rebase", "and merge?")).run()
    assert stage.brain.questions == ["What is rebase", "and merge?"]
    assert stage.field("interrupted", "heard") == [""]
    assert stage.brain.history == [(ANSWER, False)], "nothing of the first answer was heard"
    assert stage.at("first_audio") > 5.3, "it spoke while the user was speaking"


def test_an_answer_that_was_replaced_is_given_though_the_recording_has_ended() -> None:
    stage = Stage([(1.0, 3.0), (3.7, 4.7)], 5.7, texts=("What is rebase", "and merge?")).run()
    assert stage.brain.history == [(ANSWER, False)]


def test_noise_is_not_answered() -> None:
    stage = Stage([(1.0, 3.0)], 6.0, texts=("",)).run()
    assert stage.brain.questions == []
    assert stage.field("transcript", "dropped") == ["no speech"]


@pytest.mark.parametrize("turns", [1, 2])
def test_the_session_ends_after_so_many_turns(turns: int) -> None:
    speech = [(1.0, 3.0), (12.0, 14.0), (23.0, 25.0)]
    stage = Stage(speech, 60.0, turns=turns).run()
    assert len(stage.events.named("reply_done")) == turns
    assert stage.events.events[-1][0] < 12.0 * turns


def test_an_interrupted_turn_counts() -> None:
    stage = Stage([(1.0, 3.0), (6.0, 7.5)], 60.0, turns=2).run()
    assert [n for n in stage.events.names() if n in ("interrupted", "reply_done")] == ["interrupted", "reply_done"]


def test_without_barge_in_the_answer_is_not_stopped() -> None:
    stage = Stage([(1.0, 3.0), (6.0, 7.0)], 20.0, barge_in=False).run()
    assert stage.events.named("interrupted") == []
    assert stage.brain.history == [(ANSWER, False)]


def test_an_answer_without_sound_does_not_hang() -> None:
    stage = Stage([(1.0, 3.0)], 10.0, answers=("(silent)",)).run()
    assert stage.field("reply_done", "text") == ["(silent) "]
    assert stage.events.named("first_audio") == []


def _stt_fails(stage: Stage) -> None:
    stage.stt.texts = (StageError("Whisper failed: try again."), "Second?")


def _llm_fails(stage: Stage) -> None:
    stage.brain.answers = (StageError("The model failed: try again."), ANSWER)


def _defect(stage: Stage) -> None:
    stage.brain.answers = (ValueError("boom"), ANSWER)


@pytest.mark.parametrize(
    ("fail", "code"), [(_stt_fails, "stage_failed"), (_llm_fails, "stage_failed"), (_defect, "defect")]
)
def test_a_failing_stage_costs_one_turn(fail: Callable[[Stage], None], code: str) -> None:
    stage = Stage([(1.0, 3.0), (8.0, 10.5)], 24.0)
    fail(stage)
    stage.run()
    assert stage.field("error", "code") == [code]
    assert stage.brain.history == [(ANSWER, False)]


def test_a_voice_that_fails_in_the_middle_keeps_what_was_heard() -> None:
    stage = Stage([(1.0, 3.0)], 10.0)
    stage.tts.failure = StageError("Kokoro failed: try again.")
    stage.run()
    assert stage.field("error", "message") == ["Kokoro failed: try again."]
    assert stage.brain.history in ([], [("Sure,", True)])


@pytest.mark.parametrize("seed", range(40))
def test_no_interruption_leaves_the_session_stuck(seed: int) -> None:
    """Speech at odd moments; whatever happens, a last question gets its answer."""
    rng = random.Random(seed)
    speech, t = [], 1.0
    for _ in range(6):
        end = t + rng.uniform(0.12, 2.0)
        speech.append((t, end))
        t = end + rng.uniform(0.1, 4.0)
    last = t + 12.0
    speech.append((last, last + 14.0))

    def understood(samples: int) -> str:
        if samples > 14 * 16_000:
            return "The last question?"
        return random.Random(samples).choice(["", "A question?", "Another one?"])

    stage = Stage(speech, last + 30.0, texts=understood, answers=(ANSWER,) * 20).run()
    assert stage.brain.questions[-1] == "The last question?"
    assert stage.brain.history[-1] == (ANSWER, False)
    assert stage.at("reply_done", -1) > last
