"""The local language model: llama.cpp in this process, on a thread of its own, one token for each question asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from pathlib import Path
from typing import Any

from bot.errors import StageError
from bot.events import EngineInfo, Message, Tool, ToolCall, Usage
from bot.llm.chat_template import ChatTemplate, Formatter
from bot.llm.generation import Clock, Generation
from bot.llm.gguf import Gguf, Job
from bot.llm.sampler import Sampling
from bot.llm.tool_text import plain
from bot.worker import Worker


class LocalLlm:
    """Only the newest call of `stream` or `warm` computes: it calls off the one before."""

    def __init__(
        self,
        path: Path,
        *,
        context: int,
        threads: int,
        max_tokens: int,
        device: str,
        name: str,
        sampling: Sampling | None = None,
    ) -> None:
        """`threads` of 0 takes the measured default; `device` is "cpu" or "cuda"."""
        self._gguf = Gguf(path, name)
        self._context = context
        self._threads = threads
        self._max_tokens = max_tokens
        self._device = device
        self._sampling = sampling or Sampling()
        self._worker = Worker("llm")
        self._job = Job()
        self._template: ChatTemplate
        self._closed = False

    async def load(self) -> EngineInfo:
        started = asyncio.get_running_loop().time()
        await self._worker.run(self._load, asyncio.get_running_loop().time)
        return EngineInfo(
            stage="llm",
            name=self._gguf.name,
            file=str(self._gguf.path),
            size_bytes=self._gguf.path.stat().st_size,
            device=self._device,
            load_s=asyncio.get_running_loop().time() - started,
            memory_bytes=0,
        )

    async def stream(
        self, messages: Sequence[Message], tools: Sequence[Tool] = (), *, answer: bool = False
    ) -> AsyncGenerator[str | ToolCall | Usage, None]:
        job = self._take_over()
        clock = asyncio.get_running_loop().time
        generation: Generation | None = None
        told = False
        try:
            while not self._closed and not job.cancelled:
                if generation is None:
                    generation = await self._worker.run(self._begin, tuple(messages), job, clock, tuple(tools), answer)
                text = await self._worker.run(generation.step)
                if text:
                    if not told:
                        told = True
                        yield generation.usage("")
                    yield text
                if generation.stop:
                    if generation.call:
                        yield generation.call
                    yield generation.usage(generation.stop)
                    return
            yield generation.usage("cancelled") if generation else Usage(0, 0, 0, 0.0, "cancelled")
        finally:
            job.cancelled = True

    async def warm(self, messages: Sequence[Message], tools: Sequence[Tool] = ()) -> None:
        job = self._take_over()
        try:
            await self._worker.run(self._warm, _readable(messages, tools), job)
        finally:
            job.cancelled = True

    def count(self, text: str) -> int:
        self._check_open()
        return len(self._gguf.vocabulary.tokens(text))

    @property
    def saved_bytes(self) -> int:
        """Of memory, that hold what was evaluated of other conversations than the last."""
        return self._gguf.saved.size

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = self._job.cancelled = True
        # Behind the step in progress, on its thread: nothing is freed that is in use.
        await self._worker.run(self._gguf.close)
        self._worker.close()

    def _take_over(self) -> Job:
        self._check_open()
        self._job.cancelled = True
        self._job = Job()
        return self._job

    def _check_open(self) -> None:
        if self._closed or not self._gguf.loaded:
            raise StageError("The language model is not loaded. Start the program again.")

    # On the worker's thread

    def _load(self, clock: Clock) -> None:
        try:
            self._gguf.load(self._context, self._threads, self._device, self._sampling)
            self._template = ChatTemplate(_formatter(self._gguf))
            hello = self._begin((Message("user", "Hello"),), Job(), clock)
            hello.step()
        except Exception:
            self._gguf.close()
            raise

    def _begin(
        self,
        messages: tuple[Message, ...],
        job: Job,
        clock: Clock,
        tools: tuple[Tool, ...] = (),
        answer: bool = False,
    ) -> Generation:
        prompt = self._gguf.vocabulary.tokens(self._template.prompt(_readable(messages, tools)))
        if len(prompt) >= self._gguf.size:
            raise StageError(
                f"The conversation has {len(prompt)} tokens, but the language model can hold {self._gguf.size}. "
                "Ask a shorter question, or raise LLM_CONTEXT."
            )
        longest = min(self._max_tokens, self._gguf.size - len(prompt))
        return Generation(self._gguf, prompt, longest, job, clock, () if answer else tools, bool(tools) and answer)

    def _warm(self, messages: Sequence[Message], job: Job) -> None:
        one, other = (self._gguf.vocabulary.tokens(prompt) for prompt in self._template.continuations(messages))
        certain = one[: next((at for at, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), 0)]
        if certain and len(certain) < self._gguf.size and not job.cancelled:
            self._gguf.evaluate(certain, job)


def _readable(messages: Sequence[Message], tools: Sequence[Tool]) -> Sequence[Message]:
    """What a chat template can render."""
    return plain(messages, tools) if tools or any(m.calls or m.call_id for m in messages) else messages


def _formatter(gguf: Gguf) -> Formatter:
    from llama_cpp.llama_chat_format import Jinja2ChatFormatter

    words = gguf.vocabulary
    template = words.metadata("tokenizer.chat_template") or CHATML
    render: Callable[..., Any] = Jinja2ChatFormatter(template, words.special("eos"), words.special("bos"))
    return lambda messages: str(render(messages=messages).prompt)


CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}"
    "{{ '<|im_start|>assistant\n' }}"
)
"""For a file without a template; most models of the last years understand it."""
