"""`python -m bot` itself, with the embedded language model, from log-in to an answer in Discord."""

from __future__ import annotations

import os
import signal

import pytest

from tests.discord.conftest import PROJECT, log_in
from tests.discord.loopback import Loopback
from tests.discord.world import BOT, OWNER, TOKEN

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not list((PROJECT / "models").glob("llm/*.gguf")), reason="python -m bot models fetch"),
]


def test_the_product_answers(loopback: Loopback) -> None:
    bot = log_in(loopback, "-m", "bot", limit_s=60, MODEL_PROFILE="embedded", LLM_MAX_TOKENS="60")
    try:
        loopback.say(OWNER, f"<@{BOT}> Which git command shows the history of commits?")
        answer = loopback.wait_for_text("git log", 60)
        assert answer is loopback.messages[0]
        loopback.say(OWNER, "!status")
        loopback.wait_for_text("Conversations: 1;")
        if os.name != "nt":
            bot.signal(signal.SIGTERM)
            assert bot.wait(10) == 0, bot.output
    finally:
        bot.kill()
    assert TOKEN not in bot.output
    assert "Traceback" not in bot.output
