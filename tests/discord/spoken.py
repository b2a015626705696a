"""A spoken conversation without microphone and models, behind the bot's port; how it answers is the product's."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from bot.answer import Answer, Mouth
from bot.audio.speaker import PlaybackSpeaker
from bot.errors import AudioDeviceError, StageError, UnknownVoice
from bot.events import (
    SPEECH_RATE,
    FirstAudio,
    InputDevice,
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
from bot.ports import Brain, EventSink, SoundOutput
from bot.spans import TurnClock
from bot.talk import make_splitter
from tests.fakes import FakeEngine

TONE_HZ = 440
LEVEL = 9000


def tone(seconds: float) -> SpeechClip:
    at = np.arange(round(seconds * SPEECH_RATE)) / SPEECH_RATE
    pcm = (LEVEL * np.sin(2 * np.pi * TONE_HZ * at)).astype(np.int16)
    return SpeechClip(Sentence(1, 0, "Beep.", "Beep."), pcm, 0.0, 0.0)


class Beeper(FakeEngine):
    """Implements ports.Tts with a tone, and tells what it is to say."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell

    def set_voice(self, name: str) -> None:
        return

    async def speak(self, sentence: Sentence) -> SpeechClip:
        self._tell(f"said {sentence.spoken}")
        return replace(tone(0.4), sentence=sentence)


class ScriptedMicrophones:
    """Implements ports.Microphones."""

    def __init__(self) -> None:
        self._chosen = "Headset @everyone"

    async def listed(self) -> Sequence[InputDevice]:
        names = ("Headset @everyone", "Webcam `x`")
        return [InputDevice(number, name, name == self._chosen) for number, name in enumerate(names)]

    async def choose(self, wanted: str) -> InputDevice:
        for each in await self.listed():
            if wanted == str(each.number):
                self._chosen = each.name
                return each
        raise AudioDeviceError(f"There is no microphone {wanted!r}.")


class ScriptedConversation:
    """Implements ports.Conversation. What it is told to say is what it does."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._turn = 10
        self.voices: Sequence[str] = ("af_heart", "am_michael")
        self.voice = "af_heart"

    def choose_voice(self, name: str) -> None:
        if name not in self.voices:
            raise UnknownVoice(f'There is no voice "{name}".')
        self.voice = name

    def mute(self, on: bool) -> None:
        self._tell(f"muted {on}")

    async def hold(self, output: SoundOutput, brain: Brain, emit: EventSink) -> None:
        self._emit, self._brain = emit, brain
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
            case "ask":
                await self._ask(rest)
            case "fail":
                raise StageError("The voice failed; try again.")

    async def _ask(self, question: str) -> None:
        """As if `question` had been heard: what answers it is the product's."""
        self._turn += 1
        for event in (SpeechStarted(self._turn), SpeechEnded(self._turn, 1.0), Transcribed(self._turn, question, "en")):
            self._emit(event)
        now = asyncio.get_running_loop().time()
        mouth = Mouth(self._brain, Beeper(self._tell), self._speaker, make_splitter)
        clock = TurnClock(speech_end=now - 0.6, decided=now, stt_started=now - 0.4, stt_done=now - 0.1, stt_work_s=0.3)
        await Answer(self._turn, mouth, self._emit, clock).run(question)

    async def _answer(self, question: str) -> None:
        for event in (SpeechStarted(1), SpeechEnded(1, 1.0), Transcribed(1, question, "en")):
            self._emit(event)
        await self._speaker.play(tone(2.0))
        await self._speaker.first_audible()
        self._emit(FirstAudio(1))
        self._emit(ReplyDelta(1, "It begins and ends."))
        await self._speaker.drained()
        self._emit(ReplyDone(1, "It begins and ends."))
