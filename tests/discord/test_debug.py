"""`!debug` with the real agent: what it looks at, and what it says when there is nothing to look at."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tests.agent.process import KEY, AgentProcess, running
from tests.discord.conftest import LAUNCH, BotProcess, log_in
from tests.discord.loopback import Loopback
from tests.discord.world import FRIEND, OWNER

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="the agent is a Linux program"),
]

ERROR = "ZeroDivisionError: division by zero"
ASKED = "Asked: Diagnose this error for me, in writing."


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentProcess]:
    with running(tmp_path_factory.mktemp("agent"), ALLOWED_COMMANDS="python3") as process:
        yield process


@pytest.fixture(scope="module")
def bot(loopback: Loopback, agent: AgentProcess) -> Iterator[BotProcess]:
    wanted = {"API_KEY": KEY, "PORT": str(agent.port), "DISCORD_ALLOWED_USERS": f"{OWNER},{FRIEND}"}
    process = log_in(loopback, *LAUNCH, **wanted)
    yield process
    process.kill()
    assert "a defect in" not in process.output


def fresh(loopback: Loopback) -> int:
    """What was asked before must not be in the answer."""

    def forgotten() -> bool:
        before = len(loopback.messages)
        loopback.slash(OWNER, "clear")
        # Discord shows an answer a moment before the bot knows that it does.
        loopback.wait("an answer", lambda: len(loopback.messages) > before)
        return loopback.messages[before].text == "Forgotten."

    loopback.wait("a conversation that begins anew", forgotten)
    return len(loopback.messages)


def test_with_nothing_and_nothing_known_it_says_how(loopback: Loopback, bot: BotProcess) -> None:
    for act in (lambda: loopback.say(FRIEND, "!debug"), lambda: loopback.slash(FRIEND, "debug")):
        before = len(loopback.messages)
        act()
        loopback.wait_for_text("Nothing has failed that I know of. Paste an error after `!debug`, attach", after=before)


@pytest.mark.parametrize("form", ["prefix", "slash"])
def test_a_pasted_error(loopback: Loopback, bot: BotProcess, form: str) -> None:
    before = fresh(loopback)
    if form == "slash":
        loopback.slash(OWNER, "debug", text=ERROR)
    else:
        loopback.say(OWNER, f"!debug ```\n\x1b[31m{ERROR}\x1b[0m\n```")
    shown = loopback.wait_for_text("Answered: 0.", after=before)
    assert shown.text.startswith(ASKED)
    assert f"```text\n{ERROR}\n```\nSay in one sentence" in shown.text
    assert len(loopback.messages) == before + 1


def test_an_attached_log_loses_its_middle_and_says_so(loopback: Loopback, bot: BotProcess) -> None:
    log = "".join(f"2026-11-25 request {n} gr\xfc\xdfe\n" for n in range(20_000)) + ERROR
    for form in ("prefix", "slash"):
        before = fresh(loopback)
        file = loopback.attach("server.log", log.encode("latin-1"))
        if form == "slash":
            loopback.slash(OWNER, "debug", file=file)
        else:
            loopback.say_with(OWNER, "!debug Since this morning", file)
        loopback.wait_for_text("lines in the middle are left out: the model takes no more at once.", after=before)
        loopback.wait_for_text("Answered: 0.", after=before)
        whole = "\n".join(shown.text for shown in loopback.messages[before:])
        assert "It comes from the file server.log." in whole
        assert "request 1 " in whole
        assert ERROR in whole
        assert "request 9999 " not in whole
        assert (form == "slash") is ("Since this morning" not in whole)


def test_a_reply_takes_the_message_that_it_answers(loopback: Loopback, bot: BotProcess) -> None:
    before = fresh(loopback)
    loopback.say(OWNER, "!run python3 -c 'print(1/0)'")
    failed = loopback.wait_for_text("exit code 1", after=before)
    before = fresh(loopback)
    loopback.say(OWNER, "!debug", reply_to=failed)
    loopback.wait_for_text(ASKED, after=before)
    shown = loopback.wait_for_text("Answered: 0.", after=before)
    assert ERROR in shown.text
    failed.raw["content"] = ""
    before = len(loopback.messages)
    loopback.say(OWNER, "!debug", reply_to=failed)
    loopback.wait_for_text("There is no text in the message that you replied to.", after=before)


def test_with_nothing_it_takes_what_failed_last(loopback: Loopback, bot: BotProcess) -> None:
    before = fresh(loopback)
    loopback.say(OWNER, "!run python3 -c 'import sys; sys.exit(\"not today\")'")
    failed = loopback.wait_for_text("exit code 1", after=before)
    assert failed.text.endswith("`!debug` looks into it.")
    loopback.say(OWNER, "!run python3 -c pass")
    loopback.wait_for_text("exit code 0", after=before)
    before = fresh(loopback)
    loopback.slash(OWNER, "debug")
    loopback.wait_for_text("What failed last is `not today`, from job ", after=before)
    shown = loopback.wait_for_text("Answered: 0.", after=before)
    assert "Error: exit code 1: not today" in shown.text
    assert "$ python3 -c" in shown.text
    before = len(loopback.messages)
    loopback.say(FRIEND, "!debug")
    loopback.wait_for_text("Nothing has failed that I know of.", after=before)


def test_a_new_error_in_a_watched_log_is_shown_and_diagnosed_once(
    loopback: Loopback, bot: BotProcess, agent: AgentProcess
) -> None:
    server, source = agent.root / "server.log", agent.root / "cart.py"
    source.write_text("def total(prices, count):\n    return sum(prices) / count\n", encoding="utf-8")
    server.write_text("started\n", encoding="utf-8")
    before = fresh(loopback)
    loopback.say(OWNER, "!watch server.log")
    loopback.wait_for_text("New errors in logs are shown here", after=before)
    trace = f'Traceback (most recent call last):\n  File "{source}", line 2, in total\n    return sum(prices) / count\n'
    with server.open("a", encoding="utf-8") as file:
        file.write(f"{trace}{ERROR}\nnext request\n" * 2)
    card = loopback.wait_for_text(f"New error: `{ERROR}`", after=before).text
    assert f"at `{source}:2` in `total`, from `{server}`" in card
    assert "> 2     return sum(prices) / count" in card
    diagnosis = loopback.wait_for_text("Answered: 0.", after=before).text
    assert f"Where to look first: {source}:2 in total" in diagnosis

    def asked() -> str:
        before = fresh(loopback)
        loopback.slash(OWNER, "debug")
        loopback.wait_for_text(f"What failed last is `division by zero`, from {server}.", after=before)
        return loopback.wait_for_text("Answered: 0.", after=before).text

    # That nothing follows the second is known when the log has been quiet for a while.
    loopback.wait("the second one", lambda: "It came 2 times." in asked())
    assert f"It comes from {server}." in asked()
    assert len([each for each in loopback.messages if "New error: " in each.text]) == 1


def test_what_cannot_be_read_is_named(loopback: Loopback, bot: BotProcess) -> None:
    before = len(loopback.messages)
    loopback.say_with(OWNER, "!debug", loopback.attach("screen.png", b"\x89PNG"))
    loopback.wait_for_text("`screen.png` is a picture; I cannot see pictures in this version.", after=before)
    assert len(loopback.messages) == before + 1
