"""Anthropic's Messages through the official SDK."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from bot.config import CloudSettings
from bot.errors import MissingPackage
from bot.events import Message, Tool, ToolCall, Usage
from bot.llm.tool_calls import read_call
from bot.provider import CONNECT_S, SILENCE_S, Provider, failure, provider, proxy_for, refused

ADDRESS = "https://api.anthropic.com"
STOPS = {"max_tokens": "length", "model_context_window_exceeded": "length", "tool_use": "tools"}
"""The others are ends."""
CACHE = {"cache_control": {"type": "ephemeral"}}
"""Up to here the prompt is kept there for five minutes: tools and system prompt, and the conversation so far."""


@dataclass(slots=True)
class _State:
    """What has come of a stream."""

    fresh: int = 0
    written: int = 0
    read: int = 0
    completion: int = 0
    stop: str = ""
    complete: bool = False
    calls: dict[int, tuple[str, str]] = field(default_factory=dict)
    """Id and name, by the number of the block."""
    arguments: dict[int, str] = field(default_factory=dict)

    def count(self, usage: Any) -> None:
        """Later figures are totals, or missing."""
        self.fresh = getattr(usage, "input_tokens", None) or self.fresh
        self.written = getattr(usage, "cache_creation_input_tokens", None) or self.written
        self.read = getattr(usage, "cache_read_input_tokens", None) or self.read
        self.completion = getattr(usage, "output_tokens", None) or self.completion

    def usage(self, first_s: float, stop: str) -> Usage:
        evaluated = self.fresh + self.written
        return Usage(evaluated + self.read, evaluated, self.completion, first_s, stop)


class AnthropicWire:
    """Implements cloud.Wire."""

    def __init__(self, settings: CloudSettings, *, max_tokens: int) -> None:
        """Raises ConfigError."""
        self._settings = settings
        self._max_tokens = max_tokens
        self._who = provider("Anthropic", "ANTHROPIC", settings, ADDRESS)
        self._sdk: Any = None
        self._client: Any = None

    @property
    def who(self) -> Provider:
        return self._who

    def open(self) -> None:
        try:
            import anthropic
            import httpx2
        except ImportError as error:
            raise MissingPackage(
                f"The package anthropic cannot be used ({error}). Install it with `pip install anthropic`."
            ) from error
        self._sdk = anthropic
        timeout = httpx2.Timeout(SILENCE_S, connect=CONNECT_S)
        proxy = proxy_for(self._settings, ADDRESS)
        self._client = anthropic.AsyncAnthropic(
            api_key=self._settings.key,
            base_url=self._settings.base_url or ADDRESS,
            max_retries=0,
            http_client=anthropic.DefaultAsyncHttpxClient(proxy=proxy, timeout=timeout),
            # What is asked goes to nobody else, whatever the environment says.
            open_telemetry=False,
        )

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()

    async def stream(
        self, messages: Sequence[Message], tools: Sequence[Tool], answer: bool
    ) -> AsyncGenerator[str | ToolCall | Usage, None]:
        now = asyncio.get_running_loop().time
        started, first_s = now(), 0.0
        state = _State()
        with self._translated():
            async with await self._client.messages.create(**self._request(messages, tools, answer)) as events:
                async for event in events:
                    text = _take(event, state)
                    if text and not first_s:
                        first_s = now() - started
                        yield state.usage(first_s, "")
                    if text:
                        yield text
                    if state.complete:
                        # Whatever becomes of the connection now, the answer is whole.
                        break
        if not state.complete:
            raise failure(self._who, "cut")
        if state.stop == "refusal":
            raise failure(self._who, "refused", "the model declined")
        for index, (call_id, name) in sorted(state.calls.items()):
            yield read_call(call_id, name, state.arguments.get(index, ""), tools)
        yield state.usage(first_s, STOPS.get(state.stop, "end"))

    def _request(self, messages: Sequence[Message], tools: Sequence[Tool], answer: bool) -> dict[str, Any]:
        turns = _turns(messages)
        if turns:
            turns[-1]["content"][-1].update(CACHE)
        request: dict[str, Any] = {
            "model": self._who.model,
            "max_tokens": self._max_tokens,
            "messages": turns,
            "stream": True,
        }
        system = "\n\n".join(message.content for message in messages if message.role == "system")
        if system:
            request["system"] = [{"type": "text", "text": system, **CACHE}]
        if tools:
            request["tools"] = [
                {"name": t.name, "description": t.description, "input_schema": dict(t.parameters)} for t in tools
            ]
            if answer:
                request["tool_choice"] = {"type": "none"}
        return request

    @contextmanager
    def _translated(self) -> Iterator[None]:
        import httpx2

        sdk, who = self._sdk, self._who
        try:
            yield
        except sdk.APIStatusError as error:
            raise refused(who, error.status_code, error.body, error.message, error.response.headers) from error
        except (sdk.APITimeoutError, httpx2.TimeoutException) as error:
            connecting = isinstance(error.__cause__, httpx2.ConnectTimeout)
            raise failure(who, "unreachable" if connecting else "timeout") from error
        except (httpx2.ReadError, httpx2.RemoteProtocolError) as error:
            # The SDK does not translate what happens after the first event.
            raise failure(who, "cut") from error
        except sdk.APIConnectionError as error:
            broken = isinstance(error.__cause__, httpx2.ReadError | httpx2.RemoteProtocolError)
            raise failure(who, "cut" if broken else "unreachable") from error
        except (sdk.AnthropicError, httpx2.HTTPError, ValueError) as error:
            raise failure(who, "failed", type(error).__name__) from error


def _take(event: Any, state: _State) -> str:
    """Puts an event into `state`; the text that it brings."""
    match event.type:
        case "message_start":
            state.count(event.message.usage)
        case "content_block_start" if event.content_block.type == "tool_use":
            state.calls[event.index] = (event.content_block.id, event.content_block.name)
        case "content_block_start" if event.content_block.type == "text":
            return str(event.content_block.text or "")
        case "content_block_delta" if event.delta.type == "text_delta":
            return str(event.delta.text)
        case "content_block_delta" if event.delta.type == "input_json_delta":
            state.arguments[event.index] = state.arguments.get(event.index, "") + event.delta.partial_json
        case "message_delta":
            state.stop = event.delta.stop_reason or state.stop
            state.count(event.usage)
        case "message_stop":
            state.complete = True
    return ""


def _turns(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Results are the user's there, and what one side says in a row is one turn."""
    turns: list[dict[str, Any]] = []
    for message in messages:
        if message.role == "system":
            continue
        role = "assistant" if message.role == "assistant" else "user"
        if not turns or turns[-1]["role"] != role:
            turns.append({"role": role, "content": []})
        turns[-1]["content"] += _blocks(message)
    return [turn for turn in turns if turn["content"]]


def _blocks(message: Message) -> list[dict[str, Any]]:
    if message.role == "tool":
        return [{"type": "tool_result", "tool_use_id": message.call_id, "content": message.content or "(nothing)"}]
    # Text of white space alone is refused.
    text = [{"type": "text", "text": message.content}] if message.content.strip() else []
    calls = [{"type": "tool_use", "id": c.id, "name": c.name, "input": dict(c.arguments)} for c in message.calls]
    return [*text, *calls]
