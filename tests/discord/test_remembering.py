"""Conversations over the end of the bot's process, and without a disk that wants them."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from tests.discord.conftest import LAUNCH, log_in
from tests.discord.loopback import Loopback
from tests.discord.world import OTHER_CHANNEL, OWNER

pytestmark = pytest.mark.slow


def said(loopback: Loopback, text: str, expected: str, channel: int | None = None) -> str:
    # Discord shows an answer a moment before the bot knows that it does.
    time.sleep(0.5)
    before = len(loopback.messages)
    loopback.say(OWNER, text, *([channel] if channel else []))
    return loopback.wait_for_text(expected, after=before).text


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot send these signals to another process")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGKILL"])
def test_a_conversation_survives_the_bot(loopback: Loopback, tmp_path: Path, name: str) -> None:
    file = tmp_path / "c.db"
    bot = log_in(loopback, *LAUNCH, DISCORD_HISTORY=str(file))
    try:
        said(loopback, "!ask first thing", "Asked: first thing. Answered: 0.")
        said(loopback, "!ask elsewhere", "Asked: elsewhere. Answered: 0.", OTHER_CHANNEL)
        loopback.wait("it to be on disk", lambda: b"elsewhere" in b"".join(f.read_bytes() for f in tmp_path.iterdir()))
        bot.signal(getattr(signal, name))
        bot.wait(8)
        assert name == "SIGKILL" or "left behind: []" in bot.lines, bot.output
    finally:
        bot.kill()
    bot = log_in(loopback, *LAUNCH, DISCORD_HISTORY=str(file))
    try:
        said(loopback, "!ask second thing", "Asked: first thing | second thing. Answered: 1.")
        assert "You: first thing\n" in said(loopback, "!history", "What we said here:")
        before = len(loopback.messages)
        loopback.slash(OWNER, "history")
        loopback.wait_for_text("You: second thing", after=before)
        loopback.slash(OWNER, "clear")
        loopback.wait_for_text("Forgotten. 2 questions and answers are removed from the disk.", after=before)
        content = b"".join(each.read_bytes() for each in tmp_path.iterdir())
        assert b"first thing" not in content
        assert b"elsewhere" in content
        said(loopback, "!history", "We have not talked here yet.")
        said(loopback, "!ask third thing", "Asked: third thing. Answered: 0.")
        said(loopback, "!clear", "Forgotten. 1 question and answers", None)
        assert "Traceback" not in bot.output
    finally:
        bot.kill()


def test_a_damaged_file_is_said_and_the_bot_lives_on(loopback: Loopback, tmp_path: Path) -> None:
    file = tmp_path / "c.db"
    file.write_bytes(b"no database" * 1000)
    bot = log_in(loopback, *LAUNCH, DISCORD_HISTORY=str(file))
    try:
        assert f"Conversations cannot be kept: {file} is damaged." in bot.output
        said(loopback, "!ask one", "Asked: one. Answered: 0.")
        said(loopback, "!ask two", "Asked: one | two. Answered: 1.")
        said(loopback, "!history", "is damaged. Move it away, and a new one is begun.")
        said(loopback, "!clear", "I have forgotten it, but it may still be on disk.")
        said(loopback, "!ask three", "Asked: three. Answered: 0.")
        assert file.read_bytes() == b"no database" * 1000
    finally:
        bot.kill()


def test_off_is_said(loopback: Loopback) -> None:
    bot = log_in(loopback)
    try:
        said(loopback, "!history", "Conversations are not kept on disk here")
        said(loopback, "!clear", "Forgotten.")
    finally:
        bot.kill()
