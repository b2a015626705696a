"""One answer: from the question's text to the last sample that was heard. Knows only ports and events."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass

from bot.errors import SidetoneError
from bot.events import (
    Failed,
    FirstAudio,
    Interrupted,
    Notice,
    ReplyDelta,
    ReplyDone,
    Sentence,
    SentenceReady,
    TurnMetrics,
    Usage,
    Waiting,
)
from bot.heard import Played, heard_text
from bot.ports import Brain, EventSink, Speaker, Splitter, Tts
from bot.spans import TurnClock

log = logging.getLogger(__name__)

PENDING_SENTENCES = 8
"""Sentences that may wait for the voice before the model has to wait too."""

GRACE_S = 0.05
"""For the news of the first sound to arrive after everything has been played."""


@dataclass(frozen=True, slots=True)
class Mouth:
    """What an answer is made with."""

    brain: Brain
    tts: Tts
    speaker: Speaker
    splitter: Callable[[int], Splitter]
    """Makes a fresh sentence splitter for a turn."""


class Answer:
    def __init__(self, turn: int, mouth: Mouth, emit: EventSink, clock: TurnClock) -> None:
        self.turn = turn
        self.interrupted = False
        self._mouth = mouth
        self._emit = emit
        self._clock = clock
        self._pieces: list[Played] = []
        self._sentences: asyncio.Queue[Sentence | None] = asyncio.Queue(PENDING_SENTENCES)
        self._may_sound = asyncio.Event()
        self._may_sound.set()
        self._first_spoken = asyncio.Event()

    @property
    def audible(self) -> bool:
        """Whether any of it has been sent to the loudspeaker."""
        return any(piece.samples for piece in self._pieces)

    def hold(self) -> None:
        """Keeps the first sound back while somebody speaks."""
        self._may_sound.clear()

    def release(self) -> None:
        self._may_sound.set()

    async def run(self, question: str) -> None:
        """Returns when the answer has been played. Errors become an event; they end this answer and nothing else."""
        text = ""
        self._mouth.speaker.clear()
        try:
            async with asyncio.TaskGroup() as tasks:
                thinking = tasks.create_task(self._think(question))
                speaking = tasks.create_task(self._speak())
                watching = tasks.create_task(self._watch_first_sound())
                text = await thinking
                await speaking
                await self._mouth.speaker.drained()
                # An answer without any audible sound must not wait for one.
                await asyncio.wait([watching], timeout=GRACE_S)
                watching.cancel()
            self._mouth.brain.answered(text)
            self._emit(ReplyDone(self.turn, text))
        except* SidetoneError as group:
            self._fail(*_first(group))
        except* Exception as group:
            log.exception("a defect in turn %d", self.turn, exc_info=group)
            self._fail("defect", f"Something unexpected went wrong in this answer: {_first(group)[1]}. Ask again.")
        finally:
            self._emit(TurnMetrics(self.turn, self._clock.spans()))

    def interrupt(self) -> None:
        """Silence at once, and the history keeps what was heard. The caller then cancels the task of `run`."""
        self.interrupted = True
        heard = heard_text(self._pieces, self._mouth.speaker.clear())
        if heard:
            self._mouth.brain.answered(heard, interrupted=True)
        self._emit(Interrupted(self.turn, heard))

    def _fail(self, code: str, message: str) -> None:
        heard = heard_text(self._pieces, self._mouth.speaker.clear())
        if heard:
            self._mouth.brain.answered(heard, interrupted=True)
        self._emit(Failed(self.turn, code, message))

    async def _think(self, question: str) -> str:
        now = asyncio.get_running_loop().time
        splitter = self._mouth.splitter(self.turn)
        text = ""
        self._clock.llm_started = now()
        async with aclosing(self._mouth.brain.reply(question)) as items:
            async for item in items:
                if isinstance(item, Usage):
                    self._clock.prompt_s = item.prompt_seconds
                    continue
                if isinstance(item, Notice):
                    self._emit(Waiting(self.turn, item.text))
                    continue
                if self._clock.first_token is None:
                    self._clock.first_token = now()
                text += item
                self._emit(ReplyDelta(self.turn, item))
                for sentence in splitter.feed(item):
                    await self._pass_on(sentence)
        for sentence in splitter.finish():
            await self._pass_on(sentence)
        await self._sentences.put(None)
        return text

    async def _pass_on(self, sentence: Sentence) -> None:
        self._emit(SentenceReady(self.turn, sentence.text, sentence.spoken))
        await self._sentences.put(sentence)
        if sentence.spoken and self._clock.first_sentence is None:
            self._clock.first_sentence = asyncio.get_running_loop().time()
            # On few cores model and voice slow each other down; the model is far ahead of the voice anyway, so it
            # rests until the first clause is made.
            await self._first_spoken.wait()

    async def _speak(self) -> None:
        try:
            while (sentence := await self._sentences.get()) is not None:
                await self._say(sentence)
        finally:
            self._first_spoken.set()

    async def _say(self, sentence: Sentence) -> None:
        if not sentence.spoken:
            self._pieces.append(Played(sentence.text, 0))
            return
        clip = await self._mouth.tts.speak(sentence)
        self._first_spoken.set()
        if self.interrupted:
            # Cancelling reaches this task a moment after the sound was stopped; nothing may be played in between.
            return
        if self._clock.first_clip is None:
            self._clock.first_clip = asyncio.get_running_loop().time()
            self._clock.leading_silence_s = clip.leading_silence_s
        await self._may_sound.wait()
        if self.interrupted:
            return
        self._pieces.append(Played(sentence.text, len(clip.pcm)))
        await self._mouth.speaker.play(clip)

    async def _watch_first_sound(self) -> None:
        await self._first_spoken.wait()
        if self._clock.first_clip is not None:
            self._clock.first_audible = await self._mouth.speaker.first_audible()
            self._emit(FirstAudio(self.turn))


def _first(group: BaseExceptionGroup[Exception]) -> tuple[str, str]:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return (error.code if isinstance(error, SidetoneError) else "defect"), str(error)
