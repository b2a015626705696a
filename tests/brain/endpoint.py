"""A loopback HTTP endpoint that sends what the providers document and a real llama-server cannot do: native tool calls,
rate limits, overload, streams that are cut. Each answer is a script; requests are kept."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

Events = Sequence[tuple[str, Any]]
"""Name (empty for none) and data of server-sent events."""


@dataclass(frozen=True)
class Answer:
    status: int = 200
    body: Any = None
    """JSON or bytes, when it is no stream."""
    events: Events = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: bool = False
    """The connection is dropped after the events, in the middle of a chunk."""
    forever: bool = False
    """The last event comes again and again until the client goes."""


@dataclass
class Request:
    path: str
    headers: dict[str, str]
    raw: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.raw)


class Endpoint:
    def __init__(self, answers: Sequence[Answer] | Callable[[Request], Answer]) -> None:
        self._answers = answers
        self.requests: list[Request] = []
        self.left = asyncio.Event()
        """A client has gone in the middle of an endless answer."""
        self.address = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                first, *lines = head.decode().strip().split("\r\n")
                headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
                raw = await reader.readexactly(int(headers.get("content-length", 0)))
                request = Request(first.split()[1], headers, raw)
                self.requests.append(request)
                answers = self._answers
                answer = answers(request) if callable(answers) else answers[min(len(self.requests), len(answers)) - 1]
                if not await self._send(answer, writer):
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            self.left.set()
        finally:
            writer.close()

    async def _send(self, answer: Answer, writer: asyncio.StreamWriter) -> bool:
        extra = "".join(f"{name}: {value}\r\n" for name, value in answer.headers.items())
        if not answer.events:
            body = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
            kind = "audio/pcm" if isinstance(answer.body, bytes) else "application/json"
            head = f"HTTP/1.1 {answer.status} X\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n"
            writer.write(f"{head}{extra}\r\n".encode() + body)
            await writer.drain()
            return True
        head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n"
        writer.write(f"{head}{extra}\r\n".encode())
        for name, data in answer.events:
            await self._event(writer, name, data)
        while answer.forever:
            await asyncio.sleep(0.01)
            await self._event(writer, *answer.events[-1])
        if answer.cut:
            writer.write(b"ff\r\ndata: ")
            await writer.drain()
            return False
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True

    @staticmethod
    async def _event(writer: asyncio.StreamWriter, name: str, data: Any) -> None:
        text = data if isinstance(data, str) else json.dumps(data)
        raw = (f"event: {name}\n" if name else "").encode() + f"data: {text}\n\n".encode()
        writer.write(b"%x\r\n%s\r\n" % (len(raw), raw))
        await writer.drain()


@asynccontextmanager
async def serving(answers: Sequence[Answer] | Callable[[Request], Answer]) -> AsyncIterator[Endpoint]:
    endpoint = Endpoint(answers)
    server = await asyncio.start_server(endpoint.serve, "127.0.0.1", 0)
    endpoint.address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield endpoint
    finally:
        server.close()


def openai_text(*deltas: str, stop: str = "stop") -> Events:
    """As documented for `stream: true` with `include_usage`."""
    chunks: list[dict[str, Any]] = [{"choices": [{"index": 0, "delta": {"content": d}}]} for d in deltas]
    chunks += [{"choices": [{"index": 0, "delta": {}, "finish_reason": stop}]}] if stop else []
    return openai_events(*chunks, done=bool(stop))


def openai_events(*chunks: Mapping[str, Any], done: bool = True) -> Events:
    whole = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    usage = {
        "prompt_tokens": 50,
        "completion_tokens": 7,
        "total_tokens": 57,
        "prompt_tokens_details": {"cached_tokens": 32},
    }
    last = [("", {**whole, "choices": [], "usage": usage}), ("", "[DONE]")] if done else []
    return [*(("", {**whole, **chunk}) for chunk in chunks), *last]


def anthropic_events(*blocks: Mapping[str, Any], stop: str = "end_turn", pieces: Sequence[str] = ()) -> Events:
    """As documented: each block starts, gets its deltas and stops."""
    usage = {
        "input_tokens": 12,
        "cache_creation_input_tokens": 6,
        "cache_read_input_tokens": 32,
        "output_tokens": 1,
    }
    start = {"id": "m", "type": "message", "role": "assistant", "model": "m", "content": [], "usage": usage}
    events: list[tuple[str, Any]] = [("message_start", {"message": start}), ("ping", {})]
    for index, block in enumerate(blocks):
        kind = "input_json_delta" if block["type"] == "tool_use" else "text_delta"
        key = "partial_json" if block["type"] == "tool_use" else "text"
        events.append(("content_block_start", {"index": index, "content_block": block}))
        deltas = [{"index": index, "delta": {"type": kind, key: piece}} for piece in pieces]
        events += [("content_block_delta", delta) for delta in deltas]
        events.append(("content_block_stop", {"index": index}))
    if stop:
        delta = {"delta": {"stop_reason": stop, "stop_sequence": None}, "usage": {"output_tokens": 7}}
        events += [("message_delta", delta), ("message_stop", {})]
    return [(name, {"type": name, **data}) for name, data in events]
