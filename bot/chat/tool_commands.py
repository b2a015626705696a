"""The commands that go through the tool agent, as `!x` and `/x`. Imports py-cord."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import discord
from discord.ext import bridge, commands

from bot.chat import showing
from bot.chat.approval_card import DiscordAsker
from bot.chat.bridging import Context, command, option
from bot.chat.command_line import CommandTextError, parse
from bot.chat.marks import Mark, State
from bot.chat.noticeboard import Noticeboard
from bot.chat.outlet import DiscordOutlet, Marker
from bot.chat.people import People
from bot.chat.rendering import Rendered
from bot.chat.running import RunDesk, Wish
from bot.errors import AgentError
from bot.ports import ToolAgent

log = logging.getLogger(__name__)

LINES = 2000
"""Of a file that are asked for when nobody says how many; the page's own limits come on top."""
CURSORS = 1000
"""Users and channels whose last look at the changes is remembered."""
NO_AGENT = (
    "The tool agent is not set up: start `python -m agent_wsl` with an API_KEY and ALLOWED_DIRECTORIES, put the same "
    'API_KEY into my .env, and start me again. The README has the lines under "The agent".'
)
NO_JOB = "You have no such command. !jobs lists yours, ended ones for an hour."
NOT_WATCHED = "That is not watched. !watches lists what is."
LONGEST_ID = 40
"""Characters that the agent takes; the same below."""
LONGEST_PATTERN = 1000
ARGUMENT = {
    "read": "Which file? `!read src/app.py`, `!read src/app.py:40-80`",
    "find": "What are you looking for? `!find TODO`, or `!find /def \\w+_test/` for a regular expression.",
    "watch": "What shall be watched? `!watch src` or `!watch logs/server.log`",
    "unwatch": "Which one? `!watches` lists them.",
    "run": "There is no command. Write it after the name: `!run git status`",
    "kill": "Which one? `!jobs` lists them.",
}


@dataclass(frozen=True, slots=True)
class Hands:
    """What these commands work with."""

    agent: ToolAgent
    runs: RunDesk


Answer = Rendered | str


