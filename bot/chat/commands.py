"""What can be typed: `!x` and `/x` from one callback, replies and mentions. Imports py-cord."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import discord
from discord.ext import bridge, commands

from bot.chat.access import refusal
from bot.chat.attached import Attached, Question, with_files
from bot.chat.bridging import Context, command, option
from bot.chat.download import download
from bot.chat.marks import State
from bot.chat.outlet import DiscordOutlet, Marker
from bot.chat.rendering import split
from bot.chat.text import TextDesk
from bot.chat.voice import VoiceDesk
from bot.chat.voice_commands import VoiceCommands
from bot.config import DiscordSettings

log = logging.getLogger(__name__)

PREFIX = "!"
NOTHING_GIVEN = {
    "ask": "There is no question. Write it after the command: `!ask What does git rebase do?`",
    "say": "There is nothing to say. Write it after the command: `!say The build is green.`",
}
FAILED = "Something unexpected went wrong in this command; the log has the details."


class Refused(commands.CheckFailure):
    """The sentence is for the user."""


class SidetoneBot(bridge.Bot):
    def __init__(self, settings: DiscordSettings, desk: TextDesk, calls: VoiceDesk, model: str, marker: Marker) -> None:
        intents = discord.Intents.default()
        intents.message_content = True
        super().__init__(
            command_prefix=PREFIX,
            case_insensitive=True,
            help_command=None,
            intents=intents,
            allowed_mentions=discord.AllowedMentions.none(),
            proxy=settings.proxy or None,
        )
        self.logged_in = asyncio.Event()
        self._allowed = settings.allowed_users
        self._desk = desk
        self.marker = marker
        self.add_check(self._check)
        self.add_cog(TextCommands(self, desk, model))
        self.add_cog(VoiceCommands(calls))

    def refusal(self, user: discord.User | discord.Member, guild: discord.Guild | None) -> str:
        return refusal(user.id, guild.owner_id if guild else None, self._allowed)

    def _check(self, ctx: Context) -> bool:
        if sentence := self.refusal(ctx.author, ctx.guild):
            raise Refused(sentence)
        return True

    async def on_ready(self) -> None:
        """Comes again after a lost session."""
        self.logged_in.set()

    async def on_message(self, message: discord.Message) -> None:
        if message.author.bot:
            return
        if message.content.startswith(PREFIX):
            await self.process_commands(message)
        elif self._is_for_me(message):
            await self._continue(message)

    def _is_for_me(self, message: discord.Message) -> bool:
        replied = message.reference.resolved if message.reference else None
        return self.user in message.mentions or (isinstance(replied, discord.Message) and replied.author == self.user)

    async def _continue(self, message: discord.Message) -> None:
        assert self.user is not None  # noqa: S101 - set at log-in, before any message
        question = message.content
        for mention in (f"<@{self.user.id}>", f"<@!{self.user.id}>"):
            question = question.replace(mention, "")
        answer = self.refusal(message.author, message.guild)
        mark = self.marker.of(message)
        if not answer:
            asked = await self.with_files(question, message.attachments)
            if asked.notes:
                await message.reply("\n".join(asked.notes))
            question = asked.text
            if not question:
                answer = "Write your question beside the mention; `!help` lists the commands."
        if answer:
            mark.set(State.REFUSED)
        else:
            outlet = DiscordOutlet(message.reply, message.channel.send)
            answer = self._desk.ask(message.channel.id, message.author.id, question, outlet, mark)
        if answer:
            await message.reply(answer)

    async def with_files(self, question: str, files: Sequence[discord.Attachment]) -> Question:
        """The question, with the texts that were attached to it."""
        fetch = partial(download, proxy=self.http.proxy, auth=self.http.proxy_auth)
        return await with_files(question, [Attached(each.filename, each.url, each.size) for each in files], fetch)

    async def on_error(self, event_method: str, *args: Any, **kwargs: Any) -> None:
        """Comes inside the `except` of py-cord."""
        if event_method == "on_connect":
            log.exception("the slash commands could not be registered; the ! commands work")
        else:
            log.exception("a defect in %s", event_method)

    async def on_command_error(self, context: commands.Context[Any], exception: commands.CommandError) -> None:
        await self._explain(context, exception)

    async def on_application_command_error(
        self, context: discord.ApplicationContext, exception: discord.DiscordException
    ) -> None:
        await self._explain(context, exception)

    async def _explain(self, ctx: Any, error: Exception) -> None:
        match error:
            case Refused():
                sentence = str(error)
            case commands.CommandNotFound() if self.refusal(ctx.author, ctx.guild) or not ctx.invoked_with.isalnum():
                return  # A stranger's "!..." is more likely meant for another bot.
            case commands.CommandNotFound():
                sentence = f"There is no command `!{ctx.invoked_with}`; `!help` lists what there is."
            case commands.UserInputError() if ctx.command and ctx.command.name in NOTHING_GIVEN:
                sentence = NOTHING_GIVEN[ctx.command.name]
            case commands.UserInputError():
                sentence = f"This command is not written so; `!help` shows how. ({error})"
            case _:
                log.error("a defect in a command", exc_info=error)
                sentence = FAILED
        if not isinstance(ctx, bridge.BridgeApplicationContext):
            self.marker.of(ctx.message).set(State.FAILED if sentence is FAILED else State.REFUSED)
        log.info("a command was answered with an error: %s", sentence)
        await ctx.respond(sentence, ephemeral=True)


class TextCommands(commands.Cog):
    def __init__(self, bot: SidetoneBot, desk: TextDesk, model: str) -> None:
        self._bot = bot
        self._desk = desk
        self._model = model
        self._started = asyncio.get_running_loop().time()

    @command(description="Asks a question; reply to the answer or mention me to go on", usage="QUESTION")
    @option("question", str, description="What you want to know")
    @option("file", discord.Attachment, description="A text file that belongs to it", required=False)
    async def ask(self, ctx: Context, *, question: str = "", file: discord.Attachment | None = None) -> None:
        if isinstance(ctx, bridge.BridgeApplicationContext):
            channel, outlet, message = ctx.channel_id or 0, DiscordOutlet(ctx.respond, ctx.respond), None
            files = [file] if file else []
            if files:
                # Fetching may take longer than the 3 s that Discord gives.
                await ctx.defer()
        else:
            channel, outlet, message = ctx.message.channel.id, DiscordOutlet(ctx.respond, ctx.send), ctx.message
            files = ctx.message.attachments
        mark = self._bot.marker.of(message)
        asked = await self._bot.with_files(question, files)
        if asked.notes:
            await ctx.respond("\n".join(asked.notes))
        refused = "" if asked.text else NOTHING_GIVEN["ask"]
        if refused:
            mark.set(State.REFUSED)
        else:
            refused = self._desk.ask(channel, ctx.author.id, asked.text, outlet, mark)
        if refused:
            await ctx.respond(refused, ephemeral=True)

    @command(description="Shows that I am alive, and what I run on")
    async def status(self, ctx: Context) -> None:
        up = asyncio.get_running_loop().time() - self._started
        latency = self._bot.latency
        lines = [
            f"Up for {duration(up)}"
            + (f"; Discord answers in {latency * 1000:.0f} ms." if math.isfinite(latency) else "."),
            f"Language model: {self._model}." if self._model else "",
            f"Conversations: {self._desk.conversations}; answers being written: {self._desk.answering}.",
        ]
        await ctx.respond("\n".join(filter(None, lines)))

    @command(description="Lists the commands")
    async def help(self, ctx: Context) -> None:
        lines = [
            f"`{PREFIX}{each.name}{' ' + each.usage if each.usage else ''}` {each.description}."
            for each in self._bot.walk_bridge_commands()
        ]
        for part in split("\n".join([*sorted(lines), "Each works with `/` as well."])):
            await ctx.respond(part)


def duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [f"{n} {unit}" for n, unit in ((days, "d"), (hours, "h"), (minutes, "min"), (rest, "s")) if n]
    return " ".join(parts[:2]) or "0 s"
