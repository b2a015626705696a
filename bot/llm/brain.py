"""One conversation with one language model."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from bot.events import Exchange, Message, Notice, ToolCall, Usage
from bot.llm.history import Conversation
from bot.llm.prompt import OPENING
from bot.ports import Llm

MARGIN = 16
"""Tokens of the context that stay free for what a template adds at the end."""


class ConversationBrain:
    def __init__(self, llm: Llm, *, context: int, max_tokens: int, opening: Sequence[Message] = OPENING) -> None:
        """`context` and `max_tokens` are the model's: what the answer may take is not there for the history."""
        self._llm = llm
        # An answer that may be longer than half the context is cut by the model's own end, not at the history's cost.
        budget = context - min(max_tokens, context // 2) - MARGIN
        self._history = Conversation(opening, budget=budget, count=llm.count)

    @property
    def longest(self) -> int:
        """Tokens that one question may have; of a longer one the end is cut."""
        return self._history.longest

    async def reply(self, question: str) -> AsyncGenerator[str | Notice | Usage, None]:
        self._history.ask(question)
        async with aclosing(self._llm.stream(self._history.messages)) as items:
            async for item in items:
                # None is offered here, so none can come.
                if not isinstance(item, ToolCall):
                    yield item

    def answered(self, text: str, *, interrupted: bool = False) -> None:
        self._history.answered(text, interrupted=interrupted)

    def recall(self, past: Sequence[Exchange]) -> None:
        """What was said in this conversation before, oldest first."""
        for each in past:
            self._history.ask(each.question)
            self._history.answered(each.answer, interrupted=each.interrupted)

    async def warm(self) -> None:
        await self._llm.warm(self._history.messages)
