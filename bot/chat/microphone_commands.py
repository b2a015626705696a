"""`!mic`. Imports py-cord."""

from __future__ import annotations

from collections.abc import Sequence

from discord.ext import commands

from bot.chat.bridging import Context, command, option
from bot.chat.rendering import split
from bot.chat.showing import block, inline
from bot.errors import SidetoneError
from bot.events import InputDevice
from bot.ports import Microphones

HOW = "`!mic NUMBER`, or a part of a name, takes another."


class MicrophoneCommands(commands.Cog):
    def __init__(self, microphones: Microphones | None, instead: str) -> None:
        """`instead`: why there are none, as a sentence for users."""
        self._microphones = microphones
        self._instead = instead

    @command(description="Lists the microphones of the PC I run on, or takes another one", usage="[DEVICE]")
    @option("device", str, description="Its number or a part of its name", required=False)
    async def mic(self, ctx: Context, *, device: str = "") -> None:
        if self._microphones is None:
            await ctx.respond(self._instead, ephemeral=True)
            return
        # Sound drivers take their time.
        await ctx.defer()
        try:
            if device.strip():
                chosen = await self._microphones.choose(device)
                await ctx.respond(
                    f"I listen with {inline(chosen.name)} now. "
                    f"MIC_DEVICE in .env makes it the one after the next start, too."
                )
            else:
                for part in split(listing(await self._microphones.listed())):
                    await ctx.respond(part)
        except SidetoneError as error:
            for part in split(str(error)):
                await ctx.respond(part)


def listing(devices: Sequence[InputDevice]) -> str:
    lines = [f"{'>' if each.chosen else ' '} {each.number:>2}  {each.name}" for each in devices]
    return f"The microphones of this PC; `>` is the one I listen with:\n{block(chr(10).join(lines))}\n{HOW}"
