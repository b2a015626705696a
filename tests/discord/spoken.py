"""A spoken conversation without microphone and models, behind the bot's port; its mouth is the product's."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

import numpy as np

from bot.audio.speaker import PlaybackSpeaker
from bot.errors import StageError, UnknownVoice
from bot.events import (
    SPEECH_RATE,
    FirstAudio,
    Interrupted,
    Ready,
    ReplyDelta,
    ReplyDone,
    Sentence,
    SpeechClip,
    SpeechEnded,
    SpeechStarted,
    Transcribed,
)
from bot.ports import EventSink, SoundOutput

TONE_HZ = 440
LEVEL = 9000


def tone(seconds: float) -> SpeechClip:
    at = np.arange(round(seconds * SPEECH_RATE)) / SPEECH_RATE
    pcm = (LEVEL * np.sin(2 * np.pi * TONE_HZ * at)).astype(np.int16)
    return SpeechClip(Sentence(1, 0, "Beep.", "Beep."), pcm, 0.0, 0.0)


class ScriptedConversation:
    """Implements ports.Conversation. What it is told to say is what it does."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self.voices: Sequence[str] = ("af_heart", "am_michael")
        self.voice = "af_heart"

    def choose_voice(self, name: str) -> None:
        if name not in self.voices:
            raise UnknownVoice(f'There is no voice "{name}".')
        self.voice = name

    def mute(self, on: bool) -> None:
        self._tell(f"muted {on}")

    async def hold(self, output: SoundOutput, emit: EventSink) -> None:
        self._emit = emit
        async with PlaybackSpeaker(output, lambda error: self._tell(str(error))) as speaker:
            self._speaker = speaker
            emit(Ready(0))
            await asyncio.Event().wait()

    async def say(self, text: str) -> None:
        kind, _, rest = text.partition(" ")
        match kind:
            case "tone":
                self._tell(f"wrote {time.monotonic()}")
                await self._speaker.play(tone(float(rest)))
                await self._speaker.drained()
                self._tell(f"played {rest}")
            case "answer":
                await self._answer(rest)
            case "cut":
                self._speaker.clear()
                self._tell(f"cut {time.monotonic()}")
                self._emit(SpeechStarted(2))
                self._emit(Interrupted(1, "It begins"))
            case "fail":
                raise StageError("The voice failed; try again.")

    async def _answer(self, question: str) -> None:
        for event in (SpeechStarted(1), SpeechEnded(1, 1.0), Transcribed(1, question, "en")):
            self._emit(event)
        await self._speaker.play(tone(2.0))
        await self._speaker.first_audible()
        self._emit(FirstAudio(1))
        self._emit(ReplyDelta(1, "It begins and ends."))
        await self._speaker.drained()
        self._emit(ReplyDone(1, "It begins and ends."))
