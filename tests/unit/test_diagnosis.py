"""How a model is asked what went wrong, and which failure is the latest."""

from __future__ import annotations

import asyncio

import pytest

from bot.agent_types import Command, Job, Output
from bot.chat.failed_runs import FailedRuns, latest_failure
from bot.errors import AgentError
from bot.findings import Finding, TraceFrame
from bot.llm.brain import ConversationBrain
from bot.llm.diagnosis import AFTER, BEFORE, LINE, DiagnosisQuestion, middle_out
from bot.ports import Diagnosis, Findings
from tests.fakes import FakeLlm


def pasted(text: str) -> Finding:
    return Finding("", "", "", (), None, text, "", "")


def question(finding: Finding, room: int = 2000) -> tuple[str, int]:
    diagnosis: Diagnosis = DiagnosisQuestion(lambda text: len(text) // 4, lambda: room)
    return diagnosis.question(finding)


def test_what_is_known_stands_before_the_text() -> None:
    top = TraceFrame("app/cart.py", 41, function="total")
    finding = Finding("python", "ZeroDivisionError", "by zero", (top,), top, "Traceback ...", "logs/app.log", "f", 3)
    asked, left_out = question(finding)
    assert asked == (
        f"{BEFORE}\nIt comes from logs/app.log.\nError: ZeroDivisionError: by zero\n"
        "Where to look first: app/cart.py:41 in total\nIt came 3 times.\n```text\nTraceback ...\n```\n" + AFTER
    )
    assert left_out == 0
    assert question(pasted("  \n"))[0] == f"{BEFORE}\nIt printed nothing.\n{AFTER}"


def test_a_text_with_fences_stays_in_its_own() -> None:
    assert question(pasted("a\n```py\nb\n```"))[0].endswith("\n````text\na\n```py\nb\n```\n````\n" + AFTER)


@pytest.mark.parametrize("room", [300, 600, 1600])
def test_of_a_long_log_the_middle_is_left_out_first(room: int) -> None:
    lines = [f"line {n:05} of a log" for n in range(20_000)]
    asked, left_out = question(pasted("\n".join(lines)), room)
    assert room * 0.9 < len(asked) // 4 <= room, "the room is not used"
    body = asked.partition("```text\n")[2].removesuffix("\n```\n" + AFTER).splitlines()
    mark = body.index(f"[{left_out} lines are left out here]")
    assert body[:mark] == lines[:mark]
    assert body[mark + 1 :] == lines[mark + left_out :]
    assert mark < len(body) - mark, "the end is worth more than the beginning"


def test_one_endless_line_is_cut_in_its_middle_too() -> None:
    asked, left_out = question(pasted("a" * 50_000 + "the end"), 400)
    assert left_out > 100
    assert asked.endswith("the end\n```\n" + AFTER)
    assert max(map(len, asked.removesuffix(AFTER).splitlines())) == LINE


def test_no_text_is_too_long_to_be_asked_about() -> None:
    def count(text: str) -> int:
        assert len(text) < 20_000, "megabytes must not be counted"
        return len(text) // 4

    asked, left_out = DiagnosisQuestion(count, lambda: 1000).question(pasted("x\n" * 3_000_000))
    assert left_out > 2_900_000
    assert asked


def test_the_room_is_what_the_brain_takes_whole() -> None:
    brain = ConversationBrain(FakeLlm(lambda _: ""), context=1000, max_tokens=200)
    for size, whole in ((brain.longest, True), (brain.longest + 1, False)):
        text = " ".join(["word"] * size)
        brain._history.ask(text)
        assert (brain._history.messages[-1].content == text) is whole


def test_middle_out_keeps_what_it_is_told() -> None:
    lines = list("abcdefgh")
    assert middle_out(lines, 8) == lines
    assert middle_out(lines, 4) == ["a", "[4 lines are left out here]", "f", "g", "h"]
    assert middle_out(lines, 0) == ["[8 lines are left out here]"]


def job(number: str, command: str, code: int | None, *, ended_by: str = "exit", state: str = "done") -> Job:
    return Job(number, command, "/", state, 0.0, 1.0, code, "", ended_by)


class Agent:
    """Has one failed command, and its output in two pieces."""

    async def jobs(self, user: str) -> tuple[Job, ...]:
        if user != "7":
            raise AgentError("The agent does not answer.", "unreachable")
        return (job("3", "pytest -q", 1),)

    async def output(self, user: str, job_id: str, offset: int) -> Output:
        pieces = {0: Output(b"\x1b[31mFAIL", 9, 0, False), 9: Output(b"ED\x1b[0m a\n\n", 30, 5, True)}
        return pieces[offset]

    async def run(self, user: str, command: Command, approval: str | None) -> Job:
        raise NotImplementedError

    async def job(self, user: str, job_id: str, wait_s: float) -> Job:
        raise NotImplementedError

    async def kill(self, user: str, job_id: str) -> Job:
        raise NotImplementedError


def test_a_failed_run_is_a_finding_with_its_whole_output() -> None:
    findings: Findings = FailedRuns(Agent())
    found = asyncio.run(findings.latest("7"))
    assert found is not None
    assert (found.type, found.message, found.source) == ("exit code 1", "ED a", "job 3")
    assert (
        found.text == "$ pytest -q\nFAIL\n[5 bytes of output were not kept]\nED a\n[It ended; exit code 1, after 1.0 s]"
    )
    again = asyncio.run(findings.latest("7"))
    assert again is not None
    assert again.fingerprint == found.fingerprint
    with pytest.raises(AgentError):
        asyncio.run(findings.latest("8"))


def test_the_latest_failure_is_one_that_still_stands() -> None:
    running = job("6", "make", None, ended_by="", state="running")
    killed = job("5", "sleep 60", 143, ended_by="killed")
    mended, broken = job("4", "pytest", 0), job("3", "pytest", 1)
    slow, older = job("2", "make", 137, ended_by="timeout"), job("1", "ls x", 2)
    assert latest_failure([running, killed, mended, broken, slow, older]) is slow
    assert latest_failure([broken, mended]) is broken, "it failed again after it had passed"
    assert latest_failure([running, killed, mended, broken]) is None
