"""What goes wrong while the bot comes into a voice channel, and what it says then."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest

from tests.discord.conftest import BotProcess
from tests.discord.hearing import direct, hears, outside_a_call, say, voice_bot
from tests.discord.loopback import Loopback
from tests.discord.world import OWNER

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def bot(loopback: Loopback) -> Iterator[BotProcess]:
    with voice_bot(loopback) as process:
        yield process


@pytest.fixture(autouse=True)
def quiet(loopback: Loopback, bot: BotProcess) -> Iterator[None]:
    with outside_a_call(loopback):
        yield


@pytest.mark.parametrize("stage", ["seen", "hello", "identified", "described"])
def test_thrown_out_while_joining(loopback: Loopback, bot: BotProcess, stage: str) -> None:
    """py-cord waits for ten seconds, or fails."""
    kicked = False

    async def kick(reached: str) -> None:
        nonlocal kicked
        if reached == stage and not kicked:
            kicked = True
            await loopback.gateway.move_bot(None)
            await asyncio.sleep(0.1)
            if stage != "seen":
                await loopback.voice.connection.socket.close(code=4014)

    before, began = len(loopback.messages), time.monotonic()
    loopback.voice.on_stage = kick
    loopback.say(OWNER, "!direct")
    loopback.wait_for_text("I was disconnected from the voice channel", after=before)
    assert time.monotonic() - began < 3
    # It does not come back by itself, and there is no call that goes on without a channel.
    time.sleep(0.5)
    assert loopback.voice.bot_channel is None
    before = len(loopback.messages)
    loopback.say(OWNER, "!stop")
    loopback.wait_for_text("There is no spoken conversation.", after=before)
    direct(loopback)
    hears(loopback, say(loopback, "tone 0.5"))


def test_thrown_out_while_reconnecting(loopback: Loopback, bot: BotProcess) -> None:
    direct(loopback)
    before, kicked = len(loopback.messages), False

    async def kick(reached: str) -> None:
        nonlocal kicked
        if reached == "identified" and not kicked:
            kicked = True
            await loopback.gateway.move_bot(None)

    loopback.voice.on_stage = kick
    loopback.run(loopback.voice.crash(4015))
    loopback.wait_for_text("I was disconnected from the voice channel", after=before)
    time.sleep(0.5)
    assert loopback.voice.bot_channel is None


def test_encryption_that_is_refused_in_mid_call(loopback: Loopback, bot: BotProcess) -> None:
    direct(loopback)
    before, began = len(loopback.messages), time.monotonic()
    loopback.voice.refuse_with = 4017
    loopback.run(loopback.voice.crash(4017))
    loopback.wait_for_text("Discord lets only end-to-end encrypted voice", after=before)
    assert time.monotonic() - began < 3, "it tried again and again"
    loopback.wait("that it is gone", lambda: loopback.voice.bot_channel is None)


def test_encryption_that_is_asked_for_anew_in_mid_call(loopback: Loopback, bot: BotProcess) -> None:
    direct(loopback)
    connections = len(loopback.voice.connections)
    loopback.run(loopback.voice.crash(4017))
    loopback.wait("another connection", lambda: len(loopback.voice.connections) > connections)
    loopback.wait("its keys", lambda: loopback.voice.connection.described > 0)
    time.sleep(0.3)
    assert hears(loopback, say(loopback, "tone 0.5")).encrypted
