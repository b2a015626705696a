"""The bot's own secrets in what it reads, runs and answers; and that nothing it sends pings anybody."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

import pytest

from bot.masking import PIECE, STEP
from tests.agent.process import KEY, running
from tests.discord.conftest import LAUNCH, BotProcess, log_in
from tests.discord.loopback import Loopback
from tests.discord.world import BOT, OWNER, STRANGER, TOKEN

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="the agent is a Linux program"),
]

CLOUD = "sk-ant-a-key-that-costs-money-0042"
SECRETS = (TOKEN, KEY, CLOUD)
FOUND = PIECE + STEP - 1


@pytest.fixture(scope="module")
def bot(loopback: Loopback, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BotProcess]:
    with running(tmp_path_factory.mktemp("agent"), ALLOWED_COMMANDS="cat, python3") as agent:
        env = f"DISCORD_TOKEN={TOKEN}\nAPI_KEY={KEY}\nANTHROPIC_API_KEY={CLOUD}\nLOG_LEVEL=info\n"
        (agent.root / "one.ini").write_text(env, encoding="utf-8")
        (agent.root / "many.ini").write_text(env * 400, encoding="utf-8")
        process = log_in(loopback, *LAUNCH, API_KEY=KEY, PORT=str(agent.port), ANTHROPIC_API_KEY=CLOUD)
        yield process
        process.kill()
        assert "a defect in" not in process.output
        # But for what the scripted model says of itself.
        given_away("\n".join(line for line in process.lines if not line.startswith(("model ", "answered "))))


def given_away(text: str) -> None:
    for secret in SECRETS:
        for at in range(len(secret) - FOUND + 1):
            assert secret[at : at + FOUND] not in text


def nothing_given_away(loopback: Loopback, after: int) -> None:
    for shown in loopback.messages[after:]:
        for text in (*shown.texts, *(content.decode() for content in shown.files.values())):
            given_away(text.replace("\\", ""))


@pytest.mark.parametrize(
    ("command", "end"),
    [
        ("!read one.ini", "LOG_LEVEL=info"),
        ("/read path=one.ini", "LOG_LEVEL=info"),
        ("!read many.ini", "all of it is in the file"),
        ("/read path=many.ini", "all of it is in the file"),
        ("!find ANTHROPIC", "hits for"),
        (f"!find {KEY}", "for `[hidden]`"),
        ("/run line=cat one.ini", "exit code 0"),
        ("!run cat many.ini", "all of it is in the file"),
    ],
)
def test_what_is_read_and_run(loopback: Loopback, bot: BotProcess, command: str, end: str) -> None:
    before = len(loopback.messages)
    if command.startswith("/"):
        name, _, given = command[1:].partition(" ")
        option, _, value = given.partition("=")
        loopback.slash(OWNER, name, **{option: value})
    else:
        loopback.say(OWNER, command)
    last = loopback.wait_for_text(end, after=before)
    shown = [last.text, *(content.decode() for content in last.files.values())]
    assert "[hidden]" in "".join(shown)
    nothing_given_away(loopback, before)


def test_output_that_comes_letter_by_letter(loopback: Loopback, bot: BotProcess) -> None:
    code = (
        "import time,pathlib\nfor c in pathlib.Path('one.ini').read_text(): print(c, end='', flush=1); time.sleep(.015)"
    )
    before = len(loopback.messages)
    loopback.say(OWNER, f'!run ```\npython3 -c "{code}"\n```')
    shown = loopback.wait_for_text("exit code 0", after=before)
    assert len(shown.texts) >= 3, "nobody saw it grow"
    assert "API_KEY=[hidden]" in shown.text
    nothing_given_away(loopback, before)


def test_an_answer_that_spells_it_and_one_that_is_cut_in_it(loopback: Loopback, bot: BotProcess) -> None:
    before = len(loopback.messages)
    loopback.say(OWNER, f"!ask spell {TOKEN} spelt.")
    shown = loopback.wait_for_text("spelt.", after=before)
    assert len(shown.texts) >= 4
    assert shown.text == "[hidden] spelt."
    nothing_given_away(loopback, before)
    time.sleep(0.5)
    for padding in (1930, 1960):
        before = len(loopback.messages)
        loopback.slash(OWNER, "clear")
        loopback.wait_for_text("Forgotten.", after=before)
        loopback.say(OWNER, f"<@{BOT}> {'x' * padding}{TOKEN}{'y' * 500}")
        loopback.wait_for_text("Answered: 0.", after=before)
        assert len(loopback.messages) == before + 3
        nothing_given_away(loopback, before)
        time.sleep(0.5)


def test_no_way_of_sending_pings_anybody(loopback: Loopback, bot: BotProcess) -> None:
    """Over all that these tests made the bot send, each way at least once."""
    before = len(loopback.messages)
    loopback.say(OWNER, f"!ask ping {STRANGER}")
    shown = loopback.wait_for_text("look!", after=before)
    assert "@everyone" in shown.text
    loopback.slash(STRANGER, "status")
    loopback.wait("the refusal", lambda: loopback.messages[-1].ephemeral)
    loopback.say(OWNER, "!run touch x")
    card = loopback.wait_for_text("wants to run this", after=before)
    time.sleep(0.2)
    loopback.click(STRANGER, card, "Deny")
    loopback.wait_for_text("You may not decide this", after=before)
    loopback.click(OWNER, card, "Deny")
    loopback.wait("the verdict", lambda: "Denied by" in card.text)
    ways = {way for way, _ in loopback.rest.sent}
    assert ways == {
        "message",
        "message with file",
        "edit",
        "edit with file",
        "callback",
        "followup",
        "followup with file",
    }
    assert all(payload.get("allowed_mentions") == {"parse": []} for _, payload in loopback.rest.sent)
