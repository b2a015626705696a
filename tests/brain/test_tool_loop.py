"""The loop of tools on all three providers: a real local model, and both cloud SDKs against the scripted endpoint."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from bot.config import CloudSettings
from bot.events import Message, Tool, ToolCall
from bot.llm.anthropic_wire import AnthropicWire
from bot.llm.cloud import CloudLlm
from bot.llm.local import LocalLlm
from bot.llm.openai_wire import OpenAiWire
from bot.llm.reply import ToolReply
from bot.llm.sampler import Sampling
from bot.ports import Llm
from tests.brain.endpoint import Answer, Endpoint, anthropic_events, openai_events, openai_text, serving

MODEL = Path(__file__).resolve().parents[2] / "models" / "llm" / "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf"
SCHEMA = {
    "type": "object",
    "properties": {"path": {"type": "string"}},
    "required": ["path"],
    "additionalProperties": False,
}
READ = Tool("read_file", "Reads a file of the project", SCHEMA)
WISH = (
    Message("system", "You are an assistant for software developers."),
    Message("user", 'Which port is in config.py? Write only {"name": "read_file", "arguments": {"path": "config.py"}}'),
)


class Files:
    tools = (READ,)

    def __init__(self) -> None:
        self.read: list[str] = []

    async def call(self, call: ToolCall) -> str:
        self.read.append(call.arguments["path"])
        return "PORT = 18861"


def native(name: str) -> list[Answer]:
    """A call, and then the answer."""
    if name == "openai":
        function = {"name": "read_file", "arguments": '{"path": "config.py"}'}
        delta = {"tool_calls": [{"index": 0, "id": "c1", "type": "function", "function": function}]}
        ask = openai_events({"choices": [{"index": 0, "delta": delta, "finish_reason": "tool_calls"}]})
        return [Answer(events=ask), Answer(events=openai_text("It is ", "18861."))]
    block = {"type": "tool_use", "id": "c1", "name": "read_file", "input": {}}
    ask = anthropic_events(block, pieces=('{"path": ', '"config.py"}'), stop="tool_use")
    said = anthropic_events({"type": "text", "text": ""}, pieces=("It is ", "18861."))
    return [Answer(events=ask), Answer(events=said)]


def make(name: str, endpoint: Endpoint) -> Llm:
    if name == "local":
        options: dict[str, Any] = {"context": 1024, "threads": 0, "max_tokens": 40, "device": "cpu", "name": "q"}
        return LocalLlm(MODEL, sampling=Sampling(seed=3), **options)
    settings = CloudSettings("k", endpoint.address, "m", "", "")
    if name == "openai":
        return CloudLlm(OpenAiWire(settings, max_tokens=40, seed=None))
    return CloudLlm(AnthropicWire(settings, max_tokens=40))


@pytest.mark.parametrize("name", [pytest.param("local", marks=pytest.mark.slow), "openai", "anthropic"])
def test_a_file_is_read_for_the_answer(name: str) -> None:
    async def scene() -> None:
        async with serving(native("openai" if name == "local" else name)) as endpoint:
            llm, files = make(name, endpoint), Files()
            await llm.load()
            try:
                items = [item async for item in ToolReply(llm, files, budget=300).stream(WISH)]
            finally:
                await llm.close()
        text = "".join(item for item in items if isinstance(item, str))
        assert files.read == ["config.py"]
        assert "18861" in text, text
        # The small model asks for the same file again; it is read once, and then it must answer.
        calls = [item.name for item in items if isinstance(item, ToolCall)]
        assert set(calls) == {"read_file"}
        assert name == "local" or len(calls) == 1
        assert items[-1].stop in ("end", "length")

    asyncio.run(scene())
