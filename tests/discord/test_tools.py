"""Commands through the tool agent: the real bot, the real agent, the loopback Discord."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from itertools import pairwise

import pytest

from tests.agent.process import KEY, AgentProcess, running
from tests.discord.conftest import LAUNCH, BotProcess, log_in
from tests.discord.loopback import Loopback
from tests.discord.rest import Shown
from tests.discord.world import (
    APPROVER_ROLE,
    CHANNEL,
    FRIEND,
    GUILD,
    OTHER_CHANNEL,
    OWNER,
    STRANGER,
    TOKEN,
    channel,
    click,
    snowflake,
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="the agent is a Linux program"),
]

HOSTILE = "@everyone `x` [click](evil.example).py"
LIFETIME_S = 4.0
WORKING, DONE, REFUSED, FAILED = "\u23f3", "\u2705", "\u26d4", "\u274c"


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentProcess]:
    with running(tmp_path_factory.mktemp("agent"), ALLOWED_COMMANDS="echo, python3, sleep") as process:
        (process.root / "app.py").write_text("".join(f"x{n} = {n}\n" for n in range(1, 31)), encoding="utf-8")
        (process.root / "long.txt").write_text("A line of the long file.\n" * 1500, encoding="utf-8")
        (process.root / "picture.bin").write_bytes(bytes(range(256)) * 4)
        (process.root / "empty.txt").touch()
        (process.root / HOSTILE).write_text(
            "```\n@everyone <@1> https://evil.example\n```js\nalert()\n", encoding="utf-8"
        )
        (process.root / "logs").mkdir()
        yield process


def settings(agent: AgentProcess) -> dict[str, str]:
    return {
        "API_KEY": KEY,
        "PORT": str(agent.port),
        "DISCORD_ALLOWED_USERS": f"{OWNER},{FRIEND}",
        "DISCORD_APPROVERS": f"{OWNER},{APPROVER_ROLE}",
        "DISCORD_RUNNERS": str(OWNER),
    }


@pytest.fixture(scope="module")
def bot(loopback: Loopback, agent: AgentProcess) -> Iterator[BotProcess]:
    process = log_in(loopback, *LAUNCH, f"--approval={LIFETIME_S}", **settings(agent))
    yield process
    try:
        assert process.running
        assert not any(secret in process.output for secret in (TOKEN, KEY))
        assert "a defect in" not in process.output
        sent = [payload for shown in loopback.messages for payload in shown.payloads]
        assert all(payload["allowed_mentions"]["parse"] == [] for payload in sent)
        assert not any(TOKEN in str(payload) or KEY in str(payload) for payload in sent)
    finally:
        process.kill()


def do(loopback: Loopback, form: str, name: str, text: str = "") -> int:
    """The number of the first message that can be an answer."""
    before = len(loopback.messages)
    if form == "slash":
        options = {"read": "path", "find": "pattern", "watch": "path", "unwatch": "path", "run": "line", "kill": "job"}
        loopback.slash(OWNER, name, **({options[name]: text} if text else {}))
    else:
        loopback.say(OWNER, f"!{name} {text}".strip())
    return before


def answer(loopback: Loopback, form: str, name: str, argument: str, expected: str) -> Shown:
    before = do(loopback, form, name, argument)
    return loopback.wait_for_text(expected, after=before)


both = pytest.mark.parametrize("form", ["prefix", "slash"])


@both
def test_reading(loopback: Loopback, bot: BotProcess, agent: AgentProcess, form: str) -> None:
    whole = answer(loopback, form, "read", "app.py", "x30 = 30").text
    assert whole.startswith(f"`{agent.root}/app.py`, lines 1 to 30 of a file of ")
    assert "```py\n 1 x1 = 1\n 2 x2 = 2\n" in whole
    some = answer(loopback, form, "read", "app.py:4-5", "lines 4 to 5").text
    assert some.endswith("```py\n4 x4 = 4\n5 x5 = 5\n```")
    assert "It goes on: `app.py:6-` is next." in some
    answer(loopback, form, "read", "app.py:31-", "has no line 31.")
    answer(loopback, form, "read", "empty.txt", "is empty.")
    answer(loopback, form, "read", "picture.bin", "is binary (1.0 KB)")
    answer(loopback, form, "read", "nothing.txt", "nothing.txt")
    answer(loopback, form, "read", "/etc/passwd", "/etc/passwd is outside the allowed directories.")


@both
def test_a_long_file_comes_as_a_file(loopback: Loopback, bot: BotProcess, form: str) -> None:
    shown = answer(loopback, form, "read", "long.txt", "all of it is in the file")
    assert shown.files["long.txt"].decode() == "A line of the long file.\n" * 1500
    before = do(loopback, form, "read", "long.txt:1-200")
    loopback.wait_for_text("\n200 A line", after=before)
    parts = [each.text for each in loopback.messages[before:]]
    assert 3 < len(parts) <= 6
    assert all(part.count("```") in (0, 2) for part in parts)
    numbers = [int(line.split()[0]) for part in parts for line in part.splitlines() if "A line" in line]
    assert numbers == list(range(1, 201))


@both
def test_finding(loopback: Loopback, bot: BotProcess, agent: AgentProcess, form: str) -> None:
    shown = answer(loopback, form, "find", "x7 =", "1 hit for `x7 =`")
    assert f"{agent.root}/app.py\n     7 x7 = 7" in shown.text
    answer(loopback, form, "find", "/^x1[0-3] =/", "4 hits for")
    answer(loopback, form, "find", "no such words", "Nothing found for")
    answer(loopback, form, "find", "/(/", "The regular expression is not understood")


@both
def test_watching(loopback: Loopback, bot: BotProcess, agent: AgentProcess, form: str) -> None:
    folder = agent.root / "logs"
    answer(loopback, form, "watch", "logs", f"Watching `{folder}` (directory; ")
    answer(loopback, form, "watches", "", f"`{folder}` (directory; ")
    before = do(loopback, form, "changes")
    loopback.wait("the first look", lambda: len(loopback.messages) > before)
    name = f"{form}.log"
    (folder / name).write_text("one\n", encoding="utf-8")

    def seen() -> bool:
        before = do(loopback, form, "changes")
        loopback.wait("an answer", lambda: len(loopback.messages) > before)
        return f"created  {folder}/{name}" in loopback.messages[before].text

    loopback.wait("the change", seen)
    answer(loopback, form, "changes", "", "Nothing has changed since the last look.")
    answer(loopback, form, "unwatch", "logs", "is not watched any more")
    answer(loopback, form, "watches", "", "Nothing is watched.")
    answer(loopback, form, "watch", "/etc", "outside the allowed directories")


def test_what_is_missing_is_asked_for(loopback: Loopback, bot: BotProcess) -> None:
    asked = (("read", "Which file?"), ("find", "What are you looking for?"), ("run", "There is no command."))
    for name, expected in asked:
        answer(loopback, "prefix", name, "", expected)


def test_nothing_in_a_file_or_its_name_does_anything(loopback: Loopback, bot: BotProcess) -> None:
    before = do(loopback, "prefix", "read", HOSTILE)
    shown = loopback.wait_for_text("alert()", after=before)
    head, _, code = shown.text.partition("\n")
    assert head.count("`") == 2
    assert code.count("```") == 2, "the file's own fences ended the block"
    answer(loopback, "prefix", "find", "evil.example", "1 hit")


def test_the_message_is_marked(loopback: Loopback, bot: BotProcess) -> None:
    good = loopback.say(OWNER, "!read app.py:1")
    loopback.wait("a mark", lambda: loopback.rest.marks(good) == [DONE])
    assert (good, WORKING, True) in loopback.rest.reactions
    bad = loopback.say(OWNER, "!read /etc/shadow")
    loopback.wait("a mark", lambda: loopback.rest.marks(bad) == [REFUSED])
    wrong = loopback.say(OWNER, "!run python3 -c 'raise SystemExit(3)'")
    loopback.wait("a mark", lambda: loopback.rest.marks(wrong) == [FAILED])


def test_strangers_and_those_who_may_not_run(loopback: Loopback, bot: BotProcess) -> None:
    before = len(loopback.messages)
    loopback.say(STRANGER, "!read app.py")
    loopback.wait_for_text("You are not on my list", after=before)
    loopback.say(FRIEND, "!run echo hello")
    loopback.wait_for_text("You may not run commands.", after=before)
    assert not any("hello" in shown.text for shown in loopback.messages[before:])


@both
def test_a_command_from_the_list_runs_at_once(loopback: Loopback, bot: BotProcess, form: str) -> None:
    shown = answer(loopback, form, "run", "echo 'hello  world'", "exit code 0")
    assert shown.text.splitlines()[1:-1] == ["```text", "hello  world", "```"]
    assert shown.text.startswith("`echo 'hello  world'`\n")
    answer(loopback, form, "run", "python3 -c pass", "It printed nothing.")
    answer(loopback, form, "run", "echo 'never closed", "is never closed")
    answer(loopback, form, "jobs", "", "`echo 'hello  world'`")


def test_output_is_live_and_a_progress_bar_shows_its_last_state(loopback: Loopback, bot: BotProcess) -> None:
    code = (
        "import time\nfor n in range(31):\n"
        ' print(f"\\r\\x1b[32mstep {n}\\x1b[0m", end="", flush=True); time.sleep(.1)\nprint(); print("over")'
    )
    before = do(loopback, "prefix", "run", f"```bash\npython3 -c '{code}'\n```")
    shown = loopback.wait_for_text("over\n```", after=before)
    assert "\n```text\nstep 30\nover\n```\n" in shown.text
    assert len(shown.texts) >= 4, "nobody saw it grow"
    assert all(text.count("step") <= 1 for text in (each.partition("```text")[2] for each in shown.texts))
    assert min(later - earlier for earlier, later in pairwise(shown.times)) >= 0.98
    assert len(loopback.messages) == before + 1


def test_long_output_comes_as_a_file_and_limits_on_edits_hold_nothing_up(
    loopback: Loopback, bot: BotProcess, agent: AgentProcess
) -> None:
    (agent.root / "much.py").write_text(
        "import time, pathlib\nfor n in range(1000):\n"
        "    print(f'line {n:04} with the words to make it thirty')\n"
        "    if n % 250 == 0: time.sleep(.6)\n"
        "pathlib.Path('finished').touch()\nprint('@everyone ``` the end https://evil.example')\n",
        encoding="utf-8",
    )
    loopback.rest.refuse_edits = [2.0, 1.5]
    began = time.monotonic()
    before = do(loopback, "prefix", "run", "python3 much.py")
    loopback.wait("the end of the command", lambda: (agent.root / "finished").exists())
    shown = loopback.wait_for_text("exit code 0", after=before)
    assert time.monotonic() - began < 20
    assert not loopback.rest.refuse_edits, "the limits did not bite"
    whole = shown.files["output.txt"].decode()
    assert len(whole) > 30_000
    assert whole.splitlines()[0].startswith("line 0000")
    assert whole.splitlines()[-1] == "@everyone ``` the end https://evil.example"
    assert shown.text.count("```") == 2
    assert "line 0999" in shown.text


@both
def test_a_running_command_can_be_ended(loopback: Loopback, bot: BotProcess, form: str) -> None:
    before = do(loopback, form, "run", "sleep 60")
    job = loopback.wait_for_text("!kill ", after=before).text.partition("!kill ")[2].partition(" ")[0]
    job = job.rstrip("`")
    answer(loopback, form, "jobs", "", f"`{job}` has been running for")
    # "was ended by `!kill`", or "is being ended" when the signal met a sandbox that was still being set up.
    answer(loopback, form, "kill", job, f"`{job}` ")
    loopback.wait_for_text("Was ended by `!kill`; exit code 1", after=before)
    answer(loopback, form, "kill", "nonsense", "You have no such command. !jobs lists yours")


# --- approval ---------------------------------------------------------------------------------------------------


def asked(loopback: Loopback, command: str, form: str = "prefix") -> Shown:
    before = do(loopback, form, "run", command)
    shown = loopback.wait_for_text("wants to run this", after=before)
    # Discord shows it a moment before the bot knows that it does.
    time.sleep(0.2)
    return shown


def not_run(agent: AgentProcess, name: str) -> None:
    time.sleep(0.3)
    assert not (agent.root / name).exists()


@both
def test_a_yes_runs_exactly_what_was_shown(loopback: Loopback, bot: BotProcess, agent: AgentProcess, form: str) -> None:
    shown = asked(loopback, f"touch 'by {form}'", form)
    assert shown.text.startswith(
        f"```sh\ntouch 'by {form}'\n```\n<@{OWNER}> wants to run this. It runs without a shell"
    )
    assert not shown.payloads[0].get("embeds")
    not_run(agent, f"by {form}")
    loopback.click(FRIEND, shown, "Approve")
    loopback.wait("the file", lambda: (agent.root / f"by {form}").exists())
    loopback.wait("the verdict", lambda: f"Approved by <@{FRIEND}>." in shown.text)
    assert shown.buttons == {}
    assert shown.text.startswith(f"```sh\ntouch 'by {form}'\n```")


def test_a_shell_line_says_so(loopback: Loopback, bot: BotProcess, agent: AgentProcess) -> None:
    shown = asked(loopback, "echo one && echo t*o > out.txt; cat out.txt | tr a-z A-Z")
    assert "It is a line for a shell" in shown.text
    before = len(loopback.messages)
    loopback.click(OWNER, shown, "Approve")
    text = loopback.wait_for_text("exit code 0", after=before).text
    assert "```text\none\nT*O\n```" in text


def test_a_no_and_the_wrong_people(loopback: Loopback, bot: BotProcess, agent: AgentProcess) -> None:
    message = len(loopback.messages)
    shown = asked(loopback, "touch denied")
    loopback.click(STRANGER, shown, "Approve")
    refused = loopback.wait_for_text("You may not decide this.", after=message)
    assert refused.ephemeral
    assert set(shown.buttons) == {"Approve", "Deny"}, "somebody else's click ended the request"
    approve = shown.buttons["Approve"]
    loopback.click(OWNER, shown, "Deny")
    loopback.wait("the verdict", lambda: "Denied by" in shown.text)
    loopback.click_id(OWNER, shown, approve)
    assert loopback.wait_for_text("decided already", after=message).ephemeral
    not_run(agent, "denied")


def test_one_click_of_two_wins(loopback: Loopback, bot: BotProcess, agent: AgentProcess) -> None:
    message = len(loopback.messages)
    shown = asked(loopback, "bash -c 'echo once >> count'")
    for _ in range(3):
        loopback.click(OWNER, shown, "Approve")
    loopback.wait_for_text("exit code 0", after=message)
    loopback.wait_for_text("decided already", after=message)
    assert (agent.root / "count").read_text(encoding="utf-8") == "once\n"


def test_a_late_click_runs_nothing(loopback: Loopback, bot: BotProcess, agent: AgentProcess) -> None:
    message = len(loopback.messages)
    shown = asked(loopback, "touch late")
    approve = shown.buttons["Approve"]
    loopback.wait("the end of the request", lambda: "Nobody decided in time" in shown.text, LIFETIME_S + 5)
    assert shown.buttons == {}
    loopback.click_id(OWNER, shown, approve)
    loopback.wait_for_text("has expired; the command was not run", after=message)
    not_run(agent, "late")


def test_an_edit_changes_nothing_but_ends_the_request(loopback: Loopback, bot: BotProcess, agent: AgentProcess) -> None:
    before = len(loopback.messages)
    message = loopback.say(OWNER, "!run touch before-edit")
    shown = loopback.wait_for_text("wants to run this", after=before)
    time.sleep(0.2)
    approve = shown.buttons["Approve"]
    # Discord sends this when it has looked up a link in a message: the text is the same.
    loopback.edit(OWNER, message, "!run touch before-edit")
    time.sleep(0.2)
    assert set(shown.buttons) == {"Approve", "Deny"}
    loopback.edit(OWNER, message, "!run touch after-edit")
    loopback.wait("the end of the request", lambda: "was changed or deleted" in shown.text)
    loopback.click_id(OWNER, shown, approve)
    loopback.wait("a mark", lambda: loopback.rest.marks(message) == [REFUSED])
    not_run(agent, "before-edit")
    not_run(agent, "after-edit")


def test_a_deleted_message_asks_for_nothing(loopback: Loopback, bot: BotProcess, agent: AgentProcess) -> None:
    before = len(loopback.messages)
    message = loopback.say(OWNER, "!run touch deleted")
    shown = loopback.wait_for_text("wants to run this", after=before)
    time.sleep(0.2)
    approve = shown.buttons["Approve"]
    loopback.delete(message)
    loopback.wait("the end of the request", lambda: "was changed or deleted" in shown.text)
    loopback.click_id(OWNER, shown, approve)
    loopback.wait_for_text("decided already", after=before)
    not_run(agent, "deleted")


def test_a_yes_is_for_one_request_and_no_other(loopback: Loopback, bot: BotProcess, agent: AgentProcess) -> None:
    before = len(loopback.messages)
    first, second = asked(loopback, "touch first"), asked(loopback, "touch second")
    # Buttons of one card under another: the id decides, and is nobody's to guess.
    loopback.click_id(OWNER, first, first.buttons["Approve"].rpartition(":")[0] + ":guessed")
    loopback.wait_for_text("has expired; the command was not run", after=before)
    loopback.click(OWNER, second, "Approve")
    loopback.wait("the file", lambda: (agent.root / "second").exists())
    not_run(agent, "first")
    loopback.click(OWNER, first, "Deny")
    loopback.wait("the verdict", lambda: "Denied by" in first.text)
    not_run(agent, "first")


def test_a_card_that_was_changed_is_no_request(loopback: Loopback, bot: BotProcess, agent: AgentProcess) -> None:
    before = len(loopback.messages)
    shown = asked(loopback, "touch other")
    shown.raw |= {"content": "touch harmless", "edited_timestamp": "2026-11-01T12:00:00.000000+00:00"}
    loopback.click(OWNER, shown, "Approve")
    loopback.wait_for_text("was changed after it was sent", after=before)
    not_run(agent, "other")


def test_a_click_counts_on_its_own_card_alone(loopback: Loopback, bot: BotProcess, agent: AgentProcess) -> None:
    before = len(loopback.messages)
    shown = asked(loopback, "touch forged")
    genuine = click(OWNER, shown.raw, shown.buttons["Approve"])
    for forged in (
        {"message": {**shown.raw, "id": str(snowflake())}},
        {"channel_id": str(OTHER_CHANNEL), "channel": channel(OTHER_CHANNEL)},
        {"guild_id": str(OTHER_CHANNEL)},
    ):
        loopback.run(loopback.gateway.dispatch("INTERACTION_CREATE", genuine | {"id": str(snowflake())} | forged))
    loopback.wait("the refusals", lambda: len(loopback.messages) == before + 4)
    assert all("are not those of the request" in each.text for each in loopback.messages[before + 1 :])
    not_run(agent, "forged")
    assert set(shown.buttons) == {"Approve", "Deny"}
    loopback.click(OWNER, shown, "Deny")
    loopback.wait("the verdict", lambda: "Denied by" in shown.text)


def test_a_swept_channel_and_a_deleted_card_end_the_request(
    loopback: Loopback, bot: BotProcess, agent: AgentProcess
) -> None:
    before = len(loopback.messages)
    message = loopback.say(OWNER, "!run touch swept")
    shown = loopback.wait_for_text("wants to run this", after=before)
    time.sleep(0.2)
    swept = {"ids": [message], "channel_id": str(CHANNEL), "guild_id": str(GUILD)}
    loopback.run(loopback.gateway.dispatch("MESSAGE_DELETE_BULK", swept))
    loopback.wait("the end of the request", lambda: "was changed or deleted" in shown.text)
    card = asked(loopback, "touch gone")
    approve = card.buttons["Approve"]
    card.deleted = True
    after = len(loopback.messages)
    loopback.delete(card.raw["id"])
    loopback.wait_for_text("was changed or deleted; it was not run", after=after)
    loopback.click_id(OWNER, card, approve)
    loopback.wait_for_text("decided already", after=after)
    not_run(agent, "gone")
