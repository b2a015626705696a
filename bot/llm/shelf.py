"""The language models at hand, and the one that each conversation thinks with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from bot.errors import ConfigError, OutOfMemory
from bot.events import EngineInfo, Message, Notice, Tool, ToolCall, Usage
from bot.ports import Llm, Talk


@dataclass(frozen=True, slots=True)
class Choice:
    name: str
    make: Callable[[], Awaitable[Llm]]
    """Not loaded yet."""
    needs_bytes: int = 0
    """Memory that loading takes; 0 for a model elsewhere."""


class ModelShelf:
    """Implements ports.Models. One that no conversation uses any more is given back, but for the first."""

    def __init__(
        self, first: str, llm: Llm, others: Sequence[Choice], *, free: Callable[[], int], quiet: asyncio.Lock
    ) -> None:
        """`first` is loaded by somebody else, and is what conversations begin with. `free`: bytes of memory. `quiet` is
        held while an answer is written."""
        self._first = first
        self._loaded: dict[str, Llm] = {first: llm}
        self._others = {choice.name: choice for choice in others if choice.name != first}
        self._free = free
        self._quiet = quiet
        self._talks: dict[Talk, str] = {}
        self._door = asyncio.Lock()

    @property
    def names(self) -> Sequence[str]:
        return (self._first, *self._others)

    def current(self, talk: Talk) -> str:
        return self._talks.get(talk, self._first)

    def ready(self, name: str) -> bool:
        return name in self._loaded

    def find(self, name: str) -> str:
        wanted = name.strip().strip("`").lower()
        exact = [each for each in self.names if each.lower() == wanted]
        begun = [each for each in self.names if each.lower().startswith(wanted)]
        found = exact or begun
        if len(found) == 1 and wanted:
            return found[0]
        what = "fits several models" if found else "is not at hand"
        raise ConfigError(f'"{name[:60]}" {what}. There are: {", ".join(self.names)}.')

    async def choose(self, talk: Talk, name: str) -> None:
        name = self.find(name)
        async with self._door:
            if name not in self._loaded:
                self._loaded[name] = await self._load(self._others[name])
            self._talks[talk] = name
            for unused in set(self._loaded) - {self._first, *self._talks.values()}:
                # Not under an answer that is being written with it.
                async with self._quiet:
                    await self._loaded.pop(unused).close()

    def llm(self, talk: Talk) -> Llm:
        """Always the model that `talk` has chosen."""
        return ChosenLlm(lambda: self._loaded[self.current(talk)])

    async def close(self) -> None:
        """All but the first."""
        for name in [name for name in self._loaded if name != self._first]:
            await self._loaded.pop(name).close()

    async def _load(self, choice: Choice) -> Llm:
        free = self._free()
        if choice.needs_bytes > free:
            raise OutOfMemory(
                f"There is not enough memory for {choice.name}: it needs about {_gb(choice.needs_bytes)}, and "
                f"{_gb(free)} are free. Close other programs, or choose a smaller model."
            )
        llm = await choice.make()
        try:
            await llm.load()
        except BaseException:
            await llm.close()
            raise
        return llm


class ChosenLlm:
    """Implements ports.Llm with whatever model is chosen at the moment of each call."""

    def __init__(self, chosen: Callable[[], Llm]) -> None:
        self._chosen = chosen

    async def load(self) -> EngineInfo:
        return await self._chosen().load()

    async def stream(
        self, messages: Sequence[Message], tools: Sequence[Tool] = (), *, answer: bool = False
    ) -> AsyncGenerator[str | ToolCall | Notice | Usage, None]:
        async with aclosing(self._chosen().stream(messages, tools, answer=answer)) as items:
            async for item in items:
                yield item

    async def warm(self, messages: Sequence[Message], tools: Sequence[Tool] = ()) -> None:
        await self._chosen().warm(messages, tools)

    def count(self, text: str) -> int:
        return self._chosen().count(text)

    async def close(self) -> None:
        """The shelf closes what it has loaded."""


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
