"""Questions, however they came: by a command, a mention or a reply. Imports py-cord."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import discord
from discord.ext import bridge

from bot.chat.attached import Attached, Question, with_files
from bot.chat.bridging import Context
from bot.chat.download import download
from bot.chat.limits import Limits
from bot.chat.marks import Mark, State
from bot.chat.outlet import DiscordOutlet, Marker
from bot.chat.text import Outlet, TextDesk

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Request:
    """Who asks, where, and how they are answered."""

    channel: int
    """A thread's own id, in a thread."""
    user: int
    outlet: Outlet
    mark: Mark
    refuse: Callable[[str], Awaitable[Any]]
    """Says a sentence, to nobody else where Discord can do that."""
    seen: bool
    """Whether the user sees by `mark` that something was refused; slash commands must be answered."""


class Asking:
    def __init__(self, bot: discord.Client, desk: TextDesk, limits: Limits, marker: Marker) -> None:
        self._bot = bot
        self._desk = desk
        self._limits = limits
        self._marker = marker

    def by_command(self, ctx: Context) -> Request:
        refuse = partial(ctx.respond, ephemeral=True)
        if isinstance(ctx, bridge.BridgeApplicationContext):
            outlet = DiscordOutlet(ctx.respond, ctx.respond)
            return Request(ctx.channel_id or 0, ctx.author.id, outlet, self._marker.of(None), refuse, False)
        outlet, mark = DiscordOutlet(ctx.respond, ctx.send), self._marker.of(ctx.message)
        return Request(ctx.message.channel.id, ctx.author.id, outlet, mark, refuse, True)

    def by_message(self, message: discord.Message) -> Request:
        outlet, mark = DiscordOutlet(message.reply, message.channel.send), self._marker.of(message)

        async def refuse(sentence: str) -> None:
            log.warning("a question was refused: %s", sentence)
            await message.reply(sentence)

        return Request(message.channel.id, message.author.id, outlet, mark, refuse, True)

    async def admit(self, request: Request) -> bool:
        """Counts one question; says it when there were too many."""
        too_many = self._limits.question(request.user)
        if too_many is None:
            return True
        request.mark.set(State.REFUSED)
        if not (too_many.said and request.seen):
            await request.refuse(too_many.sentence)
        return False

    async def read(self, question: str, files: Sequence[discord.Attachment]) -> Question:
        """The question, with the texts that were attached to it."""
        return await with_files(question, attached(files), self.fetch)

    async def ask(self, request: Request, question: str) -> None:
        # JSON lets half characters through, which no model and no file takes.
        question = question.encode("utf-8", "replace").decode()
        request.mark.set(State.WORKING)
        refused = self._desk.ask(request.channel, request.user, question, request.outlet, request.mark)
        if refused:
            await request.refuse(refused)

    def start(self, channel: int, user: int, question: str, outlet: Outlet) -> str:
        """Starts an answer that nobody has asked for; why not, or nothing."""
        return self._desk.ask(channel, user, question, outlet)

    async def fetch(self, url: str, limit: int) -> bytes:
        return await download(url, limit, self._bot.http.proxy, self._bot.http.proxy_auth)


def attached(files: Sequence[discord.Attachment]) -> list[Attached]:
    return [Attached(each.filename, each.url, each.size) for each in files]
