"""The bot's life: log-in, until it is told to stop. The only module of this room that `app` needs."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING

from bot.chat.approvals import APPROVAL_S
from bot.chat.conversations import Conversations
from bot.chat.given import check
from bot.chat.history import History
from bot.chat.model_choice import ModelChoice
from bot.chat.remembered import RememberedBrain
from bot.chat.text import TextDesk
from bot.chat.voice import VoiceDesk
from bot.config import Settings
from bot.errors import DiscordError, MissingPackage
from bot.events import Exchange
from bot.findings import Finding
from bot.masking import Mask
from bot.ports import Brain, Conversation, Diagnosis, Findings, Microphones, Models, Talk, ToolAgent
from bot.worker import Worker

if TYPE_CHECKING:
    from bot.chat.commands import SidetoneBot

log = logging.getLogger(__name__)

READY_LIMIT_S = 60.0
"""From the log-in until Discord has described the servers."""
ANSWERS_LIMIT_S = 1.8
"""At the end, for the answers being written to show their last text."""
MARKS_LIMIT_S = 0.3
"""At the end, for the reactions."""
CLOSE_LIMIT_S = 0.8
"""At the end, for the connection to be closed politely."""
TLS_REST_S = 0.25


@dataclass(frozen=True, slots=True)
class Spoken:
    """What the bot can do in voice channels."""

    conversation: Conversation | None = None
    instead: str = "This bot was started without a voice."
    """Why there is no conversation, as a sentence for users."""
    gate: asyncio.Lock | None = None
    """Held by written answers; spoken ones go first."""
    microphones: Microphones | None = None


TEXT_ONLY = Spoken()


@dataclass(frozen=True, slots=True)
class Debugging:
    """What `!debug` works with."""

    diagnosis: Diagnosis
    findings: Sequence[Findings] = ()
    """Asked in this order for what failed last; the first that knows of something is taken."""
    listen: Callable[[Callable[[Finding], None]], None] | None = None
    """Takes who is told of each new error in a watched log."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What the bot can do through the tool agent."""

    agent: ToolAgent | None = None
    """Without one, the commands that need it say how to set it up."""
    approval_s: float = APPROVAL_S
    """How long a request for approval lives."""
    debugging: Debugging | None = None
    """Without it there is no `!debug`."""


NO_TOOLS = Tools()


async def run_discord(
    settings: Settings,
    make_brain: Callable[[Sequence[Exchange], Talk], Brain],
    ready: Callable[[str], None],
    *,
    model: str = "",
    spoken: Spoken = TEXT_ONLY,
    tools: Tools = NO_TOOLS,
    models: Models | None = None,
) -> None:
    """Returns after SIGINT or SIGTERM. `ready` gets one line for people at the first log-in; `model` is named in
    `!status`. Raises DiscordError, ConfigError, MissingPackage."""
    _expect_library()
    from bot.chat.commands import SidetoneBot
    from bot.chat.debug_command import DebugCommand
    from bot.chat.history_commands import HistoryCommands
    from bot.chat.latency_commands import LatencyCommands
    from bot.chat.microphone_commands import MicrophoneCommands
    from bot.chat.model_commands import ModelCommands
    from bot.chat.outlet import Marker
    from bot.chat.safe_rest import guard
    from bot.chat.tool_desk import ToolDesk

    check(settings.discord)
    stop = asyncio.Event()
    failure: DiscordError | None = None
    async with asyncio.TaskGroup() as tasks:
        history = History(settings.discord.history, tasks)
        choice = ModelChoice(models, history) if models else None
        talks = Conversations(partial(RememberedBrain, make_brain, history, choice))
        desk = TextDesk(talks.view, tasks, spoken.gate)
        calls = VoiceDesk(spoken.conversation, spoken.instead, tasks, settings.discord.voice_idle_s, talks.view)
        marker = Marker(tasks)
        bot = SidetoneBot(settings.discord, desk, calls, model, marker)
        drawing = Worker("pictures")
        guard(bot, Mask(settings.secrets))
        bot.add_cog(HistoryCommands(desk, history, talks))
        bot.add_cog(MicrophoneCommands(spoken.microphones, spoken.instead))
        bot.add_cog(LatencyCommands(calls.turns, drawing))
        if tools.debugging:
            bot.add_cog(DebugCommand(bot.asking, tools.debugging))
        if models and choice:
            bot.add_cog(ModelCommands(models, choice))
        runs = ToolDesk(bot, tools, tasks, settings.discord)
        try:
            with _stopping_signals(stop):
                if problem := await history.problem():
                    ready(problem)
                failure = await _serve(bot, settings.discord.token, ready, stop, tasks)
                await calls.close()
                await asyncio.gather(desk.close(ANSWERS_LIMIT_S), runs.close(ANSWERS_LIMIT_S))
                await marker.close(MARKS_LIMIT_S)
        finally:
            await _close(bot)
            await history.close()
            drawing.close()
    if failure is not None:
        raise failure


