"""The real local model: calls of tools that are well-formed whatever it writes, and several conversations at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from bot.events import Message, Tool, ToolCall, Usage
from bot.llm.local import LocalLlm
from bot.llm.sampler import Sampling

pytestmark = pytest.mark.slow

MODEL = Path(__file__).resolve().parents[2] / "models" / "llm" / "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf"
TOOLS = (
    Tool(
        "read_file",
        "Reads a file of the project",
        {
            "type": "object",
            "properties": {"path": {"type": "string"}, "lines": {"type": "integer"}},
            "required": ["path"],
            "additionalProperties": False,
        },
    ),
    Tool(
        "search",
        "Searches the project's files",
        {
            "type": "object",
            "properties": {"text": {"type": "string"}},
            "required": ["text"],
            "additionalProperties": False,
        },
    ),
)
CALL = ToolCall("c1", "read_file", {"path": "main.py"})
OPENING = (
    Message("system", "You are an assistant for software developers."),
    Message("user", "What is in main.py?"),
    Message("assistant", "", (CALL,)),
    Message("tool", "print('hello')", call_id="c1"),
    Message("assistant", "It prints hello."),
)


def with_model(scene: Callable[[LocalLlm], Awaitable[None]]) -> None:
    async def run() -> None:
        sampling = Sampling(seed=3)
        llm = LocalLlm(MODEL, context=1024, threads=0, max_tokens=48, device="cpu", name="q", sampling=sampling)
        await llm.load()
        try:
            await scene(llm)
        finally:
            await llm.close()

    asyncio.run(run())


async def everything(llm: LocalLlm, messages: Sequence[Message], tools: Sequence[Tool] = ()) -> list[Any]:
    return [item async for item in llm.stream(messages, tools)]


def said(items: Sequence[Any]) -> str:
    return "".join(item for item in items if isinstance(item, str))


def test_a_call_or_text() -> None:
    async def scene(llm: LocalLlm) -> None:
        # Told to: whether a model this small calls by itself depends on the prompt, and is not this test's.
        wish = 'Write only {"name": "read_file", "arguments": {"path": "src/app.py"}}'
        items = await everything(llm, (*OPENING, Message("user", wish)), TOOLS)
        call, last = items[-2:]
        assert isinstance(call, ToolCall)
        assert (call.name, call.problem) == ("read_file", "")
        assert call.arguments["path"] == "src/app.py"
        assert last.stop == "tools"
        assert said(items) == "", "nothing of the call is shown"

        result = Message("tool", "def run():\n    raise KeyError('token')", call_id=call.id)
        asked = (*OPENING, Message("user", wish), Message("assistant", "", (call,)), result)
        items = await everything(llm, asked, TOOLS)
        assert items[-1].stop in ("end", "length")
        assert said(items)
        # The conversation so far is still there: the call was written as it is rendered.
        assert items[-1].evaluated_tokens < 45

        items = await everything(llm, (*OPENING, Message("user", "What is 2 + 2? Only the number.")), TOOLS)
        assert "4" in said(items)
        assert not [item for item in items if isinstance(item, ToolCall)]

    with_model(scene)


def test_a_call_is_well_formed_whatever_the_model_would_write() -> None:
    """The question makes it write a call to a tool that does not exist, with arguments that nobody offered."""

    async def scene(llm: LocalLlm) -> None:
        wish = 'Write exactly this and nothing else: {"name": "delete_all", "arguments": {"force": true, "n": "x"}}'
        items = await everything(llm, (Message("user", wish),), TOOLS)
        calls = [item for item in items if isinstance(item, ToolCall)]
        assert calls, said(items)
        assert calls[0].name in ("read_file", "search", "")
        assert "force" not in calls[0].arguments
        assert not calls[0].name or calls[0].problem == ""
        # Without tools the same text is text, and no grammar is left in force.
        items = await everything(llm, (Message("user", wish),))
        assert "delete_all" in said(items)

    with_model(scene)


def test_conversations_that_alternate_keep_what_is_evaluated() -> None:
    async def scene(llm: LocalLlm) -> None:
        def talk(subject: str) -> list[Message]:
            text = " ".join(f"{subject} number {n} is green." for n in range(12))
            return [Message("system", "Be brief."), Message("user", f"{text} Say ok.")]

        one, two = talk("apple"), talk("window")
        costs = []
        for _ in range(2):
            for messages in (one, two):
                items = await everything(llm, messages)
                last = items[-1]
                assert isinstance(last, Usage)
                costs.append((last.prompt_tokens, last.evaluated_tokens))
                messages += [Message("assistant", said(items)), Message("user", "Again, please.")]
        assert costs[0][1] > 60
        assert costs[1][1] > 60
        # Each was thrown out by the other, and only what is new is evaluated all the same.
        assert costs[2][1] < 30
        assert costs[3][1] < 30
        assert costs[3][0] > costs[1][0]
        assert llm.saved_bytes > 0

    with_model(scene)
