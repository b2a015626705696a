"""Discord behind the ports of `text` and `marks`: posts, edits and reactions, with py-cord's errors turned into ours.
Imports py-cord."""

from __future__ import annotations

import asyncio
import io
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import aiohttp
import discord

from bot.chat.marks import Mark, NoMark, State
from bot.chat.text import MessageGone
from bot.errors import DiscordError

log = logging.getLogger(__name__)

FILE_NAME = "answer.txt"
MARKS = 500
"""Messages whose mark is remembered."""
TOO_LATE = 10062
"""Discord's code for an interaction that was not answered within 3 s."""

Send = Callable[..., Awaitable[Any]]
"""Takes `content` and `file`; gives something with `edit(content=...)`."""


class DiscordPost:
    def __init__(self, message: Any) -> None:
        self._message = message

    async def edit(self, text: str, file: str = "", name: str = "") -> None:
        with translated():
            await self._message.edit(content=text, **_attached(file, name))

    async def thread(self, name: str) -> DiscordThread:
        """Raises DiscordError."""
        here = self._message.channel
        if isinstance(here, discord.Thread):
            # Discord has no threads within threads.
            return DiscordThread(here)
        try:
            return DiscordThread(await self._message.create_thread(name=name))
        except discord.Forbidden as error:
            raise DiscordError(
                "I may not open threads here: give me the permissions Create Public Threads and Send Messages in "
                "Threads in this channel."
            ) from error
        except discord.HTTPException as error:
            raise DiscordError(f"Discord did not open a thread (HTTP {error.status}, code {error.code}).") from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise DiscordError("Discord could not be reached.") from error


class DiscordOutlet:
    """The first message answers the user's own; the others follow in the channel."""

    def __init__(self, first: Send, more: Send) -> None:
        self._next = first
        self._more = more

    async def post(self, text: str, file: str = "", name: str = FILE_NAME) -> DiscordPost:
        with translated():
            message = await self._next(text, **_attached(file, name))
        self._next = self._more
        return DiscordPost(message)


class DiscordThread(DiscordOutlet):
    def __init__(self, thread: discord.Thread) -> None:
        super().__init__(thread.send, thread.send)
        self.mention = thread.mention


class Marker:
    """Reactions on users' messages, each set by a task of its own."""

    def __init__(self, tasks: asyncio.TaskGroup) -> None:
        self._tasks = tasks
        self._running: set[asyncio.Task[None]] = set()
        self._marks: OrderedDict[int, _MessageMark] = OrderedDict()

    def of(self, message: discord.Message | None) -> Mark:
        """The same for the same message: whoever marks it later takes the earlier mark away."""
        return NoMark() if message is None else self._of(message)

    def ended(self, message: discord.Message, state: State) -> None:
        """Marks a message whose command has not said itself how it went."""
        mark = self._of(message)
        if mark.wanted is None or (mark.wanted is State.WORKING and state is not State.DONE):
            mark.set(state)

    def _of(self, message: discord.Message) -> _MessageMark:
        mark = self._marks.setdefault(message.id, _MessageMark(message, self._spawn))
        while len(self._marks) > MARKS:
            self._marks.popitem(last=False)
        return mark

    async def close(self, limit_s: float) -> None:
        if self._running:
            _, late = await asyncio.wait(self._running, timeout=limit_s)
            for task in late:
                task.cancel()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._tasks.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)


class _MessageMark:
    def __init__(self, message: discord.Message, spawn: Callable[[Coroutine[Any, Any, None]], None]) -> None:
        self._message = message
        self._spawn = spawn
        self.wanted: State | None = None
        self._shown: State | None = None
        self._turn = asyncio.Lock()

    def set(self, state: State) -> None:
        self.wanted = state
        self._spawn(self._apply())

    async def _apply(self) -> None:
        async with self._turn:
            wanted, before = self.wanted, self._shown
            if wanted is None or wanted is before:
                return
            try:
                with translated():
                    await self._message.add_reaction(wanted)
                    self._shown = wanted
                    me = self._message.guild.me if self._message.guild else getattr(self._message.channel, "me", None)
                    if before is not None and me is not None:
                        await self._message.remove_reaction(before, me)
            except DiscordError as error:
                log.info("a reaction was not set: %s", error)
            except Exception:
                # It is decoration: the bot must not end for it.
                log.exception("a defect in a reaction")


def _attached(file: str, name: str) -> dict[str, Any]:
    return {"file": discord.File(io.BytesIO(file.encode("utf-8", "replace")), name)} if file else {}


@contextmanager
def translated() -> Iterator[None]:
    """Raises DiscordError and MessageGone for what py-cord and the network raise."""
    try:
        yield
    except discord.NotFound as error:
        if error.code == TOO_LATE:
            raise DiscordError("Discord did not get an answer to this command in time. Send it once more.") from error
        raise MessageGone("The message was deleted.") from error
    except discord.Forbidden as error:
        raise DiscordError(
            "Discord does not let the bot write in this channel. Give it the permissions View Channel, Send Messages, "
            "Attach Files and Read Message History there."
        ) from error
    except discord.HTTPException as error:
        raise DiscordError(f"Discord refused a message (HTTP {error.status}, code {error.code}). Try again.") from error
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise DiscordError("Discord could not be reached. Try again.") from error


def trouble(error: BaseException | None) -> str:
    """What Discord or the network did, as a sentence; empty when `error` is something else."""
    try:
        with translated():
            if error is not None:
                raise error
    except DiscordError as known:
        return str(known)
    except BaseException:
        return ""
    return ""
