"""Spoken conversations in Discord: one at a time, for there is one microphone. Knows no py-cord."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from bot.chat.latency import Turns
from bot.chat.text import Outlet, Post
from bot.chat.voice_card import Card, Mood
from bot.chat.voice_record import Record, Thread
from bot.errors import SidetoneError
from bot.events import Event, Ready, SpeechStarted, Transcribed, TurnMetrics
from bot.ports import Brain, Conversation, SoundOutput

log = logging.getLogger(__name__)

ALONE_S = 8.0
"""For somebody who has dropped out to come back."""
LOOK_EVERY_S = 1.0
READY_LIMIT_S = 20.0
"""For the microphone to open."""

STOPPED = ""
EVERYBODY_LEFT = "Everybody has left the voice channel, so I left too. `!direct` begins a new conversation."
TRANSCRIPT = "Live transcript"
NO_CALL = "There is no spoken conversation. Join a voice channel and write `!direct`."
SHUTTING_DOWN = "The bot is being shut down."
DEFECT = (
    "Something unexpected went wrong in the spoken conversation; the log has the details. `!direct` begins a new one."
)


class Link(Protocol):
    """The bot in a voice channel."""

    @property
    def source(self) -> SoundOutput: ...

    async def join(self) -> None:
        """Raises SidetoneError."""

    async def keep(self, reconnecting: Callable[[bool], None]) -> str:
        """Until the call is over; the reason."""

    def company(self) -> bool:
        """Whether a person is there as well."""

    async def leave(self) -> None: ...


class Place(Protocol):
    """A voice channel."""

    @property
    def guild(self) -> int: ...

    @property
    def mention(self) -> str: ...

    def link(self) -> Link: ...

    async def thread(self, post: Post, name: str) -> Thread:
        """Opens one at a message of ours. Raises DiscordError."""


class Call:
    """One spoken conversation from joining to leaving."""

    def __init__(
        self,
        place: Place,
        conversation: Conversation,
        brain: Brain,
        outlet: Outlet,
        idle_s: float,
        measured: Callable[[TurnMetrics], None],
    ) -> None:
        """`measured` is told how long each turn took."""
        self.place = place
        self._measured = measured
        self._brain = brain
        self.card = Card(place.mention)
        self.ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        """Empty when it has begun, else why it did not."""
        self._conversation = conversation
        self._outlet = outlet
        self._idle_s = idle_s
        self._link = place.link()
        self.record = Record(outlet, self._open_thread)
        self._over: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._active = 0.0

    def end(self, reason: str = STOPPED) -> None:
        if not self._over.done():
            self._over.set_result(reason)

    def mute(self, on: bool) -> None:
        self._conversation.mute(on)
        self.card.progress.muted = on
        self.card.touch()

    async def say(self, text: str) -> None:
        self._active = asyncio.get_running_loop().time()
        try:
            await self._conversation.say(text)
        except SidetoneError as error:
            self.record.note(f"⚠️ {error}")

    async def run(self) -> None:
        """Never raises: what went wrong is said in Discord."""
        reason = STOPPED
        try:
            await self._link.join()
            reason = await self._hold()
        except SidetoneError as error:
            reason = str(error)
        except Exception:
            log.exception("a defect in a spoken conversation")
            reason = DEFECT
        finally:
            await self._link.leave()
        self.card.progress.mood = Mood.ENDED
        if not self.ready.done():
            self.ready.set_result(reason or SHUTTING_DOWN)
        elif reason:
            await self.record.post(reason)

    async def _hold(self) -> str:
        self._active = asyncio.get_running_loop().time()
        self._conversation.mute(False)
        writing = (self.record.write, self.record.caption)
        works: list[Callable[[], Awaitable[None]]] = [self._converse, self._keep, self._show, self._watch, *writing]
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(_guarded(work, self.end)) for work in works]
            reason = await self._over
            for task in running:
                task.cancel()
        await self.record.finish()
        return reason

    async def _converse(self) -> None:
        await self._conversation.hold(self._link.source, self._brain, self._on_event)

    async def _keep(self) -> None:
        self.end(await self._link.keep(self._reconnecting))

    def _reconnecting(self, on: bool) -> None:
        self.card.progress.reconnecting = on
        self.card.touch()

    def _on_event(self, event: Event) -> None:
        self.card.feed(event)
        self.record.feed(event)
        if isinstance(event, TurnMetrics):
            self._measured(event)
        if isinstance(event, SpeechStarted | Transcribed):
            self._active = asyncio.get_running_loop().time()
        if isinstance(event, Ready) and not self.ready.done():
            self.ready.set_result("")

    async def _show(self) -> None:
        if await asyncio.shield(self.ready):
            return
        try:
            await self.card.run(self._outlet)
        finally:
            if self._over.done():
                self.card.progress.mood = Mood.ENDED
                await self.card.show()

    async def _watch(self) -> None:
        """Leaves when nobody is there any more, or nobody has said anything for long."""
        loop = asyncio.get_running_loop()
        accompanied = loop.time()
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            now = loop.time()
            if self._link.company():
                accompanied = now
            if now - accompanied > ALONE_S:
                self.end(EVERYBODY_LEFT)
            elif now - self._active > self._idle_s:
                minutes = self._idle_s / 60
                self.end(f"Nobody has said anything for {minutes:g} minutes, so I left. `!direct` begins anew.")

    async def _open_thread(self) -> Thread:
        post = self.card.post or await self._outlet.post(TRANSCRIPT)
        return await self.place.thread(post, TRANSCRIPT)


async def _guarded(work: Callable[[], Awaitable[None]], end: Callable[[str], None]) -> None:
    """One part of a call failing ends the call, in order and with its sentence."""
    try:
        await work()
    except Exception as error:
        known = _known(error)
        if known is None:
            log.exception("a defect in a spoken conversation")
        end(str(known) if known else DEFECT)


def _known(error: BaseException) -> SidetoneError | None:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error if isinstance(error, SidetoneError) else None


class VoiceDesk:
    """Takes `!direct` and what follows it."""

    def __init__(
        self,
        conversation: Conversation | None,
        no_voice: str,
        tasks: asyncio.TaskGroup,
        idle_s: float,
        brains: Callable[[int, int], Brain],
    ) -> None:
        """`no_voice`: why there is no `conversation` on this machine. `brains` knows what was said between a text
        channel and a user."""
        self._brains = brains
        self.turns = Turns()
        self._conversation = conversation
        self._no_voice = no_voice
        self._tasks = tasks
        self._idle_s = idle_s
        self._call: Call | None = None
        self._task: asyncio.Task[None] | None = None
        self._door = asyncio.Lock()

    @property
    def unavailable(self) -> str:
        return "" if self._conversation else self._no_voice

    @property
    def conversation(self) -> Conversation | None:
        return self._conversation

    async def begin(self, place: Place, outlet: Outlet, channel: int, user: int) -> str:
        """Joins and listens, and goes on with what `channel` (a text channel) and `user` have said to each other.
        Returns why not, as a sentence, or nothing."""
        if self._conversation is None:
            return self._no_voice
        async with self._door:
            if self._call is not None:
                return self._engaged(place, self._call)
            brain = self._brains(channel, user)
            call = self._call = Call(place, self._conversation, brain, outlet, self._idle_s, self.turns.add)
            self._task = self._tasks.create_task(self._run(call))
            try:
                async with asyncio.timeout(READY_LIMIT_S):
                    return await asyncio.shield(call.ready)
            except TimeoutError:
                await self._end(call)
                return "The microphone did not open in time. Check it with `python -m bot doctor`, then try again."

    async def stop(self, guild: int) -> str:
        """Returns why there was nothing to stop, or nothing."""
        async with self._door:
            call = self.call(guild)
            if call is None:
                return NO_CALL
            await self._end(call)
            return ""

    def call(self, guild: int) -> Call | None:
        """The conversation in this server."""
        return self._call if self._call and self._call.place.guild == guild else None

    async def close(self) -> None:
        if self._call is not None:
            await self._end(self._call)

    async def _end(self, call: Call) -> None:
        call.end()
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _run(self, call: Call) -> None:
        try:
            await call.run()
        finally:
            if self._call is call:
                self._call = None

    def _engaged(self, place: Place, call: Call) -> str:
        if call.place.guild == place.guild:
            return f"I am already talking in {call.place.mention}. `!stop` ends that."
        return "I am talking in another server at the moment, and this PC has one microphone. Try again later."
