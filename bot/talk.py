"""Composition root of the voice loop: `python -m bot talk`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bot.answer import Mouth
from bot.audio.level import LevelMeter
from bot.audio.open import open_microphone, open_speaker
from bot.audio.wav import WavMicrophone
from bot.config import Settings
from bot.console import TalkConsole, engines_table, make_console, written
from bot.engines import Voice, loaded, make_llm, make_voice
from bot.errors import SidetoneError
from bot.eventlog import EventLog
from bot.events import Event, Failed, Frame
from bot.llm.brain import ConversationBrain
from bot.llm.sentences import SentenceSplitter
from bot.models.catalogue import Catalogue
from bot.ports import EventSink, Llm, Microphone
from bot.session import Ears, Session
from bot.voice.listener import Listener
from bot.voice.speakable import speakable
from bot.voice.turn import SilenceTurnDetector, TurnSettings

TAIL_S = 0.3
"""Silence kept at the end of a recording of the session."""
LEVEL_EVERY = 4
"""Frames between two redrawings of the level meter."""


@dataclass(frozen=True, slots=True)
class TalkOptions:
    wav: Path | None = None
    """Heard instead of the microphone."""
    out: Path | None = None
    """Recording of what is played."""
    events: Path | None = None
    fast: bool = False
    turns: int | None = None


class Metered:
    """A microphone that shows its level as it passes the frames on."""

    def __init__(self, microphone: Microphone, console: TalkConsole) -> None:
        self._microphone = microphone
        self._console = console
        self._meter = LevelMeter()

    async def frames(self) -> AsyncIterator[Frame]:
        silent = False
        count = 0
        async for frame in self._microphone.frames():
            level = self._meter.feed(frame.pcm)
            count += 1
            if count % LEVEL_EVERY == 0:
                self._console.level(level)
            if self._meter.silent and not silent:
                self._console.note(
                    "The microphone gives pure silence: is it muted, or switched off in the privacy settings?"
                )
            silent = self._meter.silent
            yield frame

    async def close(self) -> None:
        await self._microphone.close()


async def talk(settings: Settings, options: TalkOptions) -> int:
    console = make_console()
    catalogue = Catalogue(settings.models)
    pcm = read_wav(options.wav) if options.wav else None
    voice, llm = make_voice(settings, catalogue), make_llm(settings, catalogue)
    async with AsyncExitStack() as stack:
        engines = await stack.enter_async_context(loaded([voice.vad, voice.stt, llm, voice.tts]))
        console.print(engines_table(engines.infos, engines.seconds))
        brain = ConversationBrain(llm)
        await brain.warm()
        began = asyncio.get_running_loop().time()
        face = TalkConsole(console, spoken_to=str(options.wav or "microphone"))
        sinks: list[EventSink] = [face]
        if options.events:
            log = EventLog(options.events, lambda: asyncio.get_running_loop().time() - began)
            stack.callback(log.close)
            sinks.append(log)

        def emit(event: Event) -> None:
            for sink in sinks:
                sink(event)
