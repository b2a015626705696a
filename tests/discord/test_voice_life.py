"""Whole lives of the bot with voice: what is left behind, and how calls end by themselves."""

from __future__ import annotations

import os
import signal
import time

import pytest

from tests.discord.conftest import LAUNCH, log_in
from tests.discord.hearing import direct
from tests.discord.loopback import Loopback
from tests.discord.world import OWNER, VOICE

pytestmark = pytest.mark.slow


def test_ten_calls_leave_nothing_behind(loopback: Loopback) -> None:
    loopback.voice.present = {OWNER: VOICE}
    process = log_in(loopback, *LAUNCH, "--voice")
    try:
        counts = []
        for _ in range(10):
            direct(loopback)
            before = len(loopback.messages)
            loopback.say(OWNER, "!stop")
            loopback.wait_for_text("I have left the voice channel.", after=before)
            time.sleep(0.3)
            counts.append((process.threads(), process.sockets()))
        assert all(last <= second for last, second in zip(counts[-1], counts[1], strict=True)), counts
        if os.name != "nt":
            process.signal(signal.SIGTERM)
            assert process.wait(10) == 0
            assert "left behind: []" in process.lines, process.output
    finally:
        process.kill()


def test_silence_ends_the_call(loopback: Loopback) -> None:
    loopback.voice.present = {OWNER: VOICE}
    process = log_in(loopback, *LAUNCH, "--voice", DISCORD_VOICE_IDLE_MIN="0.05")
    try:
        before = len(loopback.messages)
        direct(loopback)
        loopback.wait_for_text("Nobody has said anything for 0.05 minutes", after=before)
        loopback.wait("that it is gone", lambda: loopback.voice.bot_channel is None)
    finally:
        process.kill()
