"""Which model a conversation thinks with: loading, memory, and giving back."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from bot.chat.history import History
from bot.chat.model_choice import ModelChoice, overview
from bot.config import load
from bot.engines import variant
from bot.errors import ConfigError, ModelBroken, OutOfMemory
from bot.events import EngineInfo, Message, Notice
from bot.llm.shelf import Choice, ModelShelf
from tests.fakes import FakeLlm

ONE, TWO, THREE = (1, 7), (2, 7), (3, 7)


class NamedLlm(FakeLlm):
    def __init__(self, name: str, failure: Exception | None = None) -> None:
        super().__init__(lambda _: name)
        self.failure = failure
        self.closed = 0

    async def load(self) -> EngineInfo:
        if self.failure:
            raise self.failure
        return await super().load()

    async def close(self) -> None:
        self.closed += 1


class Shelf:
    def __init__(self, free: int = 100) -> None:
        self.made: list[NamedLlm] = []
        self.quiet = asyncio.Lock()
        others = [
            Choice("big", lambda: self.make("big"), 80),
            Choice("openai:m", lambda: self.make("openai:m")),
            Choice("broken", lambda: self.make("broken", ModelBroken("no"))),
        ]
        self.first = NamedLlm("first")
        self.shelf = ModelShelf("first", self.first, others, free=lambda: free, quiet=self.quiet)

    async def make(self, name: str, failure: Exception | None = None) -> NamedLlm:
        self.made.append(NamedLlm(name, failure))
        return self.made[-1]

    async def ask(self, talk: tuple[int, int]) -> str:
        items = [item async for item in self.shelf.llm(talk).stream((Message("user", "q"),))]
        return "".join(item for item in items if isinstance(item, str)).strip()


def test_each_conversation_has_its_own() -> None:
    async def scene() -> None:
        all_ = Shelf()
        shelf = all_.shelf
        assert await all_.ask(ONE) == "first"
        await shelf.choose(ONE, "big")
        await shelf.choose(THREE, "openai")
        assert [await all_.ask(talk) for talk in (ONE, TWO, THREE)] == ["big", "first", "openai:m"]
        await shelf.choose(TWO, "big")
        assert len(all_.made) == 2, "loaded once"
        await shelf.choose(ONE, "first")
        assert all_.made[0].closed == 0, "the other conversation has it still"
        async with all_.quiet:
            giving = asyncio.create_task(shelf.choose(TWO, "first"))
            await asyncio.sleep(0)
            assert all_.made[0].closed == 0, "an answer is being written"
        await giving
        assert all_.made[0].closed == 1
        await shelf.close()
        assert (all_.made[1].closed, all_.first.closed) == (1, 0)

    asyncio.run(scene())


def test_what_fails_changes_nothing() -> None:
    async def scene() -> None:
        all_ = Shelf(free=79)
        with pytest.raises(OutOfMemory, match="not enough memory for big"):
            await all_.shelf.choose(ONE, "big")
        with pytest.raises(ModelBroken):
            await all_.shelf.choose(ONE, "broken")
        assert all_.made[0].closed == 1
        with pytest.raises(ConfigError, match="There are: first, big, openai:m, broken"):
            await all_.shelf.choose(ONE, "gpt")
        with pytest.raises(ConfigError, match="several"):
            all_.shelf.find("b")
        assert all_.shelf.current(ONE) == "first"
        assert "▸ `first`\n· `big` (not loaded)\n· `openai:m` (elsewhere)" in overview(all_.shelf, ONE)

    asyncio.run(scene())


@pytest.mark.parametrize("kept", [True, False])
def test_the_choice_survives_a_restart(tmp_path: Path, kept: bool) -> None:
    async def scene() -> None:
        async with asyncio.TaskGroup() as tasks:
            path = tmp_path / "c.db" if kept else None
            history = History(path, tasks)
            await ModelChoice(Shelf().shelf, history).choose(ONE, "big")
            await history.close()

            history = History(path, tasks)
            all_ = Shelf()
            notices = [item async for item in ModelChoice(all_.shelf, history).restore(ONE)]
            assert notices == ([Notice("I am loading `big`, which takes some seconds.")] if kept else [])
            assert await all_.ask(ONE) == ("big" if kept else "first")
            if kept:
                short = Shelf(free=1)
                with pytest.raises(OutOfMemory):
                    _ = [item async for item in ModelChoice(short.shelf, history).restore(ONE)]
            await history.close()

    asyncio.run(scene())


def test_the_settings_of_another_model() -> None:
    settings = load(None, {"LLM_MODEL": "phi-3-mini", "OPENAI_MODEL": "gpt-x"})
    assert variant(settings, "openai").llm.openai.model == "gpt-x"
    assert variant(settings, "openai").llm.provider == "openai"
    assert variant(settings, "anthropic:c/1").llm.anthropic.model == "c/1"
    away = load(None, {"LLM_PROVIDER": "anthropic", "LLM_MODEL": "c-2"})
    assert (away.llm.anthropic.model, away.models.llm) == ("c-2", "")
    back = variant(replace(away, models=replace(away.models, local={"llm": Path("x.gguf")})), "qwen2.5-coder-0.5b")
    assert (back.llm.provider, back.models.llm, back.models.local) == ("local", "qwen2.5-coder-0.5b", {})
