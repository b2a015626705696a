"""The loop of tools in front of a scripted model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import pytest

from bot.errors import AgentError, StageError
from bot.events import Message, Tool, ToolCall, Usage
from bot.llm.reply import AGAIN, LAST, ToolReply, trim
from tests.fakes import FakeLlm

READ = Tool("read", "Reads", {"type": "object"})
START = (Message("system", "s"), Message("user", "q"))


class ScriptedLlm(FakeLlm):
    """Each round's text and calls."""

    def __init__(self, *rounds: tuple[str, Sequence[ToolCall]]) -> None:
        super().__init__(lambda _: "")
        self._rounds = rounds
        self.must_answer: list[bool] = []

    async def stream(
        self, messages: Sequence[Message], tools: Sequence[Tool] = (), *, answer: bool = False
    ) -> AsyncGenerator[str | ToolCall | Usage, None]:  # type: ignore[override]
        assert tools == (READ,)
        self.must_answer.append(answer)
        self.prompts.append(tuple(messages))
        text, calls = self._rounds[min(len(self.prompts), len(self._rounds)) - 1]
        if text:
            yield Usage(0, 0, 0, 0.1, "")
            yield text
        for call in calls:
            yield call
        yield Usage(10 * len(self.prompts), 5, 2, 0.1, "tools" if calls else "end")


class Box:
    tools = (READ,)

    def __init__(self, result: str = "content") -> None:
        self.done: list[ToolCall] = []
        self.result = result

    async def call(self, call: ToolCall) -> str:
        self.done.append(call)
        if call.arguments.get("path") == "secret":
            raise AgentError("secret is outside the allowed directories.", "denied")
        return self.result


def call(path: str, number: int = 1, problem: str = "") -> ToolCall:
    return ToolCall(f"c{number}", "read", {"path": path}, problem)


def run(llm: ScriptedLlm, box: Box, **options: int) -> list[Any]:
    async def everything() -> list[Any]:
        return [item async for item in ToolReply(llm, box, **{"budget": 100, **options}).stream(START)]

    return asyncio.run(everything())


def test_a_result_leads_to_the_answer() -> None:
    llm, box = ScriptedLlm(("Let me look.", [call("a.py")]), ("It is empty.", [])), Box()
    items = run(llm, box)
    assert [item for item in items if not isinstance(item, Usage)] == [
        "Let me look.",
        call("a.py"),
        "\n\n",
        "It is empty.",
    ]
    assert llm.prompts[1] == (
        *START,
        Message("assistant", "Let me look.", (call("a.py"),)),
        Message("tool", "content", call_id="c1"),
    )
    assert items[-1] == Usage(20, 10, 4, 0.1, "end")
    assert [item.stop for item in items if isinstance(item, Usage)] == ["", "end"], "none of the rounds in between"


def test_what_goes_wrong_is_told_to_the_model() -> None:
    calls = [call("x", 1, "no such tool."), call("secret", 2), call("a", 3), call("a", 4), call("b", 5)]
    llm, box = ScriptedLlm(("", calls), ("ok", [])), Box()
    run(llm, box, budget=10_000)
    results = [message.content for message in llm.prompts[1][-5:]]
    assert results[0] == "Not done: no such tool."
    assert results[1] == "Not done: secret is outside the allowed directories."
    assert results[2] == "content"
    assert results[3] == AGAIN
    assert results[4].startswith("Not done: at most 4 calls at once")
    assert [each.arguments["path"] for each in box.done] == ["secret", "a"]


def test_one_that_goes_round_in_circles_must_answer() -> None:
    llm = ScriptedLlm(("", [call("a", 1)]), ("", [call("a", 2)]), ("fine", []))
    items = run(llm, Box())
    assert "fine" in items
    assert llm.must_answer == [False, False, True]


def test_it_ends() -> None:
    llm = ScriptedLlm(*(("", [call(f"f{n}", n)]) for n in range(9)))
    with pytest.raises(StageError, match="asked for tools 3 times and gave no answer"):
        run(llm, Box(), rounds=2)
    assert llm.prompts[1][-1].content == "content"
    assert llm.prompts[2][-1].content == f"content{LAST}"
    assert llm.must_answer == [False, False, True]


def test_results_keep_to_the_budget() -> None:
    lines = "".join(f"line {n}\n" for n in range(300))
    llm = ScriptedLlm(*(("", [call(f"f{n}", n)]) for n in range(3)), ("done", []))
    run(llm, Box(lines), budget=200)
    results = [message.content for message in llm.prompts[-1] if message.role == "tool"]
    sizes = [llm.count(result) for result in results]
    assert sizes[0] <= 100
    assert sum(sizes) <= 200
    assert results[0].startswith("line 0\nline 1\n")
    assert results[0].endswith("line 299\n")
    assert "lines in the middle are left out: too long]" in results[0]


def test_trimming() -> None:
    assert trim("short", 9, len) == "short"
    cut = trim("x" * 500, 120, len)
    assert len(cut) <= 120
    assert "characters in the middle are left out" in cut
