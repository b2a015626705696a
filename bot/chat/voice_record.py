"""Where both sides of a spoken conversation are written down: in the text channel when somebody has finished, or live
in a thread. Knows no py-cord."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from bot.chat.rendering import split
from bot.chat.text import EDIT_GAP_S, MessageGone, Outlet, Post
from bot.chat.voice_card import ANSWERER, Minutes, answered
from bot.errors import DiscordError
from bot.events import Event, Failed, Interrupted, ReplyDelta, ReplyDone

log = logging.getLogger(__name__)

REST_LIMIT_S = 3.0
"""At the end of a call, for its last words to be written."""
ALREADY_ON = "What we say is written in {} already."
ALREADY_OFF = "What we say is written here, in the channel. `!captions on` writes it live into a thread."
ON = "What we say is written live in {} now."
OFF = "What we say is written here again."


class Thread(Outlet, Protocol):
    mention: str


@dataclass(slots=True)
class _Line:
    text: str
    done: bool
    """Whether it does not change any more."""
    said: str = ""
    """Of an answer that is growing."""
    posts: list[Post] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)


class Captions:
    """A live transcript: what is being said is posted at once, and edited as it grows, at most once a second."""

    def __init__(self, outlet: Outlet) -> None:
        self._outlet = outlet
        self._lines: list[_Line] = []
        self._open: dict[int, _Line] = {}
        """Answers that are still growing, by turn."""
        self._changed = asyncio.Event()
        self._closed = False

    def feed(self, event: Event, lines: Sequence[str]) -> None:
        """`lines` is what the event adds to the minutes."""
        more = list(lines)
        match event:
            case ReplyDelta(turn=turn, text=text):
                if turn not in self._open:
                    self._open[turn] = _Line(ANSWERER, done=False)
                    self._lines.append(self._open[turn])
                line = self._open[turn]
                line.said += text
                line.text = answered(line.said)
            case ReplyDone(turn=turn) | Interrupted(turn=turn) | Failed(turn=turn) if turn in self._open:
                line = self._open.pop(turn)
                line.text = more.pop(0) if more and more[0].startswith(ANSWERER) else f"{line.text.rstrip()} …"
                line.done = True
        self._lines += [_Line(text, done=True) for text in more]
        self._changed.set()

    def close(self) -> None:
        """No more is said; `run` ends when everything is written."""
        for line in self._lines:
            line.done = True
        self._closed = True
        self._changed.set()

    def rest(self) -> list[str]:
        """What is not written."""
        return [line.text for line in self._lines if not line.posts and line.text.strip() != ANSWERER.strip()]

    async def run(self) -> None:
        """Raises DiscordError when the thread takes no more messages."""
        while not self._closed or self._lines:
            await self._changed.wait()
            self._changed.clear()
            await self.catch_up()
            await asyncio.sleep(EDIT_GAP_S)

    async def catch_up(self) -> None:
        for line in list(self._lines):
            # An answer of which nothing has come yet is only a name.
            if line.text.strip() != ANSWERER.strip():
                await self._show(line)
            if line.done:
                self._lines.remove(line)

    async def _show(self, line: _Line) -> None:
        for index, part in enumerate(split(line.text)):
            if index == len(line.posts):
                line.posts.append(await self._outlet.post(part))
                line.shown.append(part)
            elif line.shown[index] != part:
                try:
                    await line.posts[index].edit(part)
                except MessageGone:
                    log.info("a caption was deleted while it was being written")
                except DiscordError as error:
                    log.info("one edit of a caption was lost: %s", error)
                    if line.done:
                        await self._outlet.post(part)
                line.shown[index] = part


class Record:
    def __init__(self, outlet: Outlet, open_thread: Callable[[], Awaitable[Thread]]) -> None:
        """`open_thread` raises DiscordError."""
        self._outlet = outlet
        self._open_thread = open_thread
        self._minutes = Minutes()
        self._lines: asyncio.Queue[str] = asyncio.Queue()
        self._thread: Thread | None = None
        self._captions: Captions | None = None
        self._to_run: asyncio.Queue[Captions] = asyncio.Queue()

    def feed(self, event: Event) -> None:
        lines = list(self._minutes.feed(event))
        if self._captions:
            self._captions.feed(event, lines)
        else:
            for line in lines:
                self._lines.put_nowait(line)

    def note(self, text: str) -> None:
        self._lines.put_nowait(text)

    async def post(self, text: str) -> None:
        """In the channel. Never raises."""
        for part in split(text):
            try:
                await self._outlet.post(part)
            except DiscordError as error:
                log.warning("a line of the conversation was lost: %s", error)

    async def write(self) -> None:
        """Into the channel, until it is cancelled."""
        while True:
            await self.post(await self._lines.get())

    async def caption(self) -> None:
        """Into the thread, until it is cancelled."""
        while True:
            captions = await self._to_run.get()
            try:
                await captions.run()
            except DiscordError as error:
                if self._captions is captions:
                    self._captions = self._thread = None
                self.note(f"⚠️ The thread takes no more captions. {error} What we say is written here again.")
                for text in captions.rest():
                    self.note(text)

    async def finish(self) -> None:
        """What is not written yet. Never raises."""
        while not self._lines.empty():
            await self.post(self._lines.get_nowait())
        if self._captions:
            self._captions.close()
            try:
                async with asyncio.timeout(REST_LIMIT_S):
                    await self._captions.catch_up()
            except (DiscordError, TimeoutError) as error:
                log.warning("the last captions were lost: %r", error)

    @property
    def captioned(self) -> bool:
        return self._captions is not None

    async def begin_captions(self) -> str:
        """Returns a sentence for the user. Raises DiscordError."""
        if self._captions and self._thread:
            return ALREADY_ON.format(self._thread.mention)
        if self._thread is None:
            self._thread = await self._open_thread()
        self._captions = Captions(self._thread)
        self._to_run.put_nowait(self._captions)
        return ON.format(self._thread.mention)

    def end_captions(self) -> str:
        if self._captions is None:
            return ALREADY_OFF
        self._captions.close()
        self._captions = None
        return OFF
