"""One conversation by keyboard and by voice at once."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

from bot.chat.conversations import Conversations
from bot.events import Usage
from bot.ports import Brain

WHOLE = Usage(1, 1, 1, 0.0, "end")
CANCELLED = Usage(1, 1, 1, 0.0, "cancelled")


class NotedBrain:
    """Says "a", "b", then `last`."""

    def __init__(self) -> None:
        self.noted: list[str] = []
        self.last = WHOLE

    async def reply(self, question: str) -> AsyncGenerator[str | Usage, None]:
        self.noted.append(f"asked {question}")
        yield "a"
        yield "b"
        yield self.last

    def answered(self, text: str, *, interrupted: bool = False) -> None:
        self.noted.append(f"answered {text}{' -' if interrupted else ''}")

    async def warm(self) -> None:
        self.noted.append("warmed")


def play(script: Callable[[Conversations], Awaitable[None]]) -> list[NotedBrain]:
    made: list[NotedBrain] = []

    def make(channel: int, user: int) -> Brain:
        made.append(NotedBrain())
        return made[-1]

    async def main() -> None:
        await script(Conversations(make))

    asyncio.run(main())
    return made


async def ask(view: Brain, question: str) -> None:
    async with aclosing(view.reply(question)) as items:
        async for _ in items:
            pass


def test_two_ways_lead_into_one_conversation() -> None:
    async def script(talks: Conversations) -> None:
        written, spoken = talks.view(1, 2), talks.view(1, 2)
        other = talks.view(1, 3)
        await ask(written, "x")
        written.answered("ab")
        await spoken.warm()
        await ask(spoken, "y")
        spoken.answered("a", interrupted=True)
        await ask(other, "z")

    first, second = play(script)
    assert first.noted == ["asked x", "answered ab", "warmed", "asked y", "answered a -"]
    assert second.noted == ["asked z"]


def test_a_question_in_the_middle_of_an_answer_closes_it() -> None:
    async def script(talks: Conversations) -> None:
        written, spoken = talks.view(1, 2), talks.view(1, 2)
        async with aclosing(written.reply("x")) as items:
            await anext(items)
            await ask(spoken, "y")
            # What the model says to the keyboard now belongs to no open question any more.
            await anext(items)
        written.answered("ab", interrupted=True)
        spoken.answered("ab")
        await ask(spoken, "z")
        await ask(written, "w")

    (brain,) = play(script)
    assert brain.noted == ["asked x", "answered a -", "asked y", "answered ab", "asked z", "answered ab", "asked w"]


def test_an_answer_that_ended_early_is_not_whole() -> None:
    async def script(talks: Conversations) -> None:
        written, spoken = talks.view(1, 2), talks.view(1, 2)
        await ask(written, "x")
        await ask(spoken, "y")

    made: list[NotedBrain] = []

    async def main() -> None:
        def make(channel: int, user: int) -> Brain:
            made.append(NotedBrain())
            made[-1].last = CANCELLED
            return made[-1]

        await script(Conversations(make))

    asyncio.run(main())
    assert made[0].noted == ["asked x", "answered ab -", "asked y"]


def test_forgetting_reaches_every_view() -> None:
    async def script(talks: Conversations) -> None:
        talks.forget(1, 2)
        spoken = talks.view(1, 2)
        await ask(spoken, "x")
        talks.forget(1, 2)
        spoken.answered("ab")
        await ask(spoken, "y")

    before, after = play(script)
    assert before.noted == ["asked x"]
    assert after.noted == ["asked y"]


def test_a_conversation_nobody_holds_is_let_go() -> None:
    async def script(talks: Conversations) -> None:
        await ask(talks.view(1, 2), "x")
        gc.collect()
        await ask(talks.view(1, 2), "y")

    assert len(play(script)) == 2
