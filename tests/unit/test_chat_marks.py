"""Reactions on users' messages: in order, best effort, and never the end of the bot."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from bot.chat.marks import State
from bot.chat.outlet import Marker
from tests.virtual_clock import run_virtual


class FakeMessage:
    """`seconds` for each call; `error` is raised by the first."""

    def __init__(self, seconds: float = 0.0, error: Exception | None = None, guild: bool = True) -> None:
        self.seconds, self.error = seconds, error
        self.guild = SimpleNamespace(me="me") if guild else None
        self.channel = SimpleNamespace(me="me")
        self.id = 1
        self.shown: list[str] = []

    async def add_reaction(self, emoji: State) -> None:
        await asyncio.sleep(self.seconds)
        if self.error:
            self.error, error = None, self.error
            raise error
        self.shown.append(emoji)

    async def remove_reaction(self, emoji: State, member: str) -> None:
        assert member == "me"
        await asyncio.sleep(self.seconds)
        self.shown.remove(emoji)


def play(message: FakeMessage, *states: State, limit_s: float = 100.0) -> list[str]:
    async def scenario() -> None:
        async with asyncio.TaskGroup() as tasks:
            marker = Marker(tasks)
            mark = marker.of(message)  # type: ignore[arg-type]
            for state in states:
                mark.set(state)
                await asyncio.sleep(0.01)
            await marker.close(limit_s)

    run_virtual(scenario())
    return message.shown


@pytest.mark.parametrize("guild", [True, False], ids=["server", "private"])
@pytest.mark.parametrize("seconds", [0.0, 5.0])
def test_the_last_state_is_left_alone(seconds: float, guild: bool) -> None:
    assert play(FakeMessage(seconds, guild=guild), State.WORKING, State.DONE) == [State.DONE]


def test_nothing_that_goes_wrong_ends_the_bot() -> None:
    assert play(FakeMessage(error=OSError("no network")), State.WORKING, State.FAILED) == [State.FAILED]
    assert play(FakeMessage(error=ZeroDivisionError()), State.WORKING, State.DONE) == [State.DONE]


def test_the_end_does_not_wait_for_them() -> None:
    assert play(FakeMessage(60.0), State.WORKING, limit_s=0.3) == []
