"""Both cloud SDKs against a loopback endpoint with the documented events that a real llama-server does not send: native
tool calls, rate limits, overload, streams that are cut. (Scripted: what the real services do was not tested.)"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from bot.config import CloudSettings
from bot.errors import ConfigError, ProviderError
from bot.events import Message, Notice, Tool, ToolCall, Usage
from bot.llm.anthropic_wire import AnthropicWire
from bot.llm.cloud import CloudLlm
from bot.llm.openai_wire import OpenAiWire
from bot.provider import proxy_for
from tests.brain.endpoint import Answer, Endpoint, anthropic_events, openai_events, openai_text, serving

READ = Tool(
    "read_file",
    "Reads a file",
    {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"], "additionalProperties": False},
)
KEY = "sk-very-secret-12345"
HELLO = (Message("system", "s"), Message("user", "hello"))
PROVIDERS = ["openai", "anthropic"]


def text(name: str, *deltas: str, whole: bool = True) -> Sequence[tuple[str, Any]]:
    if name == "openai":
        return openai_text(*deltas, stop="stop" if whole else "")
    return anthropic_events({"type": "text", "text": ""}, pieces=deltas, stop="end_turn" if whole else "")


def refusal(name: str, status: int, kind: str, said: str, **headers: str) -> Answer:
    error = {"type": kind, "message": said}
    body = {"error": {**error, "code": kind}} if name == "openai" else {"type": "error", "error": error}
    return Answer(status, body, headers={k.replace("_", "-"): v for k, v in headers.items()})


@asynccontextmanager
async def model(name: str, *answers: Answer, waits_s: Sequence[float] = ()) -> AsyncIterator[tuple[CloudLlm, Endpoint]]:
    async with serving(answers) as endpoint:
        settings = CloudSettings(KEY, endpoint.address, "m1", proxy="", no_proxy="")
        if name == "openai":
            llm = CloudLlm(OpenAiWire(settings, max_tokens=9, seed=None), waits_s)
        else:
            llm = CloudLlm(AnthropicWire(settings, max_tokens=9), waits_s)
        await llm.load()
        try:
            yield llm, endpoint
        finally:
            await llm.close()


async def everything(llm: CloudLlm, messages: Sequence[Message] = HELLO, tools: Sequence[Tool] = ()) -> list[Any]:
    return [item async for item in llm.stream(messages, tools)]


@pytest.mark.parametrize("name", PROVIDERS)
def test_text_and_what_it_cost(name: str) -> None:
    async def scene() -> None:
        async with model(name, Answer(events=text(name, "Hel", "lo."))) as (llm, endpoint):
            first, one, two, last = await everything(llm)
            assert (one, two) == ("Hel", "lo.")
            assert isinstance(first, Usage)
            assert first.stop == ""
            assert (last.prompt_tokens, last.evaluated_tokens, last.completion_tokens, last.stop) == (50, 18, 7, "end")
            body = endpoint.requests[0].body
            assert (body["model"], body["stream"], body["max_tokens"]) == ("m1", True, 9)
            if name == "anthropic":
                cached = {"type": "ephemeral"}
                assert body["system"] == [{"type": "text", "text": "s", "cache_control": cached}]
                assert body["messages"][-1]["content"][-1]["cache_control"] == cached

    asyncio.run(scene())


@pytest.mark.parametrize("name", PROVIDERS)
@pytest.mark.parametrize(
    ("pieces", "arguments", "problem"),
    [
        (('{"pa', 'th": "a.py"}'), {"path": "a.py"}, ""),
        (('{"path": 3}',), {"path": 3}, "at path: 3 is not of type 'string'"),
        (('{"path": "a', "\\"), {}, "no JSON"),
        (("",), {}, "'path' is a required property"),
    ],
)
def test_native_tool_calls(name: str, pieces: Sequence[str], arguments: dict[str, Any], problem: str) -> None:
    if name == "openai":
        start = {"index": 0, "id": "c7", "type": "function", "function": {"name": "read_file", "arguments": ""}}
        more = [{"tool_calls": [{"index": 0, "function": {"arguments": piece}}]} for piece in pieces]
        deltas = [{"content": "Let me look."}, {"tool_calls": [start]}, *more]
        chunks = [{"choices": [{"index": 0, "delta": delta}]} for delta in deltas]
        end = {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}
        events = openai_events(*chunks, end)
    else:
        block = {"type": "tool_use", "id": "c7", "name": "read_file", "input": {}}
        events = anthropic_events({"type": "text", "text": "Let me look."}, stop="")
        events = [*events, *anthropic_events(block, pieces=pieces, stop="tool_use")[2:]]
        for _, data in events[4:]:
            data.update({"index": 1} if "index" in data else {})

    async def scene() -> None:
        async with model(name, Answer(events=events), Answer(events=text(name, "Done."))) as (llm, endpoint):
            items = await everything(llm, tools=[READ])
            call, last = items[-2:]
            assert "Let me look." in items
            assert isinstance(call, ToolCall)
            assert (call.id, call.name, call.arguments) == ("c7", "read_file", arguments)
            assert problem in call.problem
            assert bool(call.problem) == bool(problem)
            assert last.stop == "tools"
            talk = [*HELLO, Message("assistant", "Let me look.", (call,)), Message("tool", "x = 1", call_id="c7")]
            items = [item async for item in llm.stream(talk, [READ], answer=True)]
            assert "Done." in items
            check_second_request(name, endpoint.requests[1].body, arguments)

    asyncio.run(scene())


def check_second_request(name: str, body: Any, arguments: dict[str, Any]) -> None:
    said, result = body["messages"][-2:]
    assert body["tool_choice"] == ("none" if name == "openai" else {"type": "none"})
    if name == "openai":
        assert body["tools"][0]["function"]["name"] == "read_file"
        assert said["tool_calls"][0]["id"] == result["tool_call_id"] == "c7"
        assert result["content"] == "x = 1"
    else:
        assert body["tools"][0]["input_schema"] == READ.parameters
        assert said["content"][1] == {"type": "tool_use", "id": "c7", "name": "read_file", "input": arguments}
        assert result["role"] == "user"
        assert result["content"][0]["tool_use_id"] == "c7"


@pytest.mark.parametrize("name", PROVIDERS)
@pytest.mark.parametrize(
    ("status", "kind", "said", "reason", "sentence"),
    [
        (401, "authentication_error", f"Incorrect API key provided: {KEY}", "key", "does not accept"),
        (429, "insufficient_quota", "You exceeded your current quota", "quota", "no credit left"),
        (404, "not_found_error", "model: m1", "model", "does not know the model m1"),
        (400, "invalid_request_error", "prompt is too long: 9 > 8", "too_long", "conversation this long"),
        (400, "invalid_request_error", f"no, {KEY} is odd", "refused", "refused this request (no, *** is odd)"),
        (413, "request_too_large", "too large", "too_long", "conversation this long"),
        (429, "rate_limit_error", "slow down", "rate_limited", "no more requests at the moment. Ask again in 77 s"),
        (529, "overloaded_error", "Overloaded", "overloaded", "is overloaded"),
        (500, "api_error", "Internal", "failed", "failed (Internal)"),
        (200, "", "", "cut", "broke off in the middle"),
    ],
)
def test_each_refusal_is_one_sentence(
    name: str, status: int, kind: str, said: str, reason: str, sentence: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def scene() -> None:
        answer = refusal(name, status, kind, said, retry_after="77")
        if status == 200:
            answer = Answer(events=text(name, "Hel", whole=False), cut=True)
        # With time for tries left: these are not tried again, or asked to wait too long.
        waits = (30.0,) if status in (500, 529) else (0.01,)
        async with model(name, answer, waits_s=waits if reason not in ("failed", "overloaded") else ()) as (llm, _):
            with pytest.raises(ProviderError) as error:
                await everything(llm)
        assert error.value.reason == reason
        assert sentence in str(error.value)
        assert "server at http://127.0.0.1" in str(error.value)
        assert KEY not in str(error.value) + caplog.text

    caplog.set_level(logging.DEBUG)
    asyncio.run(scene())


@pytest.mark.parametrize("name", PROVIDERS)
def test_what_passes_is_tried_again_and_said(name: str) -> None:
    async def scene() -> None:
        busy = refusal(name, 503, "overloaded_error", "Overloaded")
        cut = Answer(events=text(name, whole=False), cut=True)
        limited = refusal(name, 429, "rate_limit_error", "slow", retry_after_ms="30")
        good = Answer(events=text(name, "Hello."))
        async with model(name, busy, cut, limited, good, waits_s=(0.01, 0.01, 0.01)) as (llm, endpoint):
            items = await everything(llm)
            notices = [item.text for item in items if isinstance(item, Notice)]
            assert len(notices) == 3
            assert "is overloaded (trying again in 0 s: try 2 of 4)" in notices[0]
            assert "broke off" in notices[1]
            assert "no more requests" in notices[2]
            assert "Hello." in items
            assert len(endpoint.requests) == 4

    asyncio.run(scene())


@pytest.mark.parametrize("name", PROVIDERS)
def test_what_was_said_is_not_said_twice(name: str) -> None:
    async def scene() -> None:
        cut = Answer(events=text(name, "Hel", whole=False))
        async with model(name, cut, Answer(events=text(name, "Hello.")), waits_s=(0.01,)) as (llm, endpoint):
            items = []
            with pytest.raises(ProviderError, match="broke off"):
                async for item in llm.stream(HELLO):
                    items.append(item)  # noqa: PERF401
            assert "Hel" in items
            assert len(endpoint.requests) == 1

    asyncio.run(scene())


def test_an_error_within_a_stream() -> None:
    async def scene() -> None:
        error = ("error", {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})
        good = anthropic_events({"type": "text", "text": ""}, pieces=("Hel",), stop="")
        async with model("anthropic", Answer(events=[*good, error])) as (llm, _):
            with pytest.raises(ProviderError) as caught:
                await everything(llm)
            assert caught.value.reason == "overloaded"
        error = ("", {"error": {"message": "boom", "type": "server_error"}})
        async with model("openai", Answer(events=[*openai_text("Hel", stop=""), error])) as (llm, _):
            with pytest.raises(ProviderError, match=r"failed \(boom\)"):
                await everything(llm)

    asyncio.run(scene())


def test_a_model_that_declines() -> None:
    async def scene() -> None:
        declined = Answer(events=anthropic_events({"type": "text", "text": ""}, stop="refusal"))
        async with model("anthropic", declined, waits_s=(0.01,)) as (llm, _):
            with pytest.raises(ProviderError, match="the model declined"):
                await everything(llm)
        async with model("openai", Answer(events=openai_text(stop="content_filter"))) as (llm, _):
            with pytest.raises(ProviderError, match="content filter"):
                await everything(llm)

    asyncio.run(scene())


@pytest.mark.parametrize("name", PROVIDERS)
def test_closing_and_cancelling_close_the_connection(name: str) -> None:
    async def scene() -> None:
        # What comes again and again is the last delta.
        events = text(name, "on ", whole=False)
        events = events if name == "openai" else events[:-1]
        for cancel in (False, True):
            async with model(name, Answer(events=events, forever=True)) as (llm, endpoint):
                if cancel:
                    task = asyncio.create_task(everything(llm))
                    await asyncio.sleep(0.3)
                    task.cancel()
                    await asyncio.wait([task])
                else:
                    stream = llm.stream(HELLO)
                    while not isinstance(await anext(stream), str):
                        pass
                    await stream.aclose()
                async with asyncio.timeout(3):
                    await endpoint.left.wait()

    asyncio.run(scene())


def test_what_is_not_set_is_said() -> None:
    def settings(key: str = "", base_url: str = "", model: str = "m") -> CloudSettings:
        return CloudSettings(key, base_url, model, "", "")

    with pytest.raises(ConfigError, match="OPENAI_API_KEY is not set"):
        OpenAiWire(settings(), max_tokens=9, seed=None)
    with pytest.raises(ConfigError, match="ANTHROPIC_API_KEY is not set"):
        AnthropicWire(settings(base_url="http://h"), max_tokens=9)
    with pytest.raises(ConfigError, match="LLM_MODEL or OPENAI_MODEL"):
        OpenAiWire(settings("k", model=""), max_tokens=9, seed=None)
    with pytest.raises(ConfigError, match="characters that no key has") as error:
        AnthropicWire(settings("sk-\n1"), max_tokens=9)
    assert "sk-" not in str(error.value)
    assert OpenAiWire(settings(base_url="http://u:pw@h/v1"), max_tokens=9, seed=None).who.name == (
        "The server at http://h/v1"
    )


@pytest.mark.parametrize(
    ("address", "no_proxy", "proxied"),
    [
        ("", "", True),
        ("https://vllm.corp.example/v1", "localhost,.corp.example", False),
        ("https://vllm.corp.example/v1", "corp.example:443", False),
        ("https://notcorp.example/v1", "corp.example", True),
        ("http://127.0.0.1:8000/v1", "", False),
        ("", "*", False),
    ],
)
def test_the_proxy(address: str, no_proxy: str, proxied: bool) -> None:
    settings = CloudSettings("k", address, "m", "http://proxy:3128", no_proxy)
    assert proxy_for(settings, "https://api.openai.com/v1") == ("http://proxy:3128" if proxied else None)