class ToolCommands(commands.Cog):
    def __init__(self, hands: Hands | None, marker: Marker, people: People, board: Noticeboard | None = None) -> None:
        self._hands = hands
        self._board = board
        self._marker = marker
        self._people = people
        self._cursors: OrderedDict[tuple[int, int], str] = OrderedDict()

    @command(description="Shows a file, or some lines of it", usage="PATH[:LINES]")
    @option("path", str, description="src/app.py, src/app.py:40-80, src/app.py:40-")
    async def read(self, ctx: Context, *, path: str = "") -> None:
        async def answer(hands: Hands, user: str) -> Answer:
            name, first, lines = showing.asked_lines(path)
            return showing.page(await hands.agent.read(user, name, first, lines or LINES))

        await self._answer(ctx, path, answer, file_name=showing.file_name(path))

    @command(description="Searches the files for a text, or for a /regular expression/", usage="PATTERN")
    @option("pattern", str, description="A text, or /a regular expression/")
    async def find(self, ctx: Context, *, pattern: str = "") -> None:
        async def answer(hands: Hands, user: str) -> Answer:
            wanted, regex = showing.asked_pattern(pattern)
            if len(wanted) > LONGEST_PATTERN:
                raise AgentError(f"This pattern is too long; {LONGEST_PATTERN} characters are the limit.", "denied")
            return showing.hits(await hands.agent.find(user, wanted, regex=regex), pattern)

        await self._answer(ctx, pattern, answer, file_name="hits.txt")

    @command(description="Watches a directory, or the new lines of a log file", usage="DIR|FILE")
    @option("path", str, description="A directory or a log file")
    async def watch(self, ctx: Context, *, path: str = "") -> None:
        async def answer(hands: Hands, user: str) -> Answer:
            watched = await hands.agent.watch(user, path.strip())
            if self._board is None:
                return f"Watching {showing.watched(watched)}. `!changes` shows what happens there."
            if isinstance(ctx.channel, discord.abc.Messageable):
                self._board.place = ctx.channel
            return f"Watching {showing.watched(watched)}. New errors in logs are shown here; `!changes` shows the rest."

        await self._answer(ctx, path, answer)

    @command(description="Ends watching", usage="DIR|FILE")
    @option("path", str, description="As `watches` shows it")
    async def unwatch(self, ctx: Context, *, path: str = "") -> None:
        async def answer(hands: Hands, user: str) -> Answer:
            try:
                await hands.agent.unwatch(user, path.strip())
            except AgentError as error:
                if error.reason != "not_found":
                    raise
                raise AgentError(NOT_WATCHED, error.reason) from error
            return f"{showing.inline(path.strip())} is not watched any more."

        await self._answer(ctx, path, answer)

    @command(description="Lists what is watched")
    async def watches(self, ctx: Context) -> None:
        async def answer(hands: Hands, user: str) -> Answer:
            return showing.watches(await hands.agent.watches(user))

        await self._answer(ctx, None, answer)

    @command(description="Shows what changed since you last asked here")
    async def changes(self, ctx: Context) -> None:
        key = (_channel(ctx), ctx.author.id)

        async def answer(hands: Hands, user: str) -> Answer:
            found = await hands.agent.changes(user, self._cursors.get(key, ""))
            self._cursors[key] = found.cursor
            self._cursors.move_to_end(key)
            while len(self._cursors) > CURSORS:
                self._cursors.popitem(last=False)
            return showing.changes(found)

        await self._answer(ctx, None, answer, file_name="changes.txt")

    @command(description="Runs a command in the sandbox, once somebody has approved it", usage="COMMAND")
    @option("line", str, description="What you would type in a terminal")
    async def run(self, ctx: Context, *, line: str = "") -> None:
        mark = self._mark(ctx)
        refused = self._people.no_runner(ctx.author, ctx.guild)
        if refused or not line.strip() or self._hands is None:
            mark.set(State.REFUSED)
            sentence = NO_AGENT if self._hands is None else refused or ARGUMENT["run"]
            await ctx.respond(sentence, ephemeral=True)
            return
        try:
            wanted = parse(line)
        except CommandTextError as error:
            mark.set(State.REFUSED)
            await ctx.respond(str(error), ephemeral=True)
            return
        mark.set(State.WORKING)
        if isinstance(ctx, bridge.BridgeApplicationContext):
            await ctx.defer()
            origin, text = 0, ""
        else:
            origin, text = ctx.message.id, ctx.message.content
        outlet = DiscordOutlet(ctx.respond, ctx.send)
        asker = DiscordAsker(ctx.respond, ctx.guild.id if ctx.guild else 0)
        self._hands.runs.start(Wish(ctx.author.id, wanted, origin, text, outlet, asker, mark))

    @command(description="Lists your commands, running and ended")
    async def jobs(self, ctx: Context) -> None:
        async def answer(hands: Hands, user: str) -> Answer:
            return showing.jobs(await hands.agent.jobs(user))

        await self._answer(ctx, None, answer)

    @command(description="Ends one of your commands", usage="ID")
    @option("job", str, description="As `jobs` shows it")
    async def kill(self, ctx: Context, *, job: str = "") -> None:
        async def answer(hands: Hands, user: str) -> Answer:
            if len(job.strip()) > LONGEST_ID:
                raise AgentError(NO_JOB, "not_found")
            try:
                killed = await hands.agent.kill(user, job.strip())
            except AgentError as error:
                if error.reason != "not_found":
                    raise
                raise AgentError(NO_JOB, error.reason) from error
            how = showing.ending(killed) if killed.state == "done" else "is being ended"
            return f"{showing.inline(killed.job_id)} {how}."

        await self._answer(ctx, job, answer)

    async def _answer(
        self,
        ctx: Context,
        argument: str | None,
        answer: Callable[[Hands, str], Awaitable[Answer]],
        file_name: str = "answer.txt",
    ) -> None:
        """`argument` is None for commands that take none."""
        mark = self._mark(ctx)
        if self._hands is None or (argument is not None and not argument.strip()):
            mark.set(State.REFUSED)
            sentence = NO_AGENT if self._hands is None else ARGUMENT[ctx.command.name if ctx.command else ""]
            await ctx.respond(sentence, ephemeral=True)
            return
        mark.set(State.WORKING)
        if isinstance(ctx, bridge.BridgeApplicationContext):
            # An answer that may take longer than the 3 s that Discord gives.
            await ctx.defer()
        try:
            shown = await answer(self._hands, str(ctx.author.id))
        except AgentError as error:
            log.warning("%s was not done by the agent: %s", ctx.command, error.reason)
            mark.set(State.REFUSED if error.reason == "denied" else State.FAILED)
            await ctx.respond(showing.failure(error))
            return
        outlet = DiscordOutlet(ctx.respond, ctx.send)
        rendered = shown if isinstance(shown, Rendered) else Rendered((shown,))
        for part in rendered.parts[:-1]:
            await outlet.post(part)
        await outlet.post(rendered.parts[-1], rendered.file, file_name)
        mark.set(State.DONE)

    def _mark(self, ctx: Context) -> Mark:
        return self._marker.of(None if isinstance(ctx, bridge.BridgeApplicationContext) else ctx.message)


def _channel(ctx: Context) -> int:
    return (ctx.channel_id or 0) if isinstance(ctx, bridge.BridgeApplicationContext) else ctx.message.channel.id
