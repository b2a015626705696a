"""Both cloud SDKs against a real llama-server with the embedded model."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import pytest

from bot.config import CloudSettings
from bot.errors import ProviderError
from bot.events import Message, Usage
from bot.llm.anthropic_wire import AnthropicWire
from bot.llm.cloud import CloudLlm
from bot.llm.openai_wire import OpenAiWire
from tests.brain import llama_server

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not llama_server.RUNS_HERE, reason="the server's wheel is for Linux on x86-64"),
]

SYSTEM = Message("system", "You are a terse assistant for developers. " + "Answer in one short sentence. " * 12)
PROVIDERS = ["openai", "anthropic"]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with llama_server.running() as address:
        yield address


def make(name: str, address: str, *, key: str = llama_server.KEY, max_tokens: int = 24) -> CloudLlm:
    base = f"{address}/v1" if name == "openai" else address
    settings = CloudSettings(key, base, "qwen", proxy="http://127.0.0.1:9", no_proxy="")
    if name == "openai":
        return CloudLlm(OpenAiWire(settings, max_tokens=max_tokens, seed=1), waits_s=())
    return CloudLlm(AnthropicWire(settings, max_tokens=max_tokens), waits_s=())


def with_llm(llm: CloudLlm, scene: Callable[[CloudLlm], Awaitable[None]]) -> None:
    async def run() -> None:
        await llm.load()
        try:
            await scene(llm)
        finally:
            await llm.close()

    asyncio.run(run())


async def answer(llm: CloudLlm, *messages: Message) -> tuple[str, Usage]:
    text = ""
    async for item in llm.stream(messages):
        if isinstance(item, str):
            text += item
        elif isinstance(item, Usage) and item.stop:
            return text, item
    raise AssertionError("no usage came")


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_conversation_evaluates_only_what_is_new(address: str, name: str) -> None:
    async def scene(llm: CloudLlm) -> None:
        question = Message("user", "Which command shows the log of git?")
        text, first = await answer(llm, SYSTEM, question)
        assert "git log" in text
        assert first.stop in ("end", "length")
        assert first.prompt_tokens > 70
        assert first.prompt_seconds > 0
        more = Message("user", "Thanks. Say bye.")
        _, second = await answer(llm, SYSTEM, question, Message("assistant", text), more)
        assert second.prompt_tokens > first.prompt_tokens
        assert second.evaluated_tokens < 40, "the prefix came from the server's cache"

    with_llm(make(name, address), scene)


@pytest.mark.parametrize("name", PROVIDERS)
def test_the_longest_answer_is_kept_to(address: str, name: str) -> None:
    async def scene(llm: CloudLlm) -> None:
        _, usage = await answer(llm, Message("user", "Write a story about a lighthouse."))
        assert (usage.stop, usage.completion_tokens) == ("length", 5)

    with_llm(make(name, address, max_tokens=5), scene)


@pytest.mark.parametrize("name", PROVIDERS)
def test_leaving_a_stream_stops_the_server(address: str, name: str) -> None:
    """The server has one slot: the second question would otherwise wait for the end of the first answer."""

    async def scene(llm: CloudLlm) -> None:
        stream = llm.stream([Message("user", "Count from 1 to 1000, in words.")])
        while not isinstance(await anext(stream), str):
            pass
        await stream.aclose()
        async with asyncio.timeout(20):
            short = make(name, address, max_tokens=4)
            await short.load()
            await answer(short, Message("user", "Hi"))
            await short.close()

    with_llm(make(name, address, max_tokens=900), scene)


@pytest.mark.parametrize("name", PROVIDERS)
def test_refusals_are_sentences(address: str, name: str) -> None:
    async def long(llm: CloudLlm) -> None:
        with pytest.raises(ProviderError, match="conversation this long") as error:
            await answer(llm, Message("user", "word " * 1500))
        assert error.value.reason == "too_long"

    async def wrong(llm: CloudLlm) -> None:
        with pytest.raises(ProviderError, match=f"does not accept {name.upper()}_API_KEY") as error:
            await answer(llm, Message("user", "Hi"))
        assert error.value.reason == "key"
        assert "sk-very-secret-12345" not in str(error.value)

    async def nobody(llm: CloudLlm) -> None:
        with pytest.raises(ProviderError, match=r"Nothing answers at http://127\.0\.0\.1:9") as error:
            await answer(llm, Message("user", "Hi"))
        assert error.value.reason == "unreachable"

    with_llm(make(name, address), long)
    with_llm(make(name, address, key="sk-very-secret-12345"), wrong)
    with_llm(make(name, "http://127.0.0.1:9"), nobody)
