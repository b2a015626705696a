"""What Discord and people should not send, and do: repetitions, forgeries, endless names, refusals of Discord's own."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

import pytest

from tests.agent.process import KEY, AgentProcess, running
from tests.discord import world
from tests.discord.conftest import LAUNCH, BotProcess, log_in
from tests.discord.loopback import Loopback
from tests.discord.rest import Shown
from tests.discord.world import BOT, OWNER, Json

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="the agent is a Linux program"),
]

DONE, REFUSED, FAILED = "\u2705", "\u26d4", "\u274c"
MAY_NOT_WRITE = (403, 50013)
GRIN = "\N{GRINNING FACE}"


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentProcess]:
    with running(tmp_path_factory.mktemp("agent"), ALLOWED_COMMANDS="echo") as process:
        (process.root / "grins.txt").write_text(f"{GRIN * 60}\n" * 600, encoding="utf-8")
        (process.root / "line.txt").write_text("x" * 30_000, encoding="utf-8")
        (process.root / f"{KEY}.txt").write_text("hello\n" * 3000, encoding="utf-8")
        yield process


@pytest.fixture(scope="module")
def bot(loopback: Loopback, agent: AgentProcess) -> Iterator[BotProcess]:
    process = log_in(loopback, *LAUNCH, API_KEY=KEY, PORT=str(agent.port))
    yield process
    try:
        assert process.running
        assert "a defect in" not in process.output
        assert "Traceback" not in process.output
    finally:
        process.kill()


def send(loopback: Loopback, data: Json) -> None:
    loopback.run(loopback.gateway.dispatch("MESSAGE_CREATE", data))


def ended(loopback: Loopback, text: str, state: str) -> list[Shown]:
    """What the bot posts to `text`, once the message has the mark and no other."""
    before = len(loopback.messages)
    message = loopback.say(OWNER, text)
    loopback.wait(f"the mark of {text[:30]}", lambda: loopback.rest.marks(message) == [state])
    return loopback.messages[before:]


# --- who speaks -------------------------------------------------------------------------------------------------


def test_only_people_and_only_once(loopback: Loopback, bot: BotProcess) -> None:
    before = len(loopback.messages)
    hook = world.message(OWNER, "!run echo webhook") | {"webhook_id": str(world.snowflake())}
    hook["author"] = {**world.user(OWNER), "id": hook["webhook_id"]}
    del hook["member"]
    send(loopback, hook)
    # The title of a thread comes as a message of who began it.
    send(loopback, world.message(OWNER, "!run echo title") | {"type": 18})
    twice = world.message(OWNER, "!run echo twice")
    for _ in range(2):
        send(loopback, twice)
    loopback.wait_for_text("exit code 0", after=before)
    slash = world.interaction(OWNER, loopback.rest.commands["run"], {"line": "echo slash"})
    for _ in range(2):
        loopback.run(loopback.gateway.dispatch("INTERACTION_CREATE", slash))
    loopback.wait("the second", lambda: sum("exit code 0" in each.text for each in loopback.messages[before:]) == 2)
    time.sleep(0.5)
    assert len(loopback.messages) == before + 2
    assert not any(word in shown.text for shown in loopback.messages[before:] for word in ("webhook", "title"))


def test_every_command_marks_how_it_ended(loopback: Loopback, bot: BotProcess) -> None:
    for text in ("!status", "!help", "!jobs", "!ask hello"):
        ended(loopback, text, DONE)
    for text in ("!say hello", "!history", "!mute", "!ask", "!frobnicate", "!voice af_heart", "!stop"):
        lines = len(bot.lines)
        ended(loopback, text, REFUSED)
        logged = [line for line in bot.lines[lines:] if " WARNING bot." in line]
        assert len(logged) == 1, f"{text}: {logged}"


def test_an_event_that_cannot_be_read_does_not_end_the_bot(loopback: Loopback, bot: BotProcess) -> None:
    lines = len(bot.lines)
    broken: dict[str, Json] = {
        "MESSAGE_CREATE": world.message(OWNER, "!status") | {"member": None, "author": {"id": "7"}},
        "INTERACTION_CREATE": {"id": "1"},
        "MESSAGE_UPDATE": {},
        "GUILD_MEMBER_UPDATE": {"guild_id": None},
        "VOICE_STATE_UPDATE": {"guild_id": str(world.GUILD)},
        "CHANNEL_CREATE": {"id": "no number"},
        "WHAT_COMES_NEXT_YEAR": {"id": 1},
    }
    for name, data in broken.items():
        loopback.run(loopback.gateway.dispatch(name, data))
    ended(loopback, "!status", DONE)
    logged = [line for line in bot.lines[lines:] if "was not understood and is left out: MESSAGE_CREATE" in line]
    assert len(logged) == 1


# --- what Discord refuses ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["!status", "!read line.txt:1", "!run echo x", f"<@{BOT}>", "!frobnicate", "!ask"])
def test_a_channel_in_which_it_may_not_write_costs_a_line(loopback: Loopback, bot: BotProcess, text: str) -> None:
    before, lines = len(loopback.messages), len(bot.lines)
    loopback.rest.refuse_posts = [MAY_NOT_WRITE] * 8
    message = loopback.say(OWNER, text)
    loopback.wait("the mark", lambda: loopback.rest.marks(message) in ([FAILED], [REFUSED]))
    said = "does not let the bot write in this channel"
    loopback.wait("the line", lambda: any(" WARNING bot." in line and said in line for line in bot.lines[lines:]))
    # It may still try to say so.
    time.sleep(0.5)
    loopback.rest.refuse_posts = []
    assert len(loopback.messages) == before


def test_a_refusal_that_passes_is_said(loopback: Loopback, bot: BotProcess) -> None:
    loopback.rest.refuse_posts = [(429, 0)]
    shown = ended(loopback, "!status", FAILED)
    assert [each.text for each in shown] == ["Discord refused a message (HTTP 429, code 0). Try again."]


def test_who_deletes_the_question_still_gets_the_answer(loopback: Loopback, bot: BotProcess) -> None:
    (shown,) = ended(loopback, "!status", DONE)
    assert shown.payloads[0]["message_reference"]["fail_if_not_exists"] is False


# --- what does not fit ------------------------------------------------------------------------------------------


def test_texts_that_count_double_and_lines_without_end(loopback: Loopback, bot: BotProcess) -> None:
    (grins,) = ended(loopback, "!read grins.txt", DONE)
    assert grins.text.count(GRIN) > 700
    assert "all of it is in the file" in grins.text
    (line,) = ended(loopback, "!read line.txt", DONE)
    assert line.text.count("x") > 1500, "nothing of it is seen"
    assert len(line.files["line.txt"]) == 30_000


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"!{'a' * 3000}", "; `!help` lists what there is."),
        (f"!run touch {GRIN * 1400}", "is too long to be shown whole to who approves it"),
        ("!run touch " + "\N{ZERO WIDTH JOINER}" * 1400, "is too long to be shown whole to who approves it"),
    ],
)
def test_what_is_too_long_is_refused_in_a_sentence(loopback: Loopback, bot: BotProcess, text: str, said: str) -> None:
    (shown,) = ended(loopback, text, REFUSED)
    assert said in shown.text


@pytest.mark.parametrize(
    ("text", "said", "state"),
    [
        (f"!find {GRIN * 1500}", "This pattern is too long; 1000 characters are the limit.", REFUSED),
        (f"!kill {'x' * 1000}", "You have no such command. !jobs lists yours", FAILED),
        ("!unwatch nothing", "That is not watched. !watches lists what is.", FAILED),
    ],
)
def test_refusals_are_in_the_words_of_the_bot(
    loopback: Loopback, bot: BotProcess, text: str, said: str, state: str
) -> None:
    (shown,) = ended(loopback, text, state)
    assert shown.text.startswith(said)


def test_a_secret_is_no_name_of_a_file(loopback: Loopback, bot: BotProcess) -> None:
    (shown,) = ended(loopback, f"!read {KEY}.txt", DONE)
    assert list(shown.files) == ["hidden.txt"]
    assert KEY not in str(shown.payloads)


def test_empty_files_and_half_characters(loopback: Loopback, bot: BotProcess) -> None:
    nothing = loopback.attach("empty.txt", b"")
    for command in ("!ask", "!debug", f"<@{BOT}>"):
        before = len(loopback.messages)
        message = loopback.say_with(OWNER, command, nothing)
        loopback.wait_for_text("`empty.txt` is empty.", after=before)
        loopback.wait("the mark", lambda message=message: loopback.rest.marks(message) == [REFUSED])
    before = len(loopback.messages)
    send(loopback, world.message(OWNER, "!ask half \ud83d of it"))
    loopback.wait_for_text("half ? of it. Answered", after=before)