def _expect_library() -> None:
    """Raises MissingPackage."""
    try:
        import discord.ext.bridge  # noqa: F401
    except ImportError as error:
        raise MissingPackage(
            f"The Discord library does not load ({error}). Install it with: pip install "
            '"py-cord[voice]>=2.8.1,<2.9"; the package discord.py must not be installed beside it.'
        ) from error


async def _serve(
    bot: SidetoneBot, token: str, ready: Callable[[str], None], stop: asyncio.Event, tasks: asyncio.TaskGroup
) -> DiscordError | None:
    """Returns when the bot is to stop, with the reason when it is not the user's wish."""
    connection = tasks.create_task(_connect(bot, token))
    stopping = tasks.create_task(stop.wait())
    logged_in = tasks.create_task(bot.logged_in.wait())
    try:
        first = asyncio.FIRST_COMPLETED
        await asyncio.wait((connection, stopping, logged_in), timeout=READY_LIMIT_S, return_when=first)
        if logged_in.done():
            ready(_welcome(bot))
            await asyncio.wait((connection, stopping), return_when=first)
        if stop.is_set():
            return None
        if connection.done():
            return connection.result()
    finally:
        for task in (connection, stopping, logged_in):
            task.cancel()
        await asyncio.wait((connection, stopping, logged_in))
    return DiscordError(
        f"Discord accepted the token but did not let the bot in within {READY_LIMIT_S:.0f} s. See "
        "https://discordstatus.com, then start again."
    )


async def _connect(bot: SidetoneBot, token: str) -> DiscordError | None:
    """Runs until the bot is closed; returns why it ended when that was not asked for."""
    from bot.chat.failures import EXPECTED, explain

    try:
        await bot.start(token)
    except EXPECTED as error:
        return explain(error, proxy=bool(bot.http.proxy))
    return None


def _welcome(bot: SidetoneBot) -> str:
    from bot.chat.invitation import link

    servers = len(bot.guilds)
    if servers:
        return f"Logged in to Discord as {bot.user}, in {servers} server{'s' * (servers > 1)}. Write !help there."
    invite = link(bot.application_id or 0)
    return f"Logged in to Discord as {bot.user}, but in no server yet. Invite the bot: {invite}"


async def _close(bot: SidetoneBot) -> None:
    """`Bot.close` alone would cut the gateway's connection before it says goodbye."""
    try:
        async with asyncio.timeout(CLOSE_LIMIT_S):
            if bot.ws is not None and bot.ws.open:
                await bot.ws.close(code=1000)
    except TimeoutError:
        log.info("Discord did not confirm the end of the connection")
    await bot.close()
    # aiohttp's documented rest for TLS connections: their end takes a few more rounds of the loop.
    await asyncio.sleep(TLS_REST_S)


@contextmanager
def _stopping_signals(stop: asyncio.Event) -> Iterator[None]:
    """The first signal asks for an orderly stop; a second one works as it did before."""
    loop = asyncio.get_running_loop()
    names = ("SIGINT", "SIGTERM", "SIGBREAK")
    before = {number: signal.getsignal(number) for name in names if (number := getattr(signal, name, None))}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def asked(number: int, frame: FrameType | None) -> None:
        restore()
        loop.call_soon_threadsafe(stop.set)

    # Not `loop.add_signal_handler`: Windows does not have it.
    for number in before:
        signal.signal(number, asked)
    try:
        yield
    finally:
        restore()
