"""Who may use the language model: a spoken answer goes first, written ones wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from typing import Literal

from bot.events import Notice, Usage
from bot.ports import Brain


class ModelGate(asyncio.Lock):
    """For the written answers a lock. A spoken one does not wait for it: a local model ends the stream that it serves
    when a new one begins, and the written answer says so."""

    def __init__(self) -> None:
        super().__init__()
        self._urgent = 0
        self._quiet = asyncio.Event()
        self._quiet.set()

    @contextmanager
    def urgent(self) -> Iterator[None]:
        self._urgent += 1
        self._quiet.clear()
        try:
            yield
        finally:
            self._urgent -= 1
            if not self._urgent:
                self._quiet.set()

    def locked(self) -> bool:
        return self._urgent > 0 or super().locked()

    async def acquire(self) -> Literal[True]:
        await super().acquire()
        try:
            await self._quiet.wait()
        except BaseException:
            self.release()
            raise
        return True


class UrgentBrain:
    """A brain whose answers are spoken."""

    def __init__(self, brain: Brain, gate: ModelGate) -> None:
        self._brain = brain
        self._gate = gate

    async def reply(self, question: str) -> AsyncGenerator[str | Notice | Usage, None]:
        with self._gate.urgent():
            async with aclosing(self._brain.reply(question)) as items:
                async for item in items:
                    yield item

    def answered(self, text: str, *, interrupted: bool = False) -> None:
        self._brain.answered(text, interrupted=interrupted)

    async def warm(self) -> None:
        # It would end a written answer in progress, and is worth less.
        if not self._gate.locked():
            await self._brain.warm()
