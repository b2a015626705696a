"""How a new error looks."""

from __future__ import annotations

import asyncio

from bot.agent_types import FilePage, Hits
from bot.chat.finding_card import card, lines_around
from bot.chat.noticeboard import QUEUE, Noticeboard
from bot.chat.text import Outlet
from bot.errors import AgentError
from bot.findings import Finding, TraceFrame
from tests.virtual_clock import run_virtual

TOP = TraceFrame("/src/cart.py", 12, None, "total", True)
FOUND = Finding("python", "ZeroDivisionError", "division by zero", (TOP,), TOP, "the text", "/src/server.log", "f")


def test_it_names_the_place_and_marks_the_line() -> None:
    assert lines_around(12) == (9, 6)
    assert lines_around(2) == (1, 4)
    shown = card(FOUND, ((11, "def total():"), (12, "    return 1 / 0")), left_out=3)
    assert shown.splitlines() == [
        "🔎 New error: `ZeroDivisionError: division by zero`",
        "at `/src/cart.py:12` in `total`, from `/src/server.log`",
        "```py",
        "  11 def total():",
        "> 12     return 1 / 0",
        "```",
        "3 more came at once and are not shown.",
        "`!debug` looks into it again.",
    ]


def test_without_source_it_shows_what_was_printed_and_fits_into_a_message() -> None:
    long = Finding("", "E" * 400, "m" * 400, (), None, "```@everyone " + "x" * 9000, "s" * 400, "f")
    shown = card(long, ())
    assert len(shown) < 2000
    assert shown.count("```") == 2
    source = tuple((n, "y" * 5000) for n in range(9, 15))
    assert len(card(Finding("", "E", "m", (TOP,), TOP, "", "log", "f"), source)) < 2000


class Place:
    """A channel."""

    id = 5

    def __init__(self) -> None:
        self.sent: list[str] = []

    async def send(self, text: str) -> None:
        self.sent.append(text)


class Files:
    async def read(self, user: str, path: str, first_line: int, lines: int) -> FilePage:
        raise AgentError("Outside.", "denied")

    async def find(self, user: str, pattern: str, *, regex: bool) -> Hits:
        raise NotImplementedError


class Diagnosis:
    def question(self, finding: Finding) -> tuple[str, int]:
        return f"why {finding.message}?", 0


def test_it_is_shown_where_somebody_watches_and_diagnosed_so_often_and_no_more() -> None:
    async def scene() -> None:
        asked: list[tuple[int, int, str]] = []

        def ask(channel: int, user: int, question: str, outlet: Outlet) -> str:
            asked.append((channel, user, question))
            return ""

        board = Noticeboard(Files(), Diagnosis(), ask, per_hour=2)
        board.tell(FOUND)
        place = Place()
        board.place = place  # type: ignore[assignment]
        for _ in range(QUEUE + 4):
            board.tell(FOUND)
        showing = asyncio.create_task(board.run())
        await asyncio.sleep(1)
        assert len(place.sent) == 1 and "4 more came at once" in place.sent[0] and "the text" in place.sent[0]
        await asyncio.sleep(1000)
        assert len(place.sent) == QUEUE
        assert asked == [(5, 0, "why division by zero?")] * 2
        await asyncio.sleep(3600)
        board.tell(FOUND)
        await asyncio.sleep(1)
        assert len(asked) == 3
        showing.cancel()
        await asyncio.wait([showing])

    run_virtual(scene())
