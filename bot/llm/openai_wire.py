"""OpenAI's chat completions, and the many servers that speak them, through the official SDK."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Any

from bot.config import CloudSettings
from bot.events import Message, Tool, ToolCall, Usage
from bot.llm.tool_calls import read_call
from bot.openai_sdk import ADDRESS, load_sdk, make_client, translated
from bot.provider import Provider, failure, provider

STOPS = {"stop": "end", "length": "length", "tool_calls": "tools", "function_call": "tools"}


@dataclass(slots=True)
class _Call:
    """A call whose pieces are still coming."""

    id: str = ""
    name: str = ""
    arguments: str = ""


class OpenAiWire:
    """Implements cloud.Wire."""

    def __init__(self, settings: CloudSettings, *, max_tokens: int, seed: int | None) -> None:
        """Raises ConfigError."""
        self._settings = settings
        self._max_tokens = max_tokens
        self._seed = seed
        self._who = provider("OpenAI", "OPENAI", settings, ADDRESS)
        self._sdk: Any = None
        self._client: Any = None

    @property
    def who(self) -> Provider:
        return self._who

    def open(self) -> None:
        self._sdk = load_sdk()
        self._client = make_client(self._sdk, self._settings)

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()

    async def stream(
        self, messages: Sequence[Message], tools: Sequence[Tool], answer: bool
    ) -> AsyncGenerator[str | ToolCall | Usage, None]:
        now = asyncio.get_running_loop().time
        started, first_s = now(), 0.0
        calls: dict[int, _Call] = {}
        stop, spent = "", Usage(0, 0, 0, 0.0, "")
        with translated(self._sdk, self._who):
            async with await self._client.chat.completions.create(**self._request(messages, tools, answer)) as chunks:
                async for chunk in chunks:
                    spent = _usage(chunk.usage) if chunk.usage else spent
                    for choice in chunk.choices[:1]:
                        stop = choice.finish_reason or stop
                        if choice.delta is None:
                            continue
                        _collect(calls, choice.delta.tool_calls or ())
                        # What it says when it will not answer comes in a field of its own.
                        text = choice.delta.content or getattr(choice.delta, "refusal", None)
                        if text and not first_s:
                            first_s = now() - started
                            yield Usage(0, 0, 0, first_s, "")
                        if text:
                            yield text
        if not stop:
            raise failure(self._who, "cut")
        if stop == "content_filter":
            raise failure(self._who, "refused", "its content filter")
        for index, call in sorted(calls.items()):
            yield read_call(call.id or f"call_{index}", call.name, call.arguments, tools)
        end = "tools" if calls else STOPS.get(stop, "end")
        yield Usage(spent.prompt_tokens, spent.evaluated_tokens, spent.completion_tokens, first_s, end)

    def _request(self, messages: Sequence[Message], tools: Sequence[Tool], answer: bool) -> dict[str, Any]:
        request: dict[str, Any] = {
            "model": self._who.model,
            "messages": [_message(message) for message in messages],
            "stream": True,
            "stream_options": {"include_usage": True},
            # OpenAI's newer models refuse the old name, other servers may not know the new one.
            ("max_tokens" if self._who.own else "max_completion_tokens"): self._max_tokens,
        }
        if self._seed is not None:
            request["seed"] = self._seed
        if tools:
            request["tools"] = [
                {
                    "type": "function",
                    "function": {"name": t.name, "description": t.description, "parameters": dict(t.parameters)},
                }
                for t in tools
            ]
            if answer:
                request["tool_choice"] = "none"
        return request


def _collect(calls: dict[int, _Call], pieces: Sequence[Any]) -> None:
    for piece in pieces:
        call = calls.setdefault(piece.index, _Call())
        call.id = piece.id or call.id
        if piece.function is not None:
            call.name += piece.function.name or ""
            call.arguments += piece.function.arguments or ""


def _usage(found: Any) -> Usage:
    details = getattr(found, "prompt_tokens_details", None)
    cached = (getattr(details, "cached_tokens", None) or 0) if details else 0
    return Usage(found.prompt_tokens, found.prompt_tokens - cached, found.completion_tokens, 0.0, "")


def _message(message: Message) -> dict[str, Any]:
    if message.role == "tool":
        return {"role": "tool", "tool_call_id": message.call_id, "content": message.content}
    if not message.calls:
        return {"role": message.role, "content": message.content}
    calls = [
        {"id": c.id, "type": "function", "function": {"name": c.name, "arguments": json.dumps(dict(c.arguments))}}
        for c in message.calls
    ]
    return {"role": "assistant", "content": message.content or None, "tool_calls": calls}
