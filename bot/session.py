"""One voice conversation: utterance in, answer out, barge-in. Knows only ports and events."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field

from bot.answer import Answer, Mouth
from bot.errors import SidetoneError
from bot.events import (
    Failed,
    Frame,
    Ready,
    SpeechEnded,
    SpeechStarted,
    Transcribed,
    Transcript,
    TurnMetrics,
    TurnSignal,
    Utterance,
)
from bot.log import turn_named
from bot.ports import EventSink, Listener, Microphone, Stt, Vad
from bot.spans import TurnClock

log = logging.getLogger(__name__)

PENDING_UTTERANCES = 4
"""Utterances that may wait to be understood; one more is refused, and said so."""

ECHO_TAIL_S = 0.3
"""Without barge-in, the room and the sound card still ring this long after an answer."""


@dataclass(frozen=True, slots=True)
class Ears:
    """What a question is heard with."""

    microphone: Microphone
    vad: Vad
    listener: Listener
    stt: Stt


@dataclass(slots=True)
class _Work:
    """A transcription under way, begun at a pause or at the end of an utterance."""

    started: float
    """Loop seconds, as `done`."""
    done: float = 0.0
    failure: tuple[str, str] | None = None
    """Code and message, when the engine failed."""
    task: asyncio.Task[Transcript] = field(init=False)


@dataclass(frozen=True, slots=True)
class _Question:
    turn: int
    utterance: Utterance
    work: _Work


class Session:
    """`run` listens until the microphone ends, or until `turns` questions have been answered."""

    def __init__(
        self,
        ears: Ears,
        mouth: Mouth,
        emit: EventSink,
        *,
        barge_in: bool = True,
        turns: int | None = None,
        realtime: bool = True,
    ) -> None:
        """`realtime`: whether a second of the microphone takes a second, so that times of the voice mean something."""
        self._realtime = realtime
        self._ears = ears
        self._mouth = mouth
        self._emit = emit
        self._barge_in = barge_in
        self._turns = turns
        self._turn = 0
        self._asked = 0
        self._questions: asyncio.Queue[_Question] = asyncio.Queue(PENDING_UTTERANCES)
        self._understanding = False
        self._work: _Work | None = None
        self._answer: Answer | None = None
        self._answering: asyncio.Task[None] | None = None
        self._deaf_until = 0.0
        self._rested = asyncio.Event()
        self._rested.set()

    @property
    def at_rest(self) -> bool:
        """Nobody speaks and nothing is being understood, thought or said."""
        return self._rested.is_set() and not self._ears.listener.speaking

    async def wait_at_rest(self) -> None:
        await self._rested.wait()

    @property
    def _complete(self) -> bool:
        return self._turns is not None and self._asked >= self._turns

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            conversing = tasks.create_task(self._converse())
            self._emit(Ready(0))
            try:
                async for frame in self._ears.microphone.frames():
                    self._hear(frame)
                    if self._complete and self._rested.is_set():
                        break
                await self._rested.wait()
            finally:
                conversing.cancel()
                # Whatever ends the conversation: what has been heard of an answer is kept, and said to be heard.
                self._stop_answer()
                for task in (self._work and self._work.task, self._answering):
                    if task:
                        task.cancel()

    # Ears

    def _hear(self, frame: Frame) -> None:
        if not self._barge_in and (frame.t < self._deaf_until or (self._answer and self._answer.audible)):
            return
        heard = self._ears.listener.feed(frame, self._ears.vad.probability(frame))
        match heard.signal:
            case TurnSignal.STARTED:
                self._turn += 1
                self._emit(SpeechStarted(self._turn))
                self._somebody_speaks()
            case TurnSignal.PAUSED if heard.utterance:
                self._work = self._begin(heard.utterance)
            case TurnSignal.RESUMED if self._work:
                self._work.task.cancel()
                self._work = None
            case TurnSignal.ENDED if heard.utterance:
                self._ended(heard.utterance)

    def _somebody_speaks(self) -> None:
        if not self._answer:
            return
        if self._answer.audible:
            self._stop_answer()
        else:
            # It may be a cough: the answer goes on being made, and is dropped only when words come.
            self._answer.hold()

    def _ended(self, utterance: Utterance) -> None:
        self._emit(SpeechEnded(self._turn, round(utterance.seconds, 3)))
        work, self._work = self._work or self._begin(utterance), None
        try:
            self._questions.put_nowait(_Question(self._turn, utterance, work))
            self._rested.clear()
        except asyncio.QueueFull:
            work.task.cancel()
            message = "I am still working on what was said before, so I did not take this in. Please say it again."
            self._emit(Failed(self._turn, "busy", message))

    def _begin(self, utterance: Utterance) -> _Work:
        work = _Work(asyncio.get_running_loop().time())
        with turn_named(f"voice-{self._turn}"):
            work.task = self._tasks.create_task(self._transcribe(utterance, work))
        return work

    async def _transcribe(self, utterance: Utterance, work: _Work) -> Transcript:
        """Never raises, so that one bad utterance costs one turn and not the session."""
        try:
            found = await self._ears.stt.transcribe(utterance.pcm)
            log.info("%.1f s of speech are %d characters", utterance.seconds, len(found.text))
            return found
        except SidetoneError as error:
            work.failure = (error.code, str(error))
        except Exception as error:
            log.exception("a defect in speech recognition")
            work.failure = ("defect", f"Speech recognition failed: {error}. Please say it again.")
        finally:
            work.done = asyncio.get_running_loop().time()
        return Transcript("", "", dropped="speech recognition failed")

    # Conversation

    async def _converse(self) -> None:
        """Takes the utterances in order; an answer runs beside it so that the next words can replace it."""
        while True:
            question = await self._questions.get()
            self._understanding = True
            transcript = await question.work.task
            if question.work.failure:
                self._emit(Failed(question.turn, *question.work.failure))
            self._emit(Transcribed(question.turn, transcript.text, transcript.language, transcript.dropped))
            if transcript.text and not self._complete:
                await self._replace_answer(question, transcript)
            else:
                self._emit(TurnMetrics(question.turn, _clock(question, transcript, self._realtime).spans()))
                if self._answer and not self._ears.listener.speaking:
                    self._answer.release()
            self._understanding = False
            self._rest_if_done()

    async def _replace_answer(self, question: _Question, transcript: Transcript) -> None:
        if self._answer:
            self._stop_answer()
        if self._answering:
            self._answering.cancel()
            await asyncio.wait([self._answering])
        self._asked += 1
        self._answer = Answer(question.turn, self._mouth, self._emit, _clock(question, transcript, self._realtime))
        if self._ears.listener.speaking:
            self._answer.hold()
        with turn_named(f"voice-{question.turn}"):
            self._answering = self._tasks.create_task(self._run_answer(self._answer, transcript.text))

    async def _run_answer(self, answer: Answer, question: str) -> None:
        try:
            await answer.run(question)
            log.info("answered")
        finally:
            if self._answer is answer:
                self._answer = None
            self._deaf_until = asyncio.get_running_loop().time() + ECHO_TAIL_S
            self._rest_if_done()
        try:
            await self._mouth.brain.warm()
        except SidetoneError as error:
            log.warning("the idle evaluation of the history failed: %s", error)

    def _stop_answer(self) -> None:
        if self._answer and self._answering:
            self._answer.interrupt()
            self._answering.cancel()
            self._answer = None

    def _rest_if_done(self) -> None:
        if not self._answer and not self._understanding and self._questions.empty():
            self._rested.set()


def _clock(question: _Question, transcript: Transcript, realtime: bool) -> TurnClock:
    return TurnClock(
        speech_end=question.utterance.ended,
        decided=question.utterance.decided,
        stt_started=question.work.started,
        stt_done=question.work.done,
        stt_work_s=transcript.seconds,
        realtime=realtime,
    )
