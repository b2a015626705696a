"""The bot and the agent come and go, while something waits or runs."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from tests.agent.process import KEY, running
from tests.discord.conftest import LAUNCH, log_in
from tests.discord.loopback import Loopback
from tests.discord.world import OWNER

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="the agent is a Linux program"),
]

ALLOWED = {"ALLOWED_COMMANDS": "python3, sleep, echo"}


def test_a_request_does_not_survive_a_restart_of_the_bot_but_a_command_does(loopback: Loopback, tmp_path: Path) -> None:
    with running(tmp_path, **ALLOWED) as agent:
        settings = {"API_KEY": KEY, "PORT": str(agent.port)}
        bot = log_in(loopback, *LAUNCH, **settings)
        try:
            before = len(loopback.messages)
            loopback.say(OWNER, "!run touch after-restart")
            card = loopback.wait_for_text("wants to run this", after=before)
            approve = card.buttons["Approve"]
            second = len(loopback.messages)
            loopback.say(OWNER, "!run sleep 60")
            live = loopback.wait_for_text("Running: `sleep 60`", after=second)
            time.sleep(0.3)
            bot.signal(signal.SIGTERM)
            assert bot.wait(8) == 0, bot.output
            assert "left behind: []" in bot.lines, bot.output
        finally:
            bot.kill()
        assert "The bot is being shut down; it was not run." in card.text
        assert card.buttons == {}
        assert "The bot is being shut down. The command runs on" in live.text
        bot = log_in(loopback, *LAUNCH, **settings)
        try:
            before = len(loopback.messages)
            loopback.click_id(OWNER, card, approve)
            assert loopback.wait_for_text("has expired; the command was not run", after=before).ephemeral
            loopback.say(OWNER, "!jobs")
            assert "has been running for" in loopback.wait_for_text("`sleep 60`", after=before).text
            assert not (agent.root / "after-restart").exists()
        finally:
            bot.kill()


def test_a_bot_that_was_killed_leaves_buttons_that_do_nothing(loopback: Loopback, tmp_path: Path) -> None:
    with running(tmp_path, **ALLOWED) as agent:
        settings = {"API_KEY": KEY, "PORT": str(agent.port)}
        bot = log_in(loopback, *LAUNCH, **settings)
        try:
            before = len(loopback.messages)
            loopback.say(OWNER, "!run touch after-kill")
            card = loopback.wait_for_text("wants to run this", after=before)
        finally:
            bot.kill()
        bot = log_in(loopback, *LAUNCH, **settings)
        try:
            assert set(card.buttons) == {"Approve", "Deny"}
            before = len(loopback.messages)
            loopback.click(OWNER, card, "Approve")
            loopback.wait_for_text("has expired; the command was not run", after=before)
            time.sleep(0.3)
            assert not (agent.root / "after-kill").exists()
        finally:
            bot.kill()


def test_the_agent_dies_and_returns(loopback: Loopback, tmp_path: Path) -> None:
    with running(tmp_path, **ALLOWED) as agent:
        port = agent.port
        (agent.root / "a.txt").write_text("hello there\n", encoding="utf-8")
        bot = log_in(loopback, *LAUNCH, API_KEY=KEY, PORT=str(port))
        try:
            before = len(loopback.messages)
            loopback.say(OWNER, "!changes")
            loopback.wait_for_text("Nothing has changed", after=before)
            before = len(loopback.messages)
            loopback.say(OWNER, "!run python3 -c 'import time; print(\"first\", flush=True); time.sleep(60)'")
            live = loopback.wait_for_text("\nfirst\n", after=before)
            os.kill(agent.process.pid, signal.SIGKILL)
            agent.process.wait(5)
            before = len(loopback.messages)
            loopback.say(OWNER, "!read a.txt")
            said = loopback.wait_for_text("agent", after=before)
            assert str(port) in said.text
        except BaseException:
            bot.kill()
            raise
    with running(tmp_path, port, **ALLOWED):
        try:
            loopback.wait("the end of the command", lambda: "The agent was restarted" in live.text, 40)
            assert "first" in live.text
            before = len(loopback.messages)
            loopback.say(OWNER, "!read a.txt")
            loopback.wait_for_text("hello there", 20, after=before)
            loopback.say(OWNER, "!changes")
            loopback.wait_for_text("The agent was restarted in between", after=before)
            assert "Traceback" not in bot.output
        finally:
            bot.kill()
