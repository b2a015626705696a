"""A model elsewhere behind the port of the local one: retries that say so, and nothing that falls back to another."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Protocol
from urllib.parse import urlsplit

from bot.errors import ProviderError
from bot.events import EngineInfo, Message, Notice, Tool, ToolCall, Usage
from bot.provider import PASSING, Provider
from bot.worker import Worker

log = logging.getLogger(__name__)

WAITS_S = (1.0, 3.0, 8.0)
"""Before the second, third and fourth try."""
PATIENCE_S = 20.0
"""When a provider asks for a longer wait, the user is told instead."""
BYTES_PER_TOKEN = 3
"""English and code have 3.5 to 4.5: the estimate is rather too high."""


class Wire(Protocol):
    """One provider's API."""

    @property
    def who(self) -> Provider: ...

    def open(self) -> None:
        """Imports the SDK, which takes a second or two. Raises MissingPackage."""

    def stream(
        self, messages: Sequence[Message], tools: Sequence[Tool], answer: bool
    ) -> AsyncGenerator[str | ToolCall | Usage, None]:
        """One try. Raises ProviderError."""

    async def close(self) -> None: ...


class CloudLlm:
    """Implements ports.Llm."""

    def __init__(self, wire: Wire, waits_s: Sequence[float] = WAITS_S) -> None:
        self._wire = wire
        self._waits_s = waits_s

    async def load(self) -> EngineInfo:
        who = self._wire.who
        started = asyncio.get_running_loop().time()
        worker = Worker("import-sdk")
        try:
            await worker.run(self._wire.open)
        finally:
            worker.close()
        took = asyncio.get_running_loop().time() - started
        return EngineInfo("llm", who.model, who.model, 0, urlsplit(who.address).netloc, took, 0)

    async def stream(
        self, messages: Sequence[Message], tools: Sequence[Tool] = (), *, answer: bool = False
    ) -> AsyncGenerator[str | ToolCall | Notice | Usage, None]:
        for number, wait_s in enumerate((*self._waits_s, None), 2):
            begun = False
            try:
                async with aclosing(self._wire.stream(messages, tools, answer)) as items:
                    async for item in items:
                        begun = begun or not isinstance(item, Usage)
                        yield item
                return
            except ProviderError as error:
                # What was said already would be said twice.
                if begun or wait_s is None or error.reason not in PASSING:
                    raise
                pause_s = max(wait_s, error.retry_after_s or 0.0)
                if pause_s > PATIENCE_S:
                    raise
                log.info("try %d failed: %s", number - 1, error)
                again = f"(trying again in {pause_s:.0f} s: try {number} of {len(self._waits_s) + 1})"
                notice = Notice(f"{str(error).partition('. ')[0]} {again}")
            yield notice
            await asyncio.sleep(pause_s)

    async def warm(self, messages: Sequence[Message], tools: Sequence[Tool] = ()) -> None:
        """Its caches are warmed by asking, which costs money: nothing is asked ahead of a question."""

    def count(self, text: str) -> int:
        return -(-len(text.encode("utf-8", "replace")) // BYTES_PER_TOKEN)

    async def close(self) -> None:
        await self._wire.close()
