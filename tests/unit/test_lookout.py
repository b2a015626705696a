"""What went wrong last, from logs and commands."""

from __future__ import annotations

import asyncio

import pytest

from bot.agent_types import Change, Changes, Watched
from bot.errors import AgentError
from bot.findings import Finding, TraceFrame
from bot.lookout import AGAIN_S, WAIT_S, Explained, Lookout
from bot.sentinel.sentinel import Sentinel
from tests.virtual_clock import run_virtual

TRACE = (
    "Traceback (most recent call last):",
    '  File "/src/shop/cart.py", line 12, in total',
    "    return price / count",
    "ZeroDivisionError: division by zero",
)


class Agent:
    """Says once what is in `news`, then nothing new."""

    def __init__(self, news: tuple[str, ...] = (), failures: int = 0) -> None:
        self.news = news
        self.failures = failures
        self.waits: list[float] = []

    async def changes(self, user: str, cursor: str, *, wait_s: float = 0.0) -> Changes:
        assert user == "lookout"
        self.waits.append(wait_s)
        if self.failures:
            self.failures -= 1
            raise AgentError("The tool agent is not there.", "unreachable")
        if cursor == "2":
            await asyncio.sleep(wait_s)
            return Changes("2", (), 0)
        if not cursor:
            return Changes("1", (), 0)
        return Changes("2", (Change(0.0, "/src/server.log", "lines", "", self.news, ""),), 0)

    async def watch(self, user: str, path: str) -> Watched:
        raise NotImplementedError

    async def unwatch(self, user: str, path: str) -> None:
        raise NotImplementedError

    async def watches(self, user: str) -> tuple[Watched, ...]:
        raise NotImplementedError


class Commands:
    def __init__(self, finding: Finding | None = None) -> None:
        self.finding = finding

    async def latest(self, user: str) -> Finding | None:
        return self.finding


class Asked:
    finding: Finding | None = None

    def question(self, finding: Finding) -> tuple[str, int]:
        self.finding = finding
        return "why?", 0


def lookout(agent: Agent, commands: Commands) -> Lookout:
    return Lookout(agent, detector(), commands, detector)


def detector() -> Sentinel:
    return Sentinel(lambda: asyncio.get_running_loop().time())


def failed(text: str, at: float) -> Finding:
    return Finding("shell", "exit code 1", text.splitlines()[-1], (), None, text, "job 7", "f", last_seen=at)


def test_an_error_in_a_watched_log_is_known_when_it_has_come() -> None:
    async def scene() -> None:
        agent = Agent(TRACE)
        found = lookout(agent, Commands())
        async with found.watching():
            await asyncio.sleep(10)
            seen = await found.latest("1")
        assert seen is not None and seen.top is not None
        assert (seen.type, seen.source) == ("ZeroDivisionError", "/src/server.log")
        assert (seen.top.path, seen.top.line) == ("/src/shop/cart.py", 12)
        assert agent.waits == [0.0, WAIT_S, WAIT_S]

    run_virtual(scene())


def test_it_goes_on_when_the_agent_comes_back() -> None:
    async def scene() -> None:
        found = lookout(Agent(TRACE, failures=3), Commands())
        async with found.watching():
            await asyncio.sleep(4 * AGAIN_S + 5)
            assert (seen := await found.latest("1")) and seen.type == "ZeroDivisionError"

    run_virtual(scene())


def test_of_a_log_and_a_command_the_later_one_counts() -> None:
    async def scene() -> None:
        commands = Commands(failed("\n".join(("$ python shop.py", *TRACE)), at=-1.0))
        found = lookout(Agent(("KeyError: 'x' was expected",)), commands)
        first = await found.latest("1")
        # The command's own words say no more than that it failed; its output says what and where.
        assert first is not None and first.top == TraceFrame("/src/shop/cart.py", 12, None, "total", True)
        assert (first.type, first.source, first.text[:8]) == ("ZeroDivisionError", "job 7", "$ python")
        later = lookout(Agent(TRACE), commands)
        async with later.watching():
            await asyncio.sleep(10)
            newest = await later.latest("1")
        assert newest is not None and newest.source == "/src/server.log"
        commands.finding = failed("it failed, and says no more", at=60.0)
        assert await later.latest("1") == commands.finding

    run_virtual(scene())


def test_the_diagnosis_is_told_which_error_a_text_holds() -> None:
    async def scene() -> None:
        asked = Asked()
        pasted = Finding("", "", "", (), None, "\n".join(TRACE), "", "")
        assert Explained(asked, detector).question(pasted) == ("why?", 0)
        assert asked.finding is not None and asked.finding.top is not None
        assert (asked.finding.type, asked.finding.top.line) == ("ZeroDivisionError", 12)
        assert asked.finding.text == pasted.text
        words = Finding("", "", "", (), None, "it does not work \ud83d", "", "")
        Explained(asked, detector).question(words)
        assert asked.finding == words

    run_virtual(scene())


class Choking(Sentinel):
    """Cannot bear one line."""

    def feed(self, source: str, data: bytes) -> tuple[Finding, ...]:
        if b"poison" in data:
            raise ZeroDivisionError
        return super().feed(source, data)


def test_a_line_that_cannot_be_read_costs_that_piece_alone(caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        agent = Agent(("poison",))
        found = Lookout(agent, Choking(lambda: 0.0), Commands(), detector)
        async with found.watching():
            await asyncio.sleep(5)
            assert len(agent.waits) == 3, "it goes on"
        assert "a defect while a watched log was read" in caplog.text

    run_virtual(scene())
