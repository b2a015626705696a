"""Conversations with the real bot process, seen from the other side of Discord."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from itertools import pairwise

import pytest

from tests.discord.conftest import BotProcess, log_in
from tests.discord.loopback import Loopback
from tests.discord.rest import Shown
from tests.discord.script import CODE, LONG_ANSWER
from tests.discord.world import BOT, CHANNEL, OTHER_CHANNEL, OWNER, STRANGER, THREAD, TOKEN

pytestmark = pytest.mark.slow

COMMANDS = [
    *("!ask QUESTION", "!captions on|off", "!changes", "!clear", "!debug [TEXT]", "!direct", "!find PATTERN", "!help"),
    *("!history", "!jobs", "!kill ID", "!latency", "!mic [DEVICE]", "!mute", "!read PATH[:LINES]", "!run COMMAND"),
    *("!say TEXT", "!status", "!stop", "!unmute"),
    *("!unwatch DIR|FILE", "!voice [NAME]", "!watch DIR|FILE", "!watches"),
]
EDIT_GAP_S = 0.98
"""One second, less what a clock and a loaded machine take from it between bot and server."""


@pytest.fixture(scope="module")
def bot(loopback: Loopback) -> Iterator[BotProcess]:
    process = log_in(loopback)
    yield process
    try:
        assert process.running
        # Over everything that these tests made the bot send and print.
        assert TOKEN not in process.output
        sent = [payload for shown in loopback.messages for payload in shown.payloads]
        assert sent
        assert all(payload["allowed_mentions"]["parse"] == [] for payload in sent)
        assert not any(payload["allowed_mentions"].get("replied_user") for payload in sent)
    finally:
        process.kill()


def ask(loopback: Loopback, question: str, end: str, *, slash: bool = False, limit_s: float = 15.0) -> Shown:
    """The message that ends with `end`."""
    before = len(loopback.messages)
    if slash:
        loopback.slash(OWNER, "ask", question=question)
    else:
        loopback.say(OWNER, f"!ask {question}")
    return loopback.wait_for_text(end, limit_s, before)


def test_status_and_help(loopback: Loopback, bot: BotProcess) -> None:
    loopback.say(OWNER, "!status")
    status = loopback.wait_for_text("Up for")
    assert re.search(r"Discord answers in \d+ ms\.", status.text)
    assert "Language model: a script." in status.text
    before = len(loopback.messages)
    loopback.slash(OWNER, "help")
    loopback.wait_for_text("Each works with `/` as well.", after=before)
    lines = "\n".join(shown.text for shown in loopback.messages[before:]).splitlines()
    assert sorted(line.split("`")[1] for line in lines if line.startswith("`")) == COMMANDS
    assert "**Ask me**" in lines
    assert "**More**" not in lines, "a command is in no group"
    assert sorted(loopback.rest.commands) == [each.split()[0].removeprefix("!") for each in COMMANDS]


def test_direct_says_why_there_is_no_voice(loopback: Loopback, bot: BotProcess) -> None:
    for number, text in enumerate(("!direct", "!voice"), start=len(loopback.messages)):
        loopback.say(OWNER, text)
        loopback.wait_for_text("This bot was started without a voice.", after=number)


def test_without_an_agent_its_commands_say_how_to_set_it_up(loopback: Loopback, bot: BotProcess) -> None:
    for command in ("read x", "run ls", "changes", "kill 1"):
        before = len(loopback.messages)
        loopback.say(OWNER, f"!{command}")
        loopback.wait_for_text("The tool agent is not set up: start `python -m agent_wsl`", after=before)


@pytest.mark.parametrize("slash", [False, True], ids=["prefix", "slash"])
def test_an_answer_is_streamed(loopback: Loopback, bot: BotProcess, slash: bool) -> None:
    shown = ask(loopback, "slowly 70", "the end.", slash=slash)
    assert shown.text == " ".join(f"word{n}" for n in range(70)) + " the end."
    assert len(shown.texts) >= 4, "the answer did not grow before the user's eyes"
    assert all(new.startswith(old) for old, new in pairwise(shown.texts[1:]))
    assert min(later - earlier for earlier, later in pairwise(shown.times[1:])) >= EDIT_GAP_S


def test_a_long_answer_is_split_with_its_code_whole(loopback: Loopback, bot: BotProcess) -> None:
    before = len(loopback.messages)
    ask(loopback, "long", "That is all.")
    parts = [shown.text for shown in loopback.messages[before:]]
    assert len(parts) > 2
    assert all(part.count("```") % 2 == 0 for part in parts)
    assert sum(f"```python\ndef first() -> None:\n{CODE}```" in part for part in parts) == 1
    rust = [part for part in parts if "```rust" in part]
    assert len(rust) > 1, "the block that fits into no message was not cut"
    assert words("\n".join(parts)) == words(LONG_ANSWER)


def words(text: str) -> list[str]:
    return re.sub(r"```\w*", " ", text).split()


def test_an_endless_answer_comes_as_a_file(loopback: Loopback, bot: BotProcess) -> None:
    before = len(loopback.messages)
    last = ask(loopback, "endless", "the whole answer is in the file")
    assert len(loopback.messages) - before == 7
    whole = last.files["answer.txt"].decode()
    assert len(whole) > 30_000
    assert whole.splitlines() == [f"This is line {number} of it." for number in range(1500)]


def test_a_reply_and_a_mention_continue_the_conversation(loopback: Loopback, bot: BotProcess) -> None:
    first = ask(loopback, "one two", "one two. Answered")
    before = len(loopback.messages)
    replied = loopback.say(OWNER, "three", reply_to=first)
    second = loopback.wait_for_text("one two | three. Answered", after=before)
    assert second.replies_to == replied
    loopback.say(OWNER, f"<@{BOT}> four")
    loopback.wait_for_text("one two | three | four. Answered")
    loopback.say(OWNER, "five, said to nobody")
    loopback.say(OWNER, f"six <@{BOT}>", OTHER_CHANNEL)
    other = loopback.wait_for_text("Asked: six. Answered: 0.")
    assert other.raw["channel_id"] == str(OTHER_CHANNEL) != str(CHANNEL)
    assert not any("five" in shown.text for shown in loopback.messages)


def test_a_mention_alone_gets_advice(loopback: Loopback, bot: BotProcess) -> None:
    loopback.say(OWNER, f"<@{BOT}>")
    loopback.wait_for_text("Write your question beside the mention")
    loopback.say(OWNER, "!ask")
    loopback.wait_for_text("There is no question.")


def test_one_answer_at_a_time(loopback: Loopback, bot: BotProcess) -> None:
    before = len(loopback.messages)
    loopback.say(OWNER, "!ask slowly 30")
    loopback.wait("the first answer", lambda: len(loopback.messages) > before)
    loopback.slash(OWNER, "ask", question="too early")
    refused = loopback.wait_for_text("still answering your last question", after=before)
    assert refused.ephemeral
    loopback.wait_for_text("the end.", after=before)
    assert not any("too early" in shown.text for shown in loopback.messages)


def test_strangers_are_refused(loopback: Loopback, bot: BotProcess) -> None:
    mine = ask(loopback, "mine", "Answered")
    for number, act in enumerate(
        (
            lambda: loopback.say(STRANGER, "!ask let me in"),
            lambda: loopback.slash(STRANGER, "ask", question="let me in"),
            lambda: loopback.say(STRANGER, "let me in", reply_to=mine),
            lambda: loopback.say(STRANGER, f"<@{BOT}> let me in"),
            lambda: loopback.say(STRANGER, "!status"),
        ),
        start=len(loopback.messages),
    ):
        act()
        loopback.wait_for_text("Only the owner of this server may talk to me.", after=number)
    loopback.say(STRANGER, "!play music")
    loopback.say(OWNER, "!frobnicate")
    loopback.wait_for_text("There is no command `!frobnicate`")
    assert not any("let me in" in shown.text or "!play" in shown.text for shown in loopback.messages)


def test_what_fails_is_said_in_a_sentence(loopback: Loopback, bot: BotProcess) -> None:
    failed = ask(loopback, "fail", "ask again")
    assert failed.text == "It begins well,\n\nThe language model failed; ask again."
    broken = ask(loopback, "break", "Something unexpected")
    assert "ZeroDivisionError" not in broken.text
    assert "ZeroDivisionError: a defect" in bot.output
    ask(loopback, "nothing", "The model gave an empty answer.")


def test_the_message_is_marked(loopback: Loopback, bot: BotProcess) -> None:
    working, done, refused, failed = "\u23f3", "\u2705", "\u26d4", "\u274c"
    good = loopback.say(OWNER, f"<@{BOT}> slowly 20")
    loopback.wait("the first mark", lambda: loopback.rest.marks(good) == [working])
    second = loopback.say(OWNER, "!ask too early")
    loopback.wait("the refusal", lambda: loopback.rest.marks(second) == [refused])
    loopback.wait("the last mark", lambda: loopback.rest.marks(good) == [done])
    for question, mark in (("!ask fail", failed), ("!nothing", refused), ("!ask break", failed)):
        message = loopback.say(OWNER, question)
        loopback.wait(question, lambda message=message, mark=mark: loopback.rest.marks(message) == [mark])
    stranger = loopback.say(STRANGER, "!status")
    loopback.wait("the refusal", lambda: loopback.rest.marks(stranger) == [refused])


def test_attached_texts_are_read_and_the_rest_is_named(loopback: Loopback, bot: BotProcess) -> None:
    code = loopback.attach("app.py", b"print('from the file')\n")
    picture = loopback.attach("cat.png", b"\x89PNG\r\n\x1a\n")
    latin = loopback.attach("latin.txt", "größe".encode("latin-1"))
    large = loopback.attach("large.log", b"x" * 300_000)
    binary = loopback.attach("core", b"\x7fELF\0\0")
    gone = loopback.attach("gone.txt", b"gone")
    del loopback.rest.cdn[gone["id"]]
    before = len(loopback.messages)
    loopback.say_with(OWNER, "!ask What is this?", code, picture, latin, large, binary)
    loopback.wait_for_text("What is this?\n\nFile app.py:\n```py\nprint('from the file')\n```", after=before)
    notes = loopback.messages[before].text.splitlines()
    assert notes == [
        "`cat.png` is a picture; I cannot see pictures in this version.",
        "`latin.txt` is no UTF-8 text (byte 3 is wrong); save it as UTF-8.",
        "`large.log` has 300.0 KB; I read text files of up to 200.0 KB.",
        "`core` is not a text file, so I did not read it.",
    ]
    before = len(loopback.messages)
    loopback.slash(OWNER, "ask", question="By slash?", file=loopback.attach("n.md", b"# Note\n"))
    loopback.wait_for_text("By slash?\n\nFile n.md:\n```md\n# Note\n```", after=before)
    loopback.say_with(OWNER, f"<@{BOT}>", loopback.attach("o.md", b"only a file"))
    loopback.wait_for_text("File o.md:", after=before)
    before = len(loopback.messages)
    loopback.say_with(OWNER, "!ask", gone)
    loopback.wait_for_text("`gone.txt` was not read: Discord did not give it (HTTP 404)", after=before)
    loopback.wait_for_text("There is no question.", after=before)


def test_nobody_is_pinged(loopback: Loopback, bot: BotProcess) -> None:
    shown = ask(loopback, f"ping {STRANGER}", f"@everyone @here <@{STRANGER}> look!")
    assert shown.payloads[-1]["allowed_mentions"] == {"parse": []}


def test_rate_limits_hold_up_neither_the_model_nor_the_last_edit(loopback: Loopback, bot: BotProcess) -> None:
    before = len(loopback.messages)
    finished = bot.output.count("model finished slowly 40")
    loopback.rest.refuse_edits = [1.5, 1.0]
    loopback.say(OWNER, "!ask slowly 40")
    loopback.wait("the model's end", lambda: bot.output.count("model finished slowly 40") > finished)
    assert loopback.messages[before].texts == ["*thinking …*"], "the limit did not bite before the model's end"
    shown = loopback.wait_for_text("the end.", after=before)
    assert shown.text.split() == [*(f"word{n}" for n in range(40)), "the", "end."]


def test_a_deleted_answer_ends(loopback: Loopback, bot: BotProcess) -> None:
    before = len(loopback.messages)
    loopback.say(OWNER, "!ask forever")
    loopback.wait_for_text("more", after=before).deleted = True
    loopback.wait("the model's end", lambda: "model stopped" in bot.output)
    time.sleep(0.1)
    ask(loopback, "still here", "still here. Answered")


def test_a_thread_is_a_conversation_of_its_own(loopback: Loopback, bot: BotProcess) -> None:
    before = len(loopback.messages)
    loopback.say(OWNER, "!ask in the thread", THREAD)
    first = loopback.wait_for_text("Asked: in the thread. Answered: 0.", after=before)
    assert first.raw["channel_id"] == str(THREAD)
    time.sleep(0.3)
    loopback.say(OWNER, "by reply", THREAD, reply_to=first)
    second = loopback.wait_for_text("Asked: in the thread | by reply. Answered: 1.", after=before)
    assert second.raw["channel_id"] == str(THREAD)
    time.sleep(0.3)
    loopback.say(OWNER, f"<@{BOT}> by mention", THREAD)
    loopback.wait_for_text("in the thread | by reply | by mention. Answered: 2.", after=before)
    time.sleep(0.3)
    loopback.slash(OWNER, "ask", THREAD, question="by slash")
    loopback.wait_for_text("by reply | by mention | by slash. Answered: 3.", after=before)
    assert "in the thread" not in ask(loopback, "outside", "outside. Answered").text


def test_pictures_beside_mentions_and_replies_are_named_too(loopback: Loopback, bot: BotProcess) -> None:
    picture = loopback.attach("cat.png", b"\x89PNG")
    before = len(loopback.messages)
    alone = loopback.say_with(OWNER, f"<@{BOT}>", picture)
    said = loopback.wait_for_text("`cat.png` is a picture; I cannot see pictures in this version.", after=before)
    assert said.text.endswith("Write your question beside the mention; `!help` lists the commands.")
    loopback.wait("the mark", lambda: loopback.rest.marks(alone) == ["\u26d4"])
    assert len(loopback.messages) == before + 1
    first = ask(loopback, "a cat", "a cat. Answered")
    time.sleep(0.3)
    before = len(loopback.messages)
    loopback.say_with(OWNER, "And this one?", picture, loopback.attach("n.md", b"# Cats\n"), reply_to=first)
    shown = loopback.wait_for_text("a cat | And this one?\n\nFile n.md:\n```md\n# Cats", after=before)
    assert "is a picture" in loopback.messages[before].text
    assert shown is loopback.messages[before + 1]
