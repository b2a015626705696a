"""A spoken conversation is written down, and is the same as the written one."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.discord.conftest import BotProcess
from tests.discord.hearing import direct, outside_a_call, say, stop, voice_bot
from tests.discord.loopback import Loopback
from tests.discord.world import CHANNEL, OTHER_CHANNEL, OWNER

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def bot(loopback: Loopback, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BotProcess]:
    file: Path = tmp_path_factory.mktemp("history") / "c.db"
    with voice_bot(loopback, DISCORD_HISTORY=str(file)) as process:
        yield process


@pytest.fixture(autouse=True)
def quiet(loopback: Loopback, bot: BotProcess) -> Iterator[None]:
    with outside_a_call(loopback):
        yield


def written(loopback: Loopback, text: str, expected: str, channel: int = CHANNEL) -> str:
    # Discord shows an answer a moment before the bot knows that it does.
    time.sleep(0.3)
    before = len(loopback.messages)
    loopback.say(OWNER, text, channel)
    return loopback.wait_for_text(expected, after=before).text


def spoken(loopback: Loopback, question: str, expected: str) -> str:
    before = len(loopback.messages)
    say(loopback, f"ask {question}")
    return loopback.wait_for_text(f"**Sidetone:** {expected}", after=before).text


def test_latency(loopback: Loopback, bot: BotProcess) -> None:
    before = len(loopback.messages)
    loopback.say(OWNER, "!latency")
    loopback.wait_for_text("There was no spoken answer since my start", after=before)
    direct(loopback)
    spoken(loopback, "one", "Asked:")
    spoken(loopback, "two", "Asked:")
    for ask in (lambda: loopback.say(OWNER, "!latency"), lambda: loopback.slash(OWNER, "latency")):
        before = len(loopback.messages)
        ask()
        shown = loopback.wait_for_text("over 2 answers: ", after=before)
        assert "silence that ends your turn takes most of it, 600 ms. A lower END_SILENCE_MS" in shown.text
        picture = Image.open(io.BytesIO(shown.files["latency.png"]))
        assert picture.format == "PNG"
        assert picture.width >= 800


def test_voice_and_text_are_one_conversation(loopback: Loopback, bot: BotProcess) -> None:
    written(loopback, "!clear", "Forgotten.")
    written(loopback, "!ask first", "Asked: first. Answered: 0.")
    direct(loopback)
    spoken(loopback, "second", "Asked: first | second. Answered: 1.")
    written(loopback, "!ask third", "Asked: first | second | third. Answered: 2.")
    written(loopback, "!ask elsewhere", "Asked: elsewhere. Answered: 0.", OTHER_CHANNEL)
    shown = written(loopback, "!history", "What we said here:")
    assert "You: second\nI:   Asked: first | second." in shown
    stop(loopback)
    direct(loopback)
    spoken(loopback, "fourth", "Asked: first | second | third | fourth. Answered: 3.")
    written(loopback, "!clear", "Forgotten. 4 questions")
    spoken(loopback, "anew", "Asked: anew. Answered: 0.")


def test_code_is_posted_and_never_spoken(loopback: Loopback, bot: BotProcess) -> None:
    direct(loopback)
    lines = len(bot.lines)
    answer = spoken(loopback, "code", "")
    # A fence counts at the beginning of a line only.
    assert answer == "**Sidetone:** \n```python\nsecret_value = 1\n```\nIt is short."
    said = [line.removeprefix("said ") for line in bot.lines[lines:] if line.startswith("said ")]
    assert said == ["It is short."]


def test_captions(loopback: Loopback, bot: BotProcess) -> None:
    before = len(loopback.messages)
    loopback.say(OWNER, "!captions on")
    loopback.wait_for_text("There is no spoken conversation.", after=before)
    direct(loopback)
    loopback.say(OWNER, "!captions")
    loopback.wait_for_text("Captions are off. Write `!captions on`", after=before)
    loopback.rest.threads_allowed = False
    loopback.say(OWNER, "!captions on")
    loopback.wait_for_text("I may not open threads here: give me the permissions Create Public Threads", after=before)
    loopback.rest.threads_allowed = True
    loopback.slash(OWNER, "captions", state="on")
    card = loopback.wait_for_text("Speak now", after=before)
    loopback.wait_for_text(f"What we say is written live in <#{card.raw['id']}> now.", after=before)
    before = len(loopback.messages)
    say(loopback, "ask slowly 40")
    answer = loopback.wait_for_text("the end.", after=before)
    question = loopback.wait_for_text("**You:** slowly 40", after=before)
    assert question.raw["channel_id"] == answer.raw["channel_id"] == card.raw["id"]
    assert answer.text.startswith("**Sidetone:** word0 word1")
    assert len(answer.texts) >= 2, "it came all at once"
    loopback.say(OWNER, "!captions off")
    loopback.wait_for_text("What we say is written here again.", after=before)
    time.sleep(0.5)
    spoken(loopback, "again", "Asked:")
    here = [each for each in loopback.messages[before:] if each.text.startswith("**") and each is not card]
    assert [each.raw["channel_id"] == str(CHANNEL) for each in here] == [False, False, True, True]
