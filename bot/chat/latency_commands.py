"""`!latency`. Imports py-cord."""

from __future__ import annotations

import io

import discord
from discord.ext import commands

from bot.chat.bridging import Context, command
from bot.chat.latency import NO_TURN, Turns, sentence
from bot.worker import Worker


class LatencyCommands(commands.Cog):
    def __init__(self, turns: Turns, worker: Worker) -> None:
        """`worker` draws."""
        self._turns = turns
        self._worker = worker

    @command(description="Shows where the time before my spoken answers goes")
    async def latency(self, ctx: Context) -> None:
        turns = self._turns.all
        if not turns:
            await ctx.respond(NO_TURN)
            return
        await ctx.defer()
        # Its fonts and formats are worth loading only for who asks for a picture.
        from bot.chat.latency_picture import draw

        picture = await self._worker.run(draw, turns)
        await ctx.respond(sentence(turns), file=discord.File(io.BytesIO(picture), "latency.png"))
