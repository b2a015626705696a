"""Answers while the connection to Discord breaks, and while Discord lets few edits through."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.discord.conftest import BotProcess, log_in
from tests.discord.loopback import Loopback
from tests.discord.rest import Shown
from tests.discord.world import OWNER

pytestmark = pytest.mark.slow

RESUMED = {"closed": 4000, "cut": None}


@pytest.fixture(scope="module")
def bot(loopback: Loopback) -> Iterator[BotProcess]:
    process = log_in(loopback)
    yield process
    process.kill()
    assert "a defect in" not in process.output
    assert "Traceback" not in process.output


def begun(loopback: Loopback, words: int) -> tuple[int, Shown]:
    before = len(loopback.messages)
    loopback.say(OWNER, f"!ask slowly {words}")
    return before, loopback.wait_for_text("word3", after=before)


def whole(loopback: Loopback, shown: Shown, words: int) -> None:
    loopback.wait("the end of the answer", lambda: shown.text.endswith("the end."))
    assert shown.text.split() == [*(f"word{n}" for n in range(words)), "the", "end."]


@pytest.mark.parametrize("how", RESUMED)
def test_a_session_is_resumed_in_mid_answer_and_nothing_is_lost_or_done_twice(
    loopback: Loopback, bot: BotProcess, how: str
) -> None:
    resumed, identified = loopback.gateway.resumed, len(loopback.gateway.identified)
    before, shown = begun(loopback, 30)
    loopback.run(loopback.gateway.hang_up(RESUMED[how]))
    loopback.say(OWNER, "!status")
    loopback.wait("the resumption", lambda: loopback.gateway.resumed == resumed + 1)
    loopback.wait_for_text("Up for", after=before)
    whole(loopback, shown, 30)
    assert len(loopback.messages) == before + 2, "something was answered twice"
    assert len(loopback.gateway.identified) == identified


def test_a_session_that_discord_has_forgotten_begins_anew_in_mid_answer(loopback: Loopback, bot: BotProcess) -> None:
    identified = len(loopback.gateway.identified)
    before, shown = begun(loopback, 30)
    loopback.gateway.forgetful = True
    loopback.run(loopback.gateway.ask_to_reconnect())
    loopback.wait("the new session", lambda: len(loopback.gateway.identified) == identified + 1, 20)
    whole(loopback, shown, 30)
    loopback.wait("the channel", lambda: bot.output.count("Logged in to Discord") == 1)
    time.sleep(0.5)
    loopback.say(OWNER, "!status")
    loopback.wait_for_text("Conversations: 1;", after=before)


def test_few_edits_hold_up_neither_the_model_nor_anything_else(loopback: Loopback, bot: BotProcess) -> None:
    """Discord's own way: it says in each answer how many are left."""
    finished = bot.output.count("model finished slowly 70")
    loopback.rest.edits_allowed = (2, 5.0)
    try:
        began = time.monotonic()
        before, shown = begun(loopback, 70)
        loopback.wait("the model's end", lambda: bot.output.count("model finished slowly 70") > finished)
        took = time.monotonic() - began
        assert took < 7, "the model waited for Discord"
        assert len(shown.texts) <= 4, "the limit did not bite"
        loopback.say(OWNER, "!status")
        loopback.wait_for_text("Up for", 2.0, before)
        whole(loopback, shown, 70)
        assert loopback.rest.edits_refused == 0, "the bot went on until Discord refused"
    finally:
        loopback.rest.edits_allowed = None
