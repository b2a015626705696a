"""What can be typed: `!x` and `/x` from one callback, replies and mentions. Imports py-cord."""

from __future__ import annotations

import asyncio
import logging
import sys
from typing import Any

import discord
from discord.ext import bridge, commands

from bot.chat.asking import Asking
from bot.chat.bridging import Context, command, option
from bot.chat.contexts import MessageContext, Repetitions, SlashContext, fail
from bot.chat.helping import Line, overview
from bot.chat.limits import Limits
from bot.chat.marks import State
from bot.chat.outlet import Marker, trouble
from bot.chat.people import People
from bot.chat.rendering import split
from bot.chat.safe_events import guard_events
from bot.chat.showing import inline
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
NOTHING_BESIDE = "Write your question beside the mention; `!help` lists the commands."
PLAUSIBLE_S = 4.0
"""An answer to a heartbeat that comes before py-cord has noted its sending counts from the one before; so does none."""
PEOPLES = (discord.MessageType.default, discord.MessageType.reply)
"""Discord also writes messages in people's names: the title of a thread that they began is one."""


class Refused(commands.CheckFailure):
    def __init__(self, sentence: str, *, said: bool = False) -> None:
        """The sentence is for the user; `said`: they have read it already."""
        super().__init__(sentence)
        self.said = said


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
        guard_events(self)
        self.logged_in = asyncio.Event()
        self.people = People(settings)
        self._limits = Limits(commands=settings.commands_a_minute, questions=settings.questions_a_minute)
        self.marker = marker
        self._again = Repetitions()
        self.asking = Asking(self, desk, self._limits, marker)
        self.add_check(self._check)
        self.add_cog(TextCommands(self, desk, model))
        self.add_cog(VoiceCommands(calls))

    def _check(self, ctx: Context) -> bool:
        if refused := self._refusal(ctx.author, ctx.guild):
            raise refused
        return True

    def _refusal(self, user: discord.User | discord.Member, guild: discord.Guild | None) -> Refused | None:
        """Why somebody is not heard now. Counts one: those who may not talk must not flood the channel with
        refusals either."""
        too_many = self._limits.command(user.id)
        if sentence := self.people.no_talker(user, guild):
            return Refused(sentence, said=too_many is not None)
        return Refused(too_many.sentence, said=too_many.said) if too_many else None

    async def on_ready(self) -> None:
        """Comes again after a lost session."""
        self.logged_in.set()

    async def on_message(self, message: discord.Message) -> None:
        if message.author.bot or message.webhook_id or message.type not in PEOPLES or self._again(message.id):
            return
        if message.content.startswith(PREFIX):
            await self.process_commands(message)
        elif is_for(self.user, message):
            await self._continue(message)

    async def on_interaction(self, interaction: discord.Interaction) -> None:
        if not self._again(interaction.id):
            await self.process_application_commands(interaction)

    async def get_context(self, message: discord.Message, cls: Any = MessageContext) -> Any:
        return await super().get_context(message, cls=cls)

    async def get_application_context(self, interaction: discord.Interaction, cls: Any = SlashContext) -> Any:
        return await super().get_application_context(interaction, cls=cls)

    async def _continue(self, message: discord.Message) -> None:
        request = self.asking.by_message(message)
        if refused := self._refusal(message.author, message.guild):
            request.mark.set(State.REFUSED)
            if not refused.said:
                await request.refuse(str(refused))
            return
        question = without_mention(self.user, message)
        if not question and not message.attachments:
            request.mark.set(State.REFUSED)
            await request.refuse(NOTHING_BESIDE)
        elif await self.asking.admit(request):
            asked = await self.asking.read(question, message.attachments)
            if asked.text:
                if asked.notes:
                    await message.reply("\n".join(asked.notes))
                await self.asking.ask(request, asked.text)
            else:
                request.mark.set(State.REFUSED)
                await request.refuse("\n".join((*asked.notes, NOTHING_BESIDE)))

    async def on_error(self, event_method: str, *args: Any, **kwargs: Any) -> None:
        """Comes inside the `except` of py-cord."""
        problem = trouble(sys.exc_info()[1])
        if event_method == "on_connect":
            log.warning(
                "the slash commands could not be registered; the ! commands work: %s", problem, exc_info=not problem
            )
        elif problem:
            log.warning("%s was not answered: %s", event_method, problem)
        else:
            log.exception("a defect in %s", event_method)

    async def on_command_completion(self, context: commands.Context[Any]) -> None:
        self.marker.ended(context.message, State.DONE)

    async def on_command_error(self, context: commands.Context[Any], exception: commands.CommandError) -> None:
        await self._explain(context, exception)

    async def on_application_command_error(
        self, context: discord.ApplicationContext, exception: discord.DiscordException
    ) -> None:
        await self._explain(context, exception)

    async def _explain(self, ctx: Any, error: Exception) -> None:
        # py-cord puts what a command raises into an error of its own.
        original: BaseException = getattr(error, "original", error)
        match original:
            case Refused():
                sentence = str(original)
                if original.said and not isinstance(ctx, bridge.BridgeApplicationContext):
                    return  # Slash commands must be answered, and only who typed them sees it.
            case commands.CommandNotFound() if not ctx.invoked_with.isalnum() or self._refusal(ctx.author, ctx.guild):
                return  # A stranger's "!..." is more likely meant for another bot.
            case commands.CommandNotFound():
                sentence = f"There is no command {inline(f'!{ctx.invoked_with}', 60)}; `!help` lists what there is."
            case commands.UserInputError() if ctx.command and ctx.command.name in NOTHING_GIVEN:
                sentence = NOTHING_GIVEN[ctx.command.name]
            case commands.UserInputError():
                sentence = f"This command is not written so; `!help` shows how. ({str(error)[:200]})"
            case _:
                await fail(ctx, original)
                return
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
        files = (
            ([file] if file else []) if isinstance(ctx, bridge.BridgeApplicationContext) else ctx.message.attachments
        )
        request = self._bot.asking.by_command(ctx)
        if not question.strip() and not files:
            request.mark.set(State.REFUSED)
            await request.refuse(NOTHING_GIVEN["ask"])
            return
        if not await self._bot.asking.admit(request):
            return
        if files:
            # Fetching may take longer than the 3 s that Discord gives to slash commands.
            await ctx.defer()
        asked = await self._bot.asking.read(question, files)
        if asked.text:
            if asked.notes:
                await ctx.respond("\n".join(asked.notes))
            await self._bot.asking.ask(request, asked.text)
        else:
            request.mark.set(State.REFUSED)
            await request.refuse("\n".join((*asked.notes, NOTHING_GIVEN["ask"])))

    @command(description="Shows that I am alive, and what I run on")
    async def status(self, ctx: Context) -> None:
        up = asyncio.get_running_loop().time() - self._started
        latency = self._bot.latency
        lines = [
            f"Up for {duration(up)}"
            + (f"; Discord answers in {latency * 1000:.0f} ms." if latency < PLAUSIBLE_S else "."),
            f"Language model: {self._model}." if self._model else "",
            f"Conversations: {self._desk.conversations}; answers being written: {self._desk.answering}.",
        ]
        await ctx.respond("\n".join(filter(None, lines)))

    @command(description="Lists the commands")
    async def help(self, ctx: Context) -> None:
        lines = [Line(each.name, each.usage or "", each.description) for each in self._bot.walk_bridge_commands()]
        for part in split(overview(lines, PREFIX)):
            await ctx.respond(part)


def duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [f"{n} {unit}" for n, unit in ((days, "d"), (hours, "h"), (minutes, "min"), (rest, "s")) if n]
    return " ".join(parts[:2]) or "0 s"


def is_for(me: discord.ClientUser | None, message: discord.Message) -> bool:
    replied = message.reference.resolved if message.reference else None
    if me in message.mentions:
        return True
    if isinstance(replied, discord.Message) and replied.author == me:
        return True
    # Discord offers the bot's own role beside its name, and people take either.
    return message.guild is not None and message.guild.self_role in message.role_mentions


def without_mention(me: discord.ClientUser | None, message: discord.Message) -> str:
    assert me is not None  # noqa: S101 - set at log-in, before any message
    question = message.content
    role = message.guild.self_role if message.guild else None
    for mention in (f"<@{me.id}>", f"<@!{me.id}>", *([role.mention] if role else [])):
        question = question.replace(mention, "")
    return question.strip()
