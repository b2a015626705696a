"""A conversation that goes on where it was before the last restart. Knows no py-cord."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing

from bot.chat.history import History
from bot.chat.model_choice import ModelChoice
from bot.errors import DiskError
from bot.events import Exchange, Notice, Usage
from bot.ports import Brain, Talk

log = logging.getLogger(__name__)


class RememberedBrain:
    """A Brain that is made with its first question, from what is on disk, and puts there what is said."""

    def __init__(
        self,
        make_brain: Callable[[Sequence[Exchange], Talk], Brain],
        history: History,
        choice: ModelChoice | None,
        channel: int,
        user: int,
    ) -> None:
        self._make_brain = make_brain
        self._history = history
        self._choice = choice
        self._key = (channel, user)
        self._brain: Brain | None = None
        self._restored = False
        self._question = ""

    async def reply(self, question: str) -> AsyncGenerator[str | Notice | Usage, None]:
        if self._choice is not None and not self._restored:
            async for notice in self._choice.restore(self._key):
                yield notice
            self._restored = True
        brain = await self._awake()
        self._question = question
        async with aclosing(brain.reply(question)) as items:
            async for item in items:
                yield item

    def answered(self, text: str, *, interrupted: bool = False) -> None:
        if self._brain is not None and self._question:
            self._brain.answered(text, interrupted=interrupted)
            self._history.keep(*self._key, Exchange(self._question, text, interrupted))
            self._question = ""

    async def warm(self) -> None:
        await (await self._awake()).warm()

    async def _awake(self) -> Brain:
        if self._brain is None:
            past = await self._recalled()
            # Somebody else may have been quicker.
            self._brain = self._brain or self._make_brain(past, self._key)
        return self._brain

    async def _recalled(self) -> Sequence[Exchange]:
        try:
            return await self._history.recall(*self._key)
        except DiskError as error:
            log.warning("a conversation begins anew: %s", error)
            return ()
