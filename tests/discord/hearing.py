"""What the tests of the bot's voice do in Discord, and what they hear there."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.discord import world
from tests.discord.conftest import LAUNCH, BotProcess, log_in
from tests.discord.listener import Heard
from tests.discord.loopback import Loopback
from tests.discord.network import VOICE_HOSTS
from tests.discord.world import OWNER, VOICE

UNTIDY = ("Traceback", "ResourceWarning", "never retrieved", "was destroyed", "Unclosed")


@contextmanager
def voice_bot(loopback: Loopback, **environment: str) -> Iterator[BotProcess]:
    """A bot with a scripted conversation; at the end its output must be tidy and without secrets."""
    loopback.voice.present = {OWNER: VOICE}
    process = log_in(loopback, *LAUNCH, "--voice", **environment)
    try:
        yield process
        assert process.running
        sent = [payload for shown in loopback.messages for payload in shown.payloads]
        assert all(payload["allowed_mentions"]["parse"] == [] for payload in sent)
        assert not any(word in process.output for word in (*UNTIDY, world.TOKEN)), process.output
        # The voice token is as secret as the other.
        assert loopback.voice.expected.get("token", world.TOKEN) not in process.output
    finally:
        process.kill()


@contextmanager
def outside_a_call(loopback: Loopback) -> Iterator[None]:
    """Begins outside the voice channel, with its owner in it, and ends so."""
    loopback.voice.present = {OWNER: VOICE}
    loopback.move(OWNER, VOICE)
    loopback.voice.dave, loopback.voice.refuse_with = True, 0
    loopback.gateway.region = VOICE_HOSTS[0]
    yield
    if loopback.voice.bot_channel is not None:
        stop(loopback)


def stop(loopback: Loopback) -> None:
    """Returns when the bot knows that the call is over, which is a moment after it has left the channel."""
    before = len(loopback.messages)
    loopback.say(OWNER, "!stop")
    over = ("I have left the voice channel.", "There is no spoken conversation.")
    loopback.wait("the end of the call", lambda: any(each.text.startswith(over) for each in loopback.messages[before:]))
    assert loopback.voice.bot_channel is None


def direct(loopback: Loopback, limit_s: float = 5.0) -> float:
    """Seconds until the card is there."""
    before, began = len(loopback.messages), time.monotonic()
    loopback.say(OWNER, "!direct")
    loopback.wait_for_text("Speak now", limit_s, before)
    return time.monotonic() - began


def audible(loopback: Loopback, since: float = 0.0) -> list[Heard]:
    return [each for each in loopback.voice.heard if each.audible and each.at >= since]


def say(loopback: Loopback, text: str) -> float:
    began = time.monotonic()
    loopback.say(OWNER, f"!say {text}")
    return began


def hears(loopback: Loopback, since: float, limit_s: float = 5.0) -> Heard:
    return loopback.wait("sound", lambda: next(iter(audible(loopback, since)), None), limit_s)
