"""`!model` in the product: from a server elsewhere (a scripted endpoint) to the embedded model, over a restart."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.brain.endpoint import Answer, openai_text, serving
from tests.discord.conftest import PROJECT, log_in
from tests.discord.loopback import Loopback
from tests.discord.world import OWNER

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not list((PROJECT / "models").glob("llm/*.gguf")), reason="python -m bot models fetch"),
]
KEY = "sk-of-the-test-98765"


@contextmanager
def elsewhere() -> Iterator[str]:
    """The address of an endpoint in a thread of its own."""
    ready, stop, found = threading.Event(), asyncio.Event(), []

    async def serve() -> None:
        async with serving([Answer(events=openai_text("From ", "elsewhere."))]) as endpoint:
            found.extend((endpoint.address, asyncio.get_running_loop()))
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert ready.wait(10)
    try:
        yield found[0]
    finally:
        found[1].call_soon_threadsafe(stop.set)
        thread.join(10)


def test_a_conversation_changes_its_model(loopback: Loopback, tmp_path: Path) -> None:
    with elsewhere() as address:
        settings = {
            "MODEL_PROFILE": "embedded",
            "LLM_PROVIDER": "openai",
            "LLM_MODEL": "m1",
            "LLM_MAX_TOKENS": "40",
            "OPENAI_BASE_URL": address,
            "OPENAI_API_KEY": KEY,
            "DISCORD_HISTORY": str(tmp_path / "c.db"),
        }
        bot = log_in(loopback, "-m", "bot", limit_s=60, **settings)
        try:
            loopback.say(OWNER, "!ask Where are you?")
            loopback.wait_for_text("From elsewhere.", 20)
            before = len(loopback.messages)
            loopback.say(OWNER, "!model")
            shown = loopback.wait_for_text("Language models at hand", 20, after=before).text
            assert "▸ `openai:m1` (elsewhere)" in shown
            assert "· `qwen2.5-coder-0.5b` (not loaded)" in shown
            loopback.say(OWNER, "!model gpt-9")
            loopback.wait_for_text('"gpt-9" is not at hand. There are: openai:m1', 20, after=before)
            loopback.slash(OWNER, "model", name="qwen2.5-coder-0.5b")
            loopback.wait_for_text("I am loading `qwen2.5-coder-0.5b`", 20, after=before)
            loopback.wait_for_text("From the next question on I think with `qwen2.5-coder-0.5b`", 60, after=before)
            loopback.say(OWNER, "!ask Which git command shows the history of commits?")
            loopback.wait_for_text("git log", 60, after=before)
        finally:
            bot.kill()
        assert KEY not in bot.output
        assert "Traceback" not in bot.output
        bot = log_in(loopback, "-m", "bot", limit_s=60, **settings)
        try:
            before = len(loopback.messages)
            loopback.say(OWNER, "!ask Which git command makes a branch?")
            loopback.wait_for_text("git ", 90, after=before)
            loopback.say(OWNER, "!model")
            loopback.wait_for_text("▸ `qwen2.5-coder-0.5b`", 20, after=before)
        finally:
            bot.kill()
