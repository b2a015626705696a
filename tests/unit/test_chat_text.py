"""Streaming into Discord on a virtual clock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from itertools import pairwise

from bot.chat import text as chat
from bot.chat.text import (
    BUSY,
    EMPTY,
    LENGTH,
    STOPPED,
    TAKEN_OVER,
    THINKING,
    WAITING,
    MessageGone,
    Post,
    StreamedAnswer,
    TextDesk,
)
from bot.errors import DiscordError, StageError
from bot.events import Usage
from bot.ports import Brain
from tests.fakes import FakeBrain
from tests.virtual_clock import run_virtual


@dataclass
class FakeOutlet:
    """One channel. `errors` are raised by the next writes; each write takes `seconds`."""

    seconds: float = 0.0
    errors: list[DiscordError | None] = field(default_factory=list)
    writes: list[tuple[float, int, str]] = field(default_factory=list)
    """When the write began, which message, which text."""
    posts: int = 0

    async def post(self, text: str, file: str = "") -> Post:
        number, self.posts = self.posts, self.posts + 1
        await self.write(number, text)
        return FakePost(self, number)

    async def write(self, number: int, text: str) -> None:
        began = asyncio.get_running_loop().time()
        await asyncio.sleep(self.seconds)
        if self.errors and (error := self.errors.pop(0)):
            raise error
        self.writes.append((began, number, text))


@dataclass
class FakePost:
    outlet: FakeOutlet
    number: int

    async def edit(self, text: str) -> None:
        await self.outlet.write(self.number, text)


TALE = " ".join(f"w{n}" for n in range(100))
"""A little over 3 s of FakeBrain."""


def answer(brain: FakeBrain, outlet: FakeOutlet) -> None:
    run_virtual(StreamedAnswer(brain, outlet, asyncio.Lock()).run("?"))


def test_edits_are_a_second_apart_and_the_last_is_whole() -> None:
    brain, outlet = FakeBrain([TALE]), FakeOutlet()
    answer(brain, outlet)
    assert outlet.writes[0] == (0.0, 0, THINKING)
    times = [t for t, _, _ in outlet.writes[1:]]
    assert len(times) >= 4
    assert all(later - earlier >= chat.EDIT_GAP_S - 1e-9 for earlier, later in pairwise(times))
    assert outlet.writes[-1][2] == TALE
    assert brain.history == [(TALE, False)]


def test_the_model_never_waits_for_discord() -> None:
    finished: list[float] = []

    class Timed(FakeBrain):
        async def reply(self, question: str) -> AsyncGenerator[str | Usage, None]:
            async for item in super().reply(question):
                yield item
            finished.append(asyncio.get_running_loop().time())

    outlet = FakeOutlet(seconds=20.0)
    answer(Timed([TALE]), outlet)
    assert finished[0] < 3.5
    assert outlet.writes[-1][2] == TALE


def test_a_refused_edit_is_overtaken_and_the_last_is_sent_again() -> None:
    refused = DiscordError("no")
    outlet = FakeOutlet(errors=[None, refused])
    answer(FakeBrain([TALE]), outlet)
    assert outlet.writes[-1][2] == TALE
    outlet = FakeOutlet(errors=[None, refused, refused, refused])
    answer(FakeBrain(["short"]), outlet)
    assert [text for _, _, text in outlet.writes] == [THINKING, "short"]


def test_what_cannot_be_shown_at_all_ends_the_answer() -> None:
    brain, outlet = FakeBrain([TALE]), FakeOutlet(errors=[DiscordError("forbidden")])
    answer(brain, outlet)
    assert outlet.writes == []
    assert brain.words < 10


def test_a_deleted_message_ends_the_answer() -> None:
    brain, outlet = FakeBrain([TALE]), FakeOutlet(errors=[None, None, MessageGone("gone")])
    answer(brain, outlet)
    assert brain.words < 60
    assert brain.history[0][1], "only the beginning was read"


def test_failures_are_sentences() -> None:
    outlet = FakeOutlet()
    answer(FakeBrain([StageError("It failed.")]), outlet)
    assert outlet.writes[-1][2] == "It failed."
    brain = FakeBrain([""])
    answer(brain, outlet)
    assert outlet.writes[-1][2] == EMPTY
    assert brain.history == []


def test_one_answer_at_a_time_per_conversation() -> None:
    brains: list[FakeBrain] = []

    def make_brain(channel: int, user: int) -> Brain:
        brains.append(FakeBrain([TALE, "second"]))
        return brains[-1]

    async def scenario() -> None:
        async with asyncio.TaskGroup() as tasks:
            desk = TextDesk(make_brain, tasks)
            assert desk.ask(1, 1, "a", FakeOutlet()) == ""
            assert desk.ask(1, 1, "b", FakeOutlet()) == BUSY
            assert desk.ask(1, 2, "c", FakeOutlet()) == ""
            assert desk.ask(2, 1, "d", FakeOutlet()) == ""
            assert (desk.conversations, desk.answering) == (3, 3)
            await asyncio.sleep(10)
            assert desk.answering == 0
            assert desk.ask(1, 1, "e", FakeOutlet()) == ""

    run_virtual(scenario())
    assert [brain.questions for brain in brains] == [["a", "e"], ["c"], ["d"]]


def test_a_question_while_the_last_words_are_on_their_way_is_not_refused() -> None:
    brain, slow, second = FakeBrain(["first", "second"]), FakeOutlet(seconds=5.0), FakeOutlet()

    async def scenario() -> None:
        async with asyncio.TaskGroup() as tasks:
            desk = TextDesk(lambda channel, user: brain, tasks)
            desk.ask(1, 1, "a", slow)
            await asyncio.sleep(2.0)
            assert desk.ask(1, 1, "b", second) == ""
            assert desk.ask(1, 1, "c", FakeOutlet()) == BUSY

    run_virtual(scenario())
    assert second.writes[-1][2] == "second"
    assert second.writes[0][0] >= slow.writes[-1][0] + 5.0
    assert brain.history == [("first", False), ("second", False)]


def test_a_conversation_can_be_forgotten_while_its_last_words_are_on_their_way() -> None:
    brain, slow = FakeBrain(["first"]), FakeOutlet(seconds=5.0)

    async def scenario() -> None:
        async with asyncio.TaskGroup() as tasks:
            desk = TextDesk(lambda channel, user: brain, tasks)
            desk.ask(1, 1, "a", slow)
            await desk.settle(1, 1)
            assert desk.forget(1, 1) == BUSY, "the model still answers"
            await asyncio.sleep(2.0)
            assert desk.forget(1, 1) == BUSY
            await desk.settle(1, 1)
            assert brain.history == [("first", False)], "it would be kept after it was forgotten"
            assert desk.forget(1, 1) == ""
            await desk.settle(1, 1)

    run_virtual(scenario())


def test_conversations_take_turns_at_the_model() -> None:
    class Model:
        """The newest stream ends the one before, as with the local model."""

        newest: Takeover | None = None

    class Takeover(FakeBrain):
        async def reply(self, question: str) -> AsyncGenerator[str | Usage, None]:
            Model.newest = self
            async for item in super().reply(question):
                if Model.newest is not self:
                    yield Usage(0, 0, 0, 0.0, "cancelled")
                    return
                yield item

    first, second = FakeOutlet(), FakeOutlet()

    async def scenario() -> None:
        async with asyncio.TaskGroup() as tasks:
            desk = TextDesk(lambda channel, user: Takeover([TALE]), tasks)
            desk.ask(1, 1, "?", first)
            await asyncio.sleep(0.5)
            desk.ask(1, 2, "?", second)

    run_virtual(scenario())
    assert second.writes[0][2] == WAITING
    assert (first.writes[-1][2], second.writes[-1][2]) == (TALE, TALE)


def test_an_answer_that_the_model_cut_says_so() -> None:
    class Ending(FakeBrain):
        async def reply(self, question: str) -> AsyncGenerator[str | Usage, None]:
            yield "half of"
            yield Usage(1, 1, 1, 0.0, question)

    for stop, note, interrupted in (("length", LENGTH, False), ("cancelled", TAKEN_OVER, True)):
        brain, outlet = Ending([]), FakeOutlet()
        run_virtual(StreamedAnswer(brain, outlet, asyncio.Lock()).run(stop))
        assert outlet.writes[-1][2] == f"half of\n\n{note}"
        assert brain.history == [("half of", interrupted)]


def test_only_idle_conversations_are_forgotten() -> None:
    async def scenario() -> None:
        async with asyncio.TaskGroup() as tasks:
            desk = TextDesk(lambda channel, user: FakeBrain(["short"]), tasks)
            for user in range(chat.MAX_CONVERSATIONS + 5):
                desk.ask(1, user, "?", FakeOutlet())
            assert desk.conversations == chat.MAX_CONVERSATIONS + 5
            await asyncio.sleep(100)
            desk.ask(2, 0, "?", FakeOutlet())
            assert desk.conversations == chat.MAX_CONVERSATIONS

    run_virtual(scenario())


def test_closing_shows_what_there_is() -> None:
    started, fresh, stuck = FakeOutlet(), FakeOutlet(), FakeOutlet(seconds=60.0)

    async def scenario() -> float:
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as tasks:
            desk = TextDesk(lambda channel, user: FakeBrain([TALE]), tasks)
            desk.ask(1, 1, "?", started)
            desk.ask(1, 2, "?", stuck)
            await asyncio.sleep(1.0)
            desk.ask(1, 3, "?", fresh)
            closing = loop.time()
            await desk.close(1.8)
            assert desk.ask(1, 4, "?", FakeOutlet()) == STOPPED
        return loop.time() - closing

    assert run_virtual(scenario()) <= 1.81
    assert started.writes[-1][2].startswith("w0 w1")
    assert started.writes[-1][2].endswith(STOPPED)
    assert fresh.writes[-1][2] == STOPPED
    assert stuck.writes == []


def test_the_doubles_fit_the_ports() -> None:
    outlet: chat.Outlet = FakeOutlet()
    brain: Brain = FakeBrain([])
    assert outlet and brain
