"""Who may do what, in both forms of every command; how often; seen from the other side of Discord."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest

from tests.discord.conftest import BotProcess, log_in
from tests.discord.loopback import Loopback
from tests.discord.world import APPROVER_ROLE, BOT, BOT_ROLE, FRIEND, OWNER, STRANGER

pytestmark = pytest.mark.slow

ARGUMENTS: dict[str, dict[str, str]] = {"ask": {"question": "Why?"}, "say": {"text": "Hello."}}
"""Of the commands that Discord does not take without."""
LIMIT = 4


@pytest.fixture(scope="module")
def bot(loopback: Loopback) -> Iterator[BotProcess]:
    """Lets one role talk."""
    process = log_in(loopback, DISCORD_ALLOWED_USERS=f"{OWNER}, {APPROVER_ROLE}", DISCORD_RUNNERS=str(APPROVER_ROLE))
    yield process
    process.kill()
    assert "a defect in" not in process.output


def commands(loopback: Loopback) -> list[str]:
    return sorted(loopback.rest.commands)


def both_forms(loopback: Loopback, user: int, name: str) -> Iterator[tuple[str, str]]:
    """What is answered first to `!name` and `/name`, with the form."""
    given = ARGUMENTS.get(name, {})
    for form in ("!", "/"):
        before = len(loopback.messages)
        if form == "!":
            loopback.say(user, f"!{name} {' '.join(given.values())}".strip())
        else:
            loopback.slash(user, name, **given)
        loopback.wait(f"an answer to {form}{name}", lambda before=before: len(loopback.messages) > before)
        yield form, loopback.messages[before].text


def test_every_command_has_both_forms_and_answers_who_has_the_role(loopback: Loopback, bot: BotProcess) -> None:
    names = commands(loopback)
    assert len(names) >= 20
    before = len(loopback.messages)
    loopback.say(FRIEND, "!help")
    loopback.wait_for_text("Each works with", after=before)
    listed = "\n".join(each.text for each in loopback.messages[before:])
    assert sorted(set(re.findall(r"`!(\w+)", listed))) == names, "a command has one form only"
    for name in names:
        for form, answer in both_forms(loopback, FRIEND, name):
            assert answer.strip(), f"{form}{name}"
            assert "There is no command" not in answer, f"{form}{name}"
            assert "Something unexpected" not in answer, f"{form}{name}"
            assert "on my list" not in answer, f"{form}{name}"


def test_no_command_answers_those_who_are_on_no_list(loopback: Loopback, bot: BotProcess) -> None:
    for name in commands(loopback):
        for form, answer in both_forms(loopback, STRANGER, name):
            assert answer.startswith("You are not on my list, nor is a role of yours."), f"{form}{name}"
            assert f"can add {STRANGER}, or one of your roles, to DISCORD_ALLOWED_USERS" in answer
    before = len(loopback.messages)
    loopback.say(STRANGER, f"<@{BOT}> hello")
    loopback.wait_for_text("You are not on my list", after=before)


def test_the_bots_own_role_is_a_mention_of_it(loopback: Loopback, bot: BotProcess) -> None:
    before = len(loopback.messages)
    loopback.say(FRIEND, f"<@&{BOT_ROLE}> by its role")
    loopback.wait_for_text("by its role. Answered", after=before)
    assert "<@" not in loopback.messages[before].text


# --- limits -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def strict(loopback: Loopback, bot: BotProcess) -> Iterator[BotProcess]:
    """In place of `bot`."""
    bot.kill()
    limits = {"DISCORD_QUESTIONS_PER_MINUTE": "2", "DISCORD_COMMANDS_PER_MINUTE": str(LIMIT)}
    process = log_in(loopback, DISCORD_ALLOWED_USERS=f"{OWNER},{FRIEND}", **limits)
    yield process
    process.kill()


def test_questions_are_limited_however_they_are_asked(loopback: Loopback, strict: BotProcess) -> None:
    before = len(loopback.messages)
    loopback.say(OWNER, "!ask one")
    first = loopback.wait_for_text("one. Answered", after=before)
    time.sleep(0.3)
    loopback.say(OWNER, "two", reply_to=first)
    loopback.wait_for_text("one | two. Answered", after=before)
    before = len(loopback.messages)
    third = loopback.say(OWNER, f"<@{BOT}> three")
    refused = loopback.wait_for_text("I take 2 questions a minute from one person. Try again in ", after=before)
    assert 0 < int(refused.text.split()[-2]) <= 60
    loopback.wait("the mark", lambda: loopback.rest.marks(third) == ["\u26d4"])
    fourth = loopback.say(OWNER, "!ask four")
    loopback.wait("the mark", lambda: loopback.rest.marks(fourth) == ["\u26d4"])
    assert len(loopback.messages) == before + 1, "the refusals are a flood"
    loopback.slash(OWNER, "ask", question="five")
    again = loopback.wait_for_text("a minute from one person. Try again in", after=before + 1)
    assert again.ephemeral
    assert not any(word in shown.text for shown in loopback.messages for word in ("three", "four", "five"))


def test_commands_as_a_whole_are_limited_and_others_are_not_held_up(loopback: Loopback, strict: BotProcess) -> None:
    before = len(loopback.messages)
    for _ in range(LIMIT):
        loopback.say(FRIEND, "!status")
    loopback.wait("the answers", lambda: len(loopback.messages) == before + LIMIT)
    for _ in range(5):
        loopback.say(FRIEND, "!status")
        loopback.say(FRIEND, f"<@{BOT}> hello")
        loopback.say(FRIEND, "!frobnicate")
    refused = loopback.wait_for_text(f"I take {LIMIT} commands a minute", after=before)
    before = len(loopback.messages)
    loopback.slash(FRIEND, "status")
    assert loopback.wait_for_text(f"I take {LIMIT} commands a minute", after=before).ephemeral
    assert loopback.messages[-2] is refused, "the refusals are a flood"


def test_strangers_cannot_make_the_bot_flood_the_channel(loopback: Loopback, strict: BotProcess) -> None:
    before = len(loopback.messages)
    for _ in range(3 * LIMIT):
        loopback.say(STRANGER, "!status")
    loopback.slash(STRANGER, "status")
    loopback.wait("the last refusal", lambda: loopback.messages[-1].ephemeral)
    shown = loopback.messages[before:]
    assert len(shown) <= LIMIT + 2
    assert all("You are not on my list" in each.text for each in shown)
