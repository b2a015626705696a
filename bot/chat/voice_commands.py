"""`!direct` and what belongs to it, as `!x` and `/x`. Imports py-cord."""

from __future__ import annotations

import discord
from discord.ext import bridge, commands

from bot.chat.bridging import Context, command, option
from bot.chat.outlet import DiscordOutlet, DiscordPost, DiscordThread
from bot.chat.rendering import units
from bot.chat.text import Post
from bot.chat.voice import NO_CALL, Call, VoiceDesk
from bot.chat.voice_link import Channel, VoiceLink
from bot.errors import DiscordError, UnknownVoice

NO_CHANNEL = "Join a voice channel first; I come to you there. Then write `!direct`."
MAX_SAID = 1000
"""Characters."""


class DiscordPlace:
    """Implements voice.Place."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self.guild = channel.guild.id
        self.mention = channel.mention

    def link(self) -> VoiceLink:
        return VoiceLink(self._channel)

    async def thread(self, post: Post, name: str) -> DiscordThread:
        assert isinstance(post, DiscordPost)  # noqa: S101 - the outlet of a call makes no others
        return await post.thread(name)


class VoiceCommands(commands.Cog):
    def __init__(self, desk: VoiceDesk) -> None:
        self._desk = desk

    @command(description="Comes to your voice channel and talks with you, through this PC's microphone")
    async def direct(self, ctx: Context) -> None:
        state = ctx.author.voice if isinstance(ctx.author, discord.Member) else None
        if self._desk.unavailable or state is None or not isinstance(state.channel, Channel):
            await ctx.respond(self._desk.unavailable or NO_CHANNEL, ephemeral=True)
            return
        # A slash command must be answered within 3 s; joining may take longer.
        await ctx.defer()
        # Messages of the channel and not answers to the command: those of a slash command can be edited for 15 minutes.
        outlet = DiscordOutlet(ctx.send, ctx.send)
        refused = await self._desk.begin(DiscordPlace(state.channel), outlet, _channel(ctx), ctx.author.id)
        if refused:
            await ctx.respond(refused, ephemeral=True)
        elif isinstance(ctx, bridge.BridgeApplicationContext):
            await ctx.respond(f"I am in {state.channel.mention}.")

    @command(description="Ends the spoken conversation")
    async def stop(self, ctx: Context) -> None:
        await ctx.defer()
        refused = await self._desk.stop(ctx.guild.id if ctx.guild else 0)
        await ctx.respond(refused or "I have left the voice channel.", ephemeral=bool(refused))

    @command(description="Stops listening; what I am saying goes on")
    async def mute(self, ctx: Context) -> None:
        await self._mute(ctx, True, "I do not listen until you write `!unmute`.")

    @command(description="Listens again")
    async def unmute(self, ctx: Context) -> None:
        await self._mute(ctx, False, "I am listening.")

    @command(description="Says a text aloud", usage="TEXT")
    @option("text", str, description="What is to be said")
    async def say(self, ctx: Context, *, text: str) -> None:
        call = self._call(ctx)
        if call is None:
            await ctx.respond(NO_CALL, ephemeral=True)
        elif units(text) > MAX_SAID:
            await ctx.respond(f"That is too long to be said; {MAX_SAID} characters are the limit.", ephemeral=True)
        else:
            await ctx.respond(f"🔊 {text}")
            await call.say(text)

    @command(description="Shows the voices, or chooses one or a blend of several", usage="[NAME]")
    @option("name", str, description='Such as "af_heart", or "af_heart*0.6+am_michael*0.4"', required=False)
    async def voice(self, ctx: Context, *, name: str = "") -> None:
        conversation = self._desk.conversation
        if conversation is None:
            await ctx.respond(self._desk.unavailable, ephemeral=True)
            return
        if not name:
            await ctx.respond(f"I speak as `{conversation.voice}`. There are: {', '.join(conversation.voices)}.")
            return
        try:
            conversation.choose_voice(name)
        except UnknownVoice as error:
            await ctx.respond(str(error), ephemeral=True)
            return
        await ctx.respond(f"From the next sentence on I speak as `{conversation.voice}`.")

    @command(description="Writes what we say live into a thread, or in the channel again", usage="on|off")
    @option("state", str, description="on or off", choices=["on", "off"])
    async def captions(self, ctx: Context, state: str = "") -> None:
        call = self._call(ctx)
        if call is None:
            await ctx.respond(NO_CALL, ephemeral=True)
        elif state.lower() not in ("on", "off"):
            now = "on" if call.record.captioned else "off"
            await ctx.respond(f"Captions are {now}. Write `!captions on` or `!captions off`.")
        elif state.lower() == "off":
            await ctx.respond(call.record.end_captions())
        else:
            await ctx.defer()
            try:
                await ctx.respond(await call.record.begin_captions())
            except DiscordError as error:
                await ctx.respond(f"{error} What we say is written here, in the channel.")

    def _call(self, ctx: Context) -> Call | None:
        return self._desk.call(ctx.guild.id) if ctx.guild else None

    async def _mute(self, ctx: Context, on: bool, done: str) -> None:
        call = self._call(ctx)
        if call is None:
            await ctx.respond(NO_CALL, ephemeral=True)
            return
        call.mute(on)
        await ctx.respond(done)


def _channel(ctx: Context) -> int:
    """The text channel of a command, or its thread."""
    return (ctx.channel_id if isinstance(ctx, bridge.BridgeApplicationContext) else ctx.message.channel.id) or 0
