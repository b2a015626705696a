"""What a spoken conversation looks like in text: the status card, and what both sides say. Pure but for `Card.run`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from enum import Enum

from bot.chat.text import MessageGone, Outlet, Post
from bot.errors import DiscordError
from bot.events import (
    Event,
    Failed,
    FirstAudio,
    Interrupted,
    Ready,
    ReplyDelta,
    ReplyDone,
    SoundRecorded,
    SpeechEnded,
    SpeechStarted,
    Transcribed,
    Waiting,
)

log = logging.getLogger(__name__)

ANSWERER = "**Sidetone:** "
EDIT_GAP_S = 1.0
RENEW_S = 3000.0
"""Discord counts edits of a message that is older than an hour; a new card is nearer to the last words, too."""


class Mood(Enum):
    JOINING = "⏳ joining"
    LISTENING = "🟢 listening"
    HEARING = "👂 hearing you"
    THINKING = "💭 thinking"
    SPEAKING = "🔊 speaking"
    ENDED = "⏹️ ended"


class Progress:
    """Follows the events of a conversation."""

    def __init__(self) -> None:
        self.mood = Mood.JOINING
        self.muted = False
        self.reconnecting = False
        self.recorded = ""
        """The folder in which the conversation's sound is kept."""

    @property
    def words(self) -> str:
        if self.reconnecting:
            return "🔁 reconnecting"
        if self.muted and self.mood in (Mood.LISTENING, Mood.HEARING):
            return "🔇 muted"
        return str(self.mood.value)

    def feed(self, event: Event) -> None:
        match event:
            case SoundRecorded(folder=folder):
                self.recorded = folder
            case Ready() | ReplyDone():
                self.mood = Mood.LISTENING
            case SpeechStarted():
                self.mood = Mood.HEARING
            case SpeechEnded():
                self.mood = Mood.THINKING
            case FirstAudio():
                self.mood = Mood.SPEAKING
            case Transcribed(text="") | Failed() if self.mood is Mood.THINKING:
                self.mood = Mood.LISTENING
            case Failed() | Interrupted() if self.mood is Mood.SPEAKING:
                self.mood = Mood.LISTENING


class Minutes:
    """Turns events into what is written down: each question, each answer as far as it went, each failure."""

    def __init__(self) -> None:
        self._answers: dict[int, str] = {}

    def feed(self, event: Event) -> Iterator[str]:
        match event:
            case Transcribed(text=text) if text:
                yield f"**You:** {text}"
            case ReplyDelta(turn=turn, text=text):
                self._answers[turn] = self._answers.get(turn, "") + text
            case ReplyDone(turn=turn, text=text):
                self._answers.pop(turn, None)
                if text.strip():
                    yield answered(text)
            case Interrupted(turn=turn, heard=heard):
                self._answers.pop(turn, None)
                if heard.strip():
                    yield answered(f"{heard.strip()} … *(you cut in)*")
            case Waiting(message=message):
                yield f"⏳ {message}"
            case Failed(turn=turn, message=message):
                begun = self._answers.pop(turn, "").strip()
                if begun:
                    yield answered(f"{begun} …")
                yield f"⚠️ {message}"


def answered(text: str) -> str:
    """A code block begins at the beginning of a line, or Discord and `rendering` take its end for a beginning."""
    text = text.strip()
    return f"{ANSWERER}{chr(10) if text.startswith('```') else ''}{text}"


class Card:
    """One message, edited by one task, at least a second apart, always to the newest state."""

    def __init__(self, channel: str) -> None:
        """`channel`: mention of the voice channel."""
        self.progress = Progress()
        self.channel = channel
        self._changed = asyncio.Event()
        self._post: Post | None = None
        self._began = 0.0
        self._shown = ""

    @property
    def post(self) -> Post | None:
        """The message, once it is there and unless somebody has deleted it."""
        return self._post

    @property
    def text(self) -> str:
        if self.progress.mood is Mood.ENDED:
            return f"The conversation in {self.channel} has ended."
        recorded = self.progress.recorded and "⏺️ The sound is recorded on this PC (--debug-audio).\n"
        return (
            f"**Speak now** into this PC's microphone; I answer in {self.channel}.\n{recorded}"
            f"{self.progress.words}\n`!mute`, `!unmute`, `!say TEXT`, `!voice NAME`, `!mic`, `!captions on`, `!stop`"
        )

    def feed(self, event: Event) -> None:
        self.progress.feed(event)
        self.touch()

    def touch(self) -> None:
        self._changed.set()

    async def run(self, outlet: Outlet) -> None:
        """Until it is cancelled, or the message is deleted. Raises DiscordError when it cannot even be posted."""
        loop = asyncio.get_running_loop()
        await self._begin(outlet)
        while self._post is not None:
            await asyncio.sleep(EDIT_GAP_S)
            await self._changed.wait()
            self._changed.clear()
            if loop.time() - self._began > RENEW_S:
                await self._begin(outlet)
            else:
                await self.show()

    async def show(self) -> None:
        """Edits the message when it is not up to date."""
        wanted = self.text
        if self._post is None or wanted == self._shown:
            return
        try:
            await self._post.edit(wanted)
            self._shown = wanted
        except MessageGone:
            self._post = None
        except DiscordError as error:
            log.info("one edit of the status was lost: %s", error)
            self._changed.set()

    async def _begin(self, outlet: Outlet) -> None:
        self._shown = self.text
        self._post = await outlet.post(self._shown)
        self._began = asyncio.get_running_loop().time()
