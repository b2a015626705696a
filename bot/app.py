"""Composition root of the text side: `ask` and the Discord bot. (`talk` composes the voice side.)"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from functools import partial

from bot.config import Settings
from bot.console import make_console
from bot.engines import checked, loaded, make_brain, make_llm
from bot.errors import ConfigError
from bot.events import Usage
from bot.ports import ToolAgent
from bot.tools.hands import AgentHands
from bot.tools.wsl import AgentClient


async def ask(settings: Settings, question: str) -> int:
    """Streams the answer to stdout; everything else goes to stderr, so that the answer can be piped."""
    if not question.strip():
        raise ConfigError('There is no question. Ask like this: python -m bot ask "What does git rebase do?"')
    # A terminal hands on bytes that are no UTF-8 as half characters, which no tokenizer takes.
    question = question.encode("utf-8", "replace").decode()
    llm = make_llm(settings, await checked(settings))
    console = make_console()
    async with loaded([llm]), aclosing(make_brain(settings, llm).reply(question)) as items:
        async for item in items:
            if not isinstance(item, Usage):
                console.out(item, end="")
                console.file.flush()
    console.out("")
    return 0


async def run(settings: Settings) -> int:
    """The Discord bot, until it is told to stop."""
    if not settings.discord.token:
        raise ConfigError(
            "DISCORD_TOKEN is not set, so there is no Discord bot to start. Put the token into .env, "
            "or talk without Discord: python -m bot talk"
        )
    from bot.chat.client import Tools, run_discord

    console = make_console()
    llm = make_llm(settings, await checked(settings))
    async with loaded([llm]) as engines, tool_agent(settings) as agent:
        console.print(f"{engines.infos[0].name} is loaded ({engines.seconds:.1f} s). Logging in to Discord ...")
        say = partial(console.print, soft_wrap=True)
        brain = partial(make_brain, settings, llm)
        await run_discord(settings, brain, say, model=engines.infos[0].name, tools=Tools(agent))
    return 0


@asynccontextmanager
async def tool_agent(settings: Settings) -> AsyncIterator[ToolAgent | None]:
    """None when none is set up."""
    if not settings.agent.api_key:
        yield None
        return
    client = AgentClient(settings.agent)
    try:
        yield AgentHands(client)
    finally:
        await client.close()
