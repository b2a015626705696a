"""Composition root of the text side: `ask` and the Discord bot. (`talk` composes the voice side.)"""

from __future__ import annotations

import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from functools import partial
from pathlib import Path

from bot.audio import devices
from bot.audio.choice import MicrophoneChoice
from bot.call import SpokenConversation
from bot.config import Settings
from bot.console import engines_table, make_console
from bot.debug_audio import DebugAudio
from bot.engines import (
    Voice,
    checked,
    loaded,
    make_brain,
    make_diagnosis,
    make_llm,
    make_shelf,
    make_voice,
    variant,
    voice_names,
)
from bot.errors import AudioDeviceError, ConfigError, MissingPackage, ModelDamaged, ModelMissing
from bot.events import Exchange, Notice, Usage
from bot.gate import ModelGate, UrgentBrain
from bot.llm.shelf import ModelShelf
from bot.lookout import Explained, Lookout
from bot.ports import Brain, Talk, ToolAgent
from bot.sentinel.sentinel import Sentinel
from bot.tools.hands import AgentHands
from bot.tools.wsl import AgentClient


async def ask(settings: Settings, question: str, model: str = "") -> int:
    """Streams the answer to stdout; everything else goes to stderr, so that the answer can be piped. `model` takes the
    place of the settings' own."""
    settings = variant(settings, model) if model else settings
    if not question.strip():
        raise ConfigError('There is no question. Ask like this: python -m bot ask "What does git rebase do?"')
    # A terminal hands on bytes that are no UTF-8 as half characters, which no tokenizer takes.
    question = question.encode("utf-8", "replace").decode()
    llm = make_llm(settings, await checked(settings))
    console = make_console()
    async with loaded([llm]), aclosing(make_brain(settings, llm).reply(question)) as items:
        async for item in items:
            if isinstance(item, Notice):
                sys.stderr.write(f"{item.text}\n")
            elif not isinstance(item, Usage):
                console.out(item, end="")
                console.file.flush()
    console.out("")
    return 0


async def run(settings: Settings, debug_audio: Path | None = None) -> int:
    """The Discord bot, until it is told to stop. `debug_audio`: a folder for the sound of the first conversation."""
    if not settings.discord.token:
        raise ConfigError(
            "DISCORD_TOKEN is not set, so there is no Discord bot to start. Put the token into .env, "
            "or talk without Discord: python -m bot talk"
        )
    from bot.chat.client import Debugging, Spoken, Tools, run_discord
    from bot.chat.failed_runs import FailedRuns
    from bot.chat.given import check

    check(settings.discord)
    console = make_console()
    sound = DebugAudio(debug_audio) if debug_audio else None
    catalogue = await checked(settings)
    llm = make_llm(settings, catalogue)
    instead = no_voice(settings)
    voice: Voice | None = None
    if not instead:
        try:
            voice = make_voice(settings, await checked(settings, voice=True))
        except (ModelMissing, ModelDamaged) as error:
            instead = str(error)
    spoken_engines = (voice.vad, voice.stt, voice.tts) if voice else ()
    async with loaded([llm, *spoken_engines]) as engines, tool_agent(settings) as agent, AsyncExitStack() as closing:
        console.print(engines_table(engines.infos, engines.seconds))
        console.print(
            f"Voice in Discord is off: {instead}" if instead else "Voice in Discord is ready.", soft_wrap=True
        )
        say = partial(console.print, soft_wrap=True)
        if sound and voice:
            say(f"The first spoken conversation will be recorded in {debug_audio}.", markup=False)
        gate = ModelGate()
        shelf = make_shelf(settings, catalogue, llm, gate)
        closing.push_async_callback(shelf.close)
        conversation = microphones = None
        if voice:
            urgent = partial(UrgentBrain, gate=gate)
            microphones = MicrophoneChoice(settings.audio.backend, settings.audio.microphone)
            names = voice_names(settings, catalogue)
            conversation = SpokenConversation(settings, voice, urgent, names, microphones, sound=sound)
        spoken = Spoken(conversation, instead, gate, microphones)
        brain, model = partial(make_written_brain, settings, shelf), engines.infos[0].name
        read_once = partial(Sentinel, time.time)
        watch = Lookout(agent, Sentinel(time.time), FailedRuns(agent), read_once) if agent else None
        if watch:
            await closing.enter_async_context(watch.watching())
        diagnosis = Explained(make_diagnosis(settings, llm), read_once)
        tools = Tools(agent, debugging=Debugging(diagnosis, [watch], watch.listen) if watch else Debugging(diagnosis))
        await run_discord(settings, brain, say, model=model, spoken=spoken, tools=tools, models=shelf)
    return 0


def make_written_brain(settings: Settings, shelf: ModelShelf, past: Sequence[Exchange], talk: Talk) -> Brain:
    return make_brain(settings, shelf.llm(talk), past)


def no_voice(settings: Settings) -> str:
    """Why this machine cannot hold a spoken conversation in Discord, as a sentence; empty when it can."""
    from bot.chat.voice_link import refusal

    if problem := refusal():
        return problem
    try:
        devices.choose(devices.inputs(settings.audio.backend), settings.audio.microphone, devices.INPUT)
    except (AudioDeviceError, MissingPackage) as error:
        return f"{error} Then start the bot again."
    return ""


@asynccontextmanager
async def tool_agent(settings: Settings) -> AsyncIterator[ToolAgent | None]:
    """None when none is set up."""
    if not settings.agent.api_key:
        yield None
        return
    client = AgentClient(settings.agent)
    try:
        yield AgentHands(client, settings.agent.distribution)
    finally:
        await client.close()
