"""`!history` and `!clear`. Imports py-cord."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from discord.ext import bridge, commands

from bot.chat.bridging import Context, command
from bot.chat.conversations import Conversations
from bot.chat.history import History
from bot.chat.outlet import DiscordOutlet
from bot.chat.rendering import Rendered
from bot.chat.showing import block, fitted
from bot.chat.text import TextDesk
from bot.errors import DiskError
from bot.events import Exchange

log = logging.getLogger(__name__)

SHOWN = 10
"""Exchanges in `!history`."""
LONGEST = 400
"""Characters of one question or answer there."""
NOT_KEPT = "Conversations are not kept on disk here (DISCORD_HISTORY=off)."
NOTHING = "We have not talked here yet. `!ask` or a mention begins a conversation."


class HistoryCommands(commands.Cog):
    def __init__(self, desk: TextDesk, history: History, talks: Conversations) -> None:
        self._desk = desk
        self._talks = talks
        self._history = history

    @command(description="Shows what we said here, you and I")
    async def history(self, ctx: Context) -> None:
        if not self._history.kept:
            await ctx.respond(NOT_KEPT, ephemeral=True)
            return
        try:
            # In this order: an answer that is kept in between must not look like one that is left out.
            count = await self._history.count(*_key(ctx))
            found = await self._history.recall(*_key(ctx), SHOWN)
        except DiskError as error:
            await ctx.respond(str(error), ephemeral=True)
            return
        outlet = DiscordOutlet(ctx.respond, ctx.send)
        rendered = conversation(found, count)
        for part in rendered.parts[:-1]:
            await outlet.post(part)
        await outlet.post(rendered.parts[-1], rendered.file, "history.txt")

    @command(description="Forgets what we said here, on disk too")
    async def clear(self, ctx: Context) -> None:
        await self._desk.settle(*_key(ctx))
        if refused := self._desk.forget(*_key(ctx)):
            await ctx.respond(refused, ephemeral=True)
            return
        try:
            count = await self._history.forget(*_key(ctx))
        except DiskError as error:
            log.warning("a conversation was not removed from the disk: %s", error)
            await ctx.respond(f"I have forgotten it, but it may still be on disk. {error}")
            return
        finally:
            # A call that is going on here forgets it too.
            self._talks.forget(*_key(ctx))
        what = f" {count} question{'s' * (count != 1)} and answers are removed from the disk." if count else ""
        await ctx.respond(f"Forgotten.{what}")


def conversation(found: Sequence[Exchange], count: int) -> Rendered:
    if not found:
        return Rendered((NOTHING,))
    text = "\n\n".join(
        f"You: {_short(each.question)}\nI:   {_short(each.answer)}{' (cut short)' if each.interrupted else ''}"
        for each in found
    )
    head = f"The last {len(found)} of {count} questions here:" if count > len(found) else "What we said here:"
    return fitted(head, block(text), text)


def _short(text: str) -> str:
    text = text.strip()
    return text if len(text) <= LONGEST else f"{text[:LONGEST].rstrip()} …"


def _key(ctx: Context) -> tuple[int, int]:
    channel = ctx.channel_id if isinstance(ctx, bridge.BridgeApplicationContext) else ctx.message.channel.id
    return channel or 0, ctx.author.id
