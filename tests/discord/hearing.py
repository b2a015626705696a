"""What the tests of the bot's voice do in Discord, and what they hear there."""

from __future__ import annotations

import time

from tests.discord.listener import Heard
from tests.discord.loopback import Loopback
from tests.discord.world import OWNER


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
