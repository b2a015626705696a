"""Conversations on disk: kept, recalled, forgotten without a trace, and what happens when the disk does not want to."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest

from bot.chat import history as module
from bot.chat.history import KEPT, History
from bot.chat.history_commands import conversation
from bot.chat.remembered import RememberedBrain
from bot.chat.rendering import LIMIT, units
from bot.errors import DiskError
from bot.events import Exchange
from bot.llm.brain import ConversationBrain
from tests.fakes import FakeBrain, FakeLlm

PRIVATE = "the launch code is swordfish"


def with_history(path: Path | None, act: Callable[[History], Awaitable[None]]) -> None:
    async def scenario() -> None:
        async with asyncio.TaskGroup() as tasks:
            history = History(path, tasks)
            try:
                await act(history)
            finally:
                await history.close()

    asyncio.run(scenario())


def on_disk(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.iterdir())


def test_a_conversation_survives_and_is_of_one_user_in_one_channel(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "c.db"

    async def talk(history: History) -> None:
        assert await history.problem() == ""
        for n in range(3):
            history.keep(1, 2, Exchange(f"question {n}", f"answer {n} \N{CRAB}", n == 1))
        history.keep(1, 3, Exchange("other user \ud800", "x\0", False))
        history.keep(4, 2, Exchange("other channel", "x", False))

    async def later(history: History) -> None:
        found = await history.recall(1, 2, 2)
        assert found == [
            Exchange("question 1", "answer 1 \N{CRAB}", True),
            Exchange("question 2", "answer 2 \N{CRAB}", False),
        ]
        assert await history.count(1, 2) == 3
        assert await history.recall(1, 3) == [Exchange("other user ?", "x\0", False)]

    with_history(path, talk)
    with_history(path, later)
    if os.name == "posix":
        assert path.stat().st_mode & 0o077 == 0


def test_what_is_forgotten_is_not_on_the_disk_any_more(tmp_path: Path) -> None:
    path = tmp_path / "c.db"

    async def act(history: History) -> None:
        for n in range(50):
            history.keep(1, 2, Exchange(f"{PRIVATE} {n}", PRIVATE * 40, False))
        history.keep(1, 3, Exchange("stays", "stays", False))
        await asyncio.wait(history._writes)
        assert await history.count(1, 2) == 50
        assert b"swordfish" in on_disk(tmp_path)
        assert await history.forget(1, 2) == 50
        # While the bot still runs, in all files that SQLite has.
        assert b"swordfish" not in on_disk(tmp_path)
        assert await history.recall(1, 2) == []
        assert len(await history.recall(1, 3)) == 1
        assert await history.forget(1, 2) == 0

    with_history(path, act)


def test_old_exchanges_make_room(tmp_path: Path) -> None:
    async def act(history: History) -> None:
        for n in range(KEPT + 30):
            history.keep(1, 2, Exchange(str(n), "x", False))
        await asyncio.wait(history._writes)
        assert await history.count(1, 2) == KEPT
        assert (await history.recall(1, 2, 1))[0].question == str(KEPT + 29)

    with_history(tmp_path / "c.db", act)


def test_a_damaged_file_is_said_and_a_new_one_begun_when_it_is_moved_away(tmp_path: Path) -> None:
    path = tmp_path / "c.db"
    path.write_bytes(b"this is no database at all, but long enough to be one" * 100)

    async def act(history: History) -> None:
        assert (
            await history.problem()
            == f"Conversations cannot be kept: {path} is damaged. Move it away, and a new one is begun."
        )
        history.keep(1, 2, Exchange("lost", "lost", False))
        await asyncio.wait(history._writes)
        with pytest.raises(DiskError, match="damaged"):
            await history.recall(1, 2)
        path.rename(tmp_path / "away")
        history.keep(1, 2, Exchange("kept", "kept", False))
        await asyncio.wait(history._writes)
        assert [each.question for each in await history.recall(1, 2)] == ["kept"]

    with_history(path, act)


def test_a_locked_file_is_said_and_the_lock_may_go_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOCKED_S", 0.1)
    path = tmp_path / "c.db"

    async def act(history: History) -> None:
        assert await history.problem() == ""
        holder = sqlite3.connect(path)
        try:
            holder.execute("BEGIN IMMEDIATE")
            with pytest.raises(DiskError, match="another program holds"):
                await history.forget(1, 2)
        finally:
            holder.close()
        assert await history.forget(1, 2) == 0

    with_history(path, act)


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    async def act(history: History) -> None:
        assert "Set DISCORD_HISTORY to a file that can be written, or to off." in await history.problem()

    with_history(tmp_path / "file" / "c.db", act)


def test_off_keeps_nothing() -> None:
    async def act(history: History) -> None:
        history.keep(1, 2, Exchange("a", "b", False))
        assert await history.problem() == ""
        assert await history.recall(1, 2) == []
        assert (await history.count(1, 2), await history.forget(1, 2)) == (0, 0)

    with_history(None, act)


def test_a_remembered_brain_goes_on_where_it_was(tmp_path: Path) -> None:
    made: list[Sequence[Exchange]] = []

    def make(past: Sequence[Exchange], talk: tuple[int, int]) -> FakeBrain:
        assert talk == (1, 2)
        made.append(past)
        return FakeBrain(["one two", "three"], prompt_s=0, word_s=0)

    async def talk(history: History) -> None:
        brain = RememberedBrain(make, history, None, 1, 2)
        for question in ("a", "b"):
            _ = [item async for item in brain.reply(question)]
            brain.answered(f"to {question}", interrupted=question == "b")
        brain.answered("without a question")

    with_history(tmp_path / "c.db", talk)
    with_history(tmp_path / "c.db", talk)
    assert made == [[], [Exchange("a", "to a", False), Exchange("b", "to b", True)]]


def test_a_brain_is_told_what_was_said() -> None:
    llm = FakeLlm(lambda messages: "fine")
    brain = ConversationBrain(llm, context=4096, max_tokens=100)
    brain.recall([Exchange("What is git?", "A tool.", False), Exchange("And svn?", "An old", True)])

    async def ask() -> None:
        _ = [item async for item in brain.reply("Which is newer?")]

    asyncio.run(ask())
    said = [(each.role, each.content) for each in llm.prompts[0]][-5:]
    assert said[0] == ("user", "What is git?")
    assert said[1] == ("assistant", "A tool.")
    assert said[3][1].startswith("An old")
    assert said[4] == ("user", "Which is newer?")


def test_what_history_shows() -> None:
    assert "not talked here yet" in conversation([], 0).parts[0]
    shown = conversation([Exchange("q ``` @everyone", "a" * 5000, True)] * 3, 12)
    assert shown.parts[0].startswith("The last 3 of 12 questions here:")
    assert all(units(part) <= LIMIT for part in shown.parts)
    assert "(cut short)" in shown.parts[-1]
