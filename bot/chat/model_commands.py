"""`!model`. Imports py-cord."""

from __future__ import annotations

from discord.ext import bridge, commands

from bot.chat.bridging import Context, command, option
from bot.chat.model_choice import ModelChoice, loading, overview
from bot.errors import SidetoneError
from bot.ports import Models, Talk


class ModelCommands(commands.Cog):
    def __init__(self, models: Models, choice: ModelChoice) -> None:
        self._models = models
        self._choice = choice

    @command(description="Shows the language models, or chooses one for this conversation", usage="[NAME]")
    @option("name", str, description="One of those that are shown", required=False)
    async def model(self, ctx: Context, *, name: str = "") -> None:
        talk = _talk(ctx)
        if not name:
            await ctx.respond(overview(self._models, talk))
            return
        try:
            found = self._models.find(name)
            if not self._models.ready(found):
                await ctx.respond(loading(found))
            await self._choice.choose(talk, found)
        except SidetoneError as error:
            await ctx.respond(str(error))
            return
        await ctx.respond(f"From the next question on I think with `{found}` in this conversation, spoken or written.")


def _talk(ctx: Context) -> Talk:
    channel = ctx.channel_id if isinstance(ctx, bridge.BridgeApplicationContext) else ctx.message.channel.id
    return channel or 0, ctx.author.id
