"""An answer that may need tools: the model asks, a toolbox does, until there is an answer. Knows neither Discord nor
the tool agent."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from bot.errors import SidetoneError, StageError
from bot.events import Message, Notice, ToolCall, Usage
from bot.ports import Llm, Toolbox

ROUNDS = 5
"""Times that a model may ask for tools in one answer."""
AT_ONCE = 4
"""Calls of one round that are done."""
LEAST = 24
"""Tokens that a result may always have: enough to say what went wrong."""

TOO_MANY = "Not done: at most {most} calls at once. Call it again if it is still needed."
AGAIN = "You have the result of this already, above. Answer the question with it, in one sentence."
LAST = "\n(This was the last call. Answer now with what you know, and say what is missing.)"
NO_ANSWER = "The model asked for tools {rounds} times and gave no answer. Ask for something narrower."


@dataclass(slots=True)
class _Heard:
    """Of a model, in the newest round."""

    text: str = ""
    calls: list[ToolCall] = field(default_factory=list)
    spent: Usage = field(default_factory=lambda: Usage(0, 0, 0, 0.0, ""))
    """Of all rounds."""
    shown: bool = False
    """Whether there was text, in any round."""


class ToolReply:
    def __init__(self, llm: Llm, toolbox: Toolbox, *, budget: int, rounds: int = ROUNDS) -> None:
        """`budget`: tokens of the context that results may take, together."""
        self._llm = llm
        self._toolbox = toolbox
        self._budget = budget
        self._rounds = rounds

    async def stream(self, messages: Sequence[Message]) -> AsyncGenerator[str | ToolCall | Notice | Usage, None]:
        """As Llm.stream: text, each call before it is done, and one Usage at either end. Raises StageError,
        ProviderError; what a tool raises is told to the model."""
        talk = list(messages)
        left = self._budget
        done: set[str] = set()
        heard = _Heard()
        answer = False
        for number in range(self._rounds + 1):
            async with aclosing(self._ask(talk, heard, answer or number == self._rounds)) as items:
                async for item in items:
                    yield item
            if heard.spent.stop == "cancelled" or not heard.calls:
                yield heard.spent
                return
            talk.append(Message("assistant", heard.text, tuple(heard.calls)))
            # A model that does the same again goes round in circles: next time it must answer.
            answer = True
            for index, call in enumerate(heard.calls):
                yield call
                result = TOO_MANY.format(most=AT_ONCE) if index >= AT_ONCE else await self._result(call, done)
                answer = answer and result == AGAIN
                result = trim(result, max(LEAST, left // 2), self._llm.count)
                left -= self._llm.count(result)
                last = index == len(heard.calls) - 1 and number == self._rounds - 1
                talk.append(Message("tool", result + (LAST if last else ""), call_id=call.id))
        raise StageError(NO_ANSWER.format(rounds=self._rounds + 1))

    async def _ask(
        self, talk: Sequence[Message], heard: _Heard, answer: bool
    ) -> AsyncGenerator[str | Notice | Usage, None]:
        """One round: what is to be shown of it; all of it is in `heard` then."""
        before, heard.text = heard.shown, ""
        heard.calls.clear()
        async with aclosing(self._llm.stream(talk, self._toolbox.tools, answer=answer)) as items:
            async for item in items:
                if isinstance(item, ToolCall):
                    heard.calls.append(item)
                elif isinstance(item, Usage):
                    if item.stop:
                        heard.spent = _and(heard.spent, item)
                    elif not heard.shown:
                        yield item
                elif isinstance(item, Notice):
                    yield item
                else:
                    if before and not heard.text:
                        yield "\n\n"
                    heard.text += item
                    heard.shown = True
                    yield item

    async def _result(self, call: ToolCall, done: set[str]) -> str:
        if call.problem:
            return f"Not done: {call.problem}"
        key = json.dumps([call.name, dict(call.arguments)], sort_keys=True)
        if key in done:
            return AGAIN
        done.add(key)
        try:
            return await self._toolbox.call(call) or "(nothing)"
        except SidetoneError as error:
            return f"Not done: {error}"


def trim(text: str, tokens: int, count: Callable[[str], int]) -> str:
    """Within `tokens`: the middle goes first, and what is cut is named."""
    if count(text) <= tokens:
        return text
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if count(_cut(text, middle)) <= tokens else (low, middle - 1)
    return _cut(text, low)


def _cut(text: str, keep: int) -> str:
    """A little more of the beginning than of the end, in whole lines where there are any."""
    begin, end = text[: keep * 3 // 5], text[len(text) - (keep - keep * 3 // 5) :]
    begin = begin[: begin.rfind("\n") + 1] or begin
    end = end[end.find("\n") + 1 :] or end
    left_out = text[len(begin) : len(text) - len(end)]
    lines = left_out.count("\n")
    what = f"{lines} lines" if lines > 1 else f"{len(left_out)} characters"
    return f"{begin}\n[{what} in the middle are left out: too long]\n{end}"


def _and(before: Usage, now: Usage) -> Usage:
    """Together; the prompt is the newest, which holds all that came before."""
    return replace(
        now,
        evaluated_tokens=before.evaluated_tokens + now.evaluated_tokens,
        completion_tokens=before.completion_tokens + now.completion_tokens,
        prompt_seconds=before.prompt_seconds or now.prompt_seconds,
    )
