"""Composition of a spoken conversation in Discord: the voice loop of `talk`, with another mouth."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace

import numpy as np

from bot.answer import Mouth
from bot.audio.choice import MicrophoneChoice
from bot.audio.speaker import PlaybackSpeaker
from bot.audio.system import SoundSystem
from bot.config import Settings
from bot.debug_audio import DebugAudio, recorded
from bot.engines import Voice
from bot.errors import SidetoneError, UnavailableFeature
from bot.events import Event, Failed, FirstAudio, Frame, SpeechStarted
from bot.ports import Brain, EventSink, Microphone, SoundOutput
from bot.session import Ears, Session
from bot.talk import make_listener, make_splitter, open_microphone

log = logging.getLogger(__name__)

SPOKEN_FOR_THE_USER = 0
"""The turn of what `say` says: no answer's."""


class GatedMicrophone:
    """Gives silence instead of what is not to be heard, so that whatever was being said ends as it does by itself."""

    def __init__(self, microphone: Microphone, shut: Callable[[], bool]) -> None:
        self._microphone = microphone
        self._shut = shut

    async def frames(self) -> AsyncIterator[Frame]:
        async for frame in self._microphone.frames():
            yield replace(frame, pcm=np.zeros_like(frame.pcm)) if self._shut() else frame

    async def close(self) -> None:
        await self._microphone.close()


@dataclass(slots=True)
class _Live:
    session: Session
    speaker: PlaybackSpeaker
    saying: asyncio.Task[None] | None = None


class SpokenConversation:
    """Implements ports.Conversation with engines that are loaded already."""

    def __init__(
        self,
        settings: Settings,
        voice: Voice,
        urgent: Callable[[Brain], Brain],
        voices: Sequence[str],
        microphones: MicrophoneChoice,
        *,
        sound: DebugAudio | None = None,
    ) -> None:
        """`urgent` lets a brain's answers go before those that are only written. `sound` records the first
        conversation."""
        self._settings = settings
        self._engines = voice
        self._urgent = urgent
        self._microphones = microphones
        self._sound = sound
        self._muted = False
        self._live: _Live | None = None
        self.voices = voices
        away = settings.voice.tts_provider == "openai"
        self.voice = settings.voice.tts_cloud_voice if away else settings.voice.voice

    def choose_voice(self, name: str) -> None:
        self._engines.tts.set_voice(name)
        self.voice = name

    def mute(self, on: bool) -> None:
        self._muted = on

    async def hold(self, output: SoundOutput, brain: Brain, emit: EventSink) -> None:
        def notify(error: SidetoneError) -> None:
            emit(Failed(0, error.code, str(error)))

        def heard(event: Event) -> None:
            if isinstance(event, SpeechStarted) and self._live and self._live.saying:
                self._live.saying.cancel()
            if isinstance(event, SpeechStarted | FirstAudio):
                log.debug("%s of turn %d at %.3f s", event.name, event.turn, asyncio.get_running_loop().time())
            emit(event)

        settings, engines = self._settings.audio, self._engines
        async with AsyncExitStack() as stack:
            system = SoundSystem(settings.backend)
            stack.push_async_callback(system.close)
            chosen = await self._microphones.open(system, lambda wanted: open_microphone(system, wanted, notify))
            stack.callback(self._microphones.release)
            microphone = GatedMicrophone(chosen, self._deaf)
            stack.push_async_callback(microphone.close)
            speaker = await stack.enter_async_context(PlaybackSpeaker(output, notify))
            engines.vad.reset()
            ears = Ears(microphone, engines.vad, make_listener(self._settings), engines.stt)
            brain = self._urgent(brain)
            mouth = Mouth(brain, engines.tts, speaker, make_splitter)
            ears, mouth = recorded(self._sound, ears, mouth, emit, stack)
            session = Session(ears, mouth, heard, barge_in=settings.barge_in)
            live = self._live = _Live(session, speaker)
            try:
                async with asyncio.TaskGroup() as tasks:
                    # Beside the first question, which takes the model over when it comes.
                    tasks.create_task(_warm(brain))
                    await session.run()
            finally:
                self._live = None
                if live.saying:
                    live.saying.cancel()

    async def say(self, text: str) -> None:
        live = self._live
        if live is None:
            raise UnavailableFeature("There is no spoken conversation at the moment. Try again when I am listening.")
        if live.saying:
            raise UnavailableFeature("I am saying something already. Wait for the end of it, then try again.")
        try:
            async with asyncio.TaskGroup() as tasks:
                live.saying = tasks.create_task(self._say(live, text))
        except ExceptionGroup as group:
            raise group.exceptions[0] from group
        finally:
            live.saying = None

    async def _say(self, live: _Live, text: str) -> None:
        await live.session.wait_at_rest()
        splitter = make_splitter(SPOKEN_FOR_THE_USER)
        sentences = [each for each in (*splitter.feed(text), *splitter.finish()) if each.spoken]
        if not sentences:
            raise UnavailableFeature("There is nothing in this that can be said aloud.")
        try:
            for sentence in sentences:
                await live.speaker.play(await self._engines.tts.speak(sentence))
            await live.speaker.drained()
        except asyncio.CancelledError:
            live.speaker.clear()
            raise

    def _deaf(self) -> bool:
        """Without barge-in, it does not listen to itself either."""
        return self._muted or bool(self._live and self._live.saying and not self._settings.audio.barge_in)


async def _warm(brain: Brain) -> None:
    try:
        await brain.warm()
    except SidetoneError as error:
        log.warning("the evaluation of the prompt ahead of time failed: %s", error)
