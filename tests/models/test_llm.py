"""The real language model: what it says, what it evaluates, and that it can be stopped at any moment."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest

from bot.errors import ConfigError, ModelBroken, ModelMissing, StageError
from bot.events import Message, Usage
from bot.llm.brain import ConversationBrain
from bot.llm.local import LocalLlm
from bot.llm.prompt import OPENING
from bot.llm.sampler import Sampling

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "models" / "llm" / "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf"


def model(path: Path = MODEL, *, context: int = 2048, max_tokens: int = 60, temperature: float = 0.2) -> LocalLlm:
    return LocalLlm(
        path,
        context=context,
        threads=0,
        max_tokens=max_tokens,
        device="cpu",
        name="qwen-0.5b",
        sampling=Sampling(seed=3, temperature=temperature),
    )


def with_model(scene: Callable[[LocalLlm], Awaitable[None]], llm: LocalLlm | None = None) -> None:
    async def run() -> None:
        loaded = llm or model()
        info = await loaded.load()
        assert (info.stage, info.device, info.size_bytes) == ("llm", "cpu", MODEL.stat().st_size)
        try:
            await scene(loaded)
        finally:
            await loaded.close()

    asyncio.run(run())


async def answer(llm: LocalLlm, messages: Sequence[Message]) -> tuple[str, Usage]:
    text = ""
    async for item in llm.stream(messages):
        if not isinstance(item, Usage):
            text += item
        elif item.stop:
            return text, item
    raise AssertionError("no usage came")


def user(text: str) -> tuple[Message, ...]:
    return (*OPENING, Message("user", text))


def long_question(words: int) -> tuple[Message, ...]:
    return (Message("user", " ".join(f"item{n}" for n in range(words))),)


def test_a_conversation_evaluates_only_what_is_new() -> None:
    async def scene(llm: LocalLlm) -> None:
        brain = ConversationBrain(llm, context=2048, max_tokens=60)
        await brain.warm()
        usages = []
        for question in ("What is a hash map?", "Say that again, but shorter."):
            text = ""
            async for item in brain.reply(question):
                if not isinstance(item, Usage):
                    text += item
                elif item.stop:
                    usages.append(item)
            brain.answered(text)
            await brain.warm()
            assert "key" in text.lower()
        first, second = usages
        assert first.stop == second.stop == "end"
        assert second.prompt_tokens > first.prompt_tokens > 150
        # The question itself and the few tokens of the template around it.
        assert first.evaluated_tokens <= 14
        assert second.evaluated_tokens <= 16

    with_model(scene)


def test_the_seed_decides_and_usage_counts() -> None:
    async def scene(llm: LocalLlm) -> None:
        one = await answer(llm, user("Name three programming languages."))
        two = await answer(llm, user("Name three programming languages."))
        assert one[0] == two[0]
        assert two[1].evaluated_tokens == 1
        assert two[1].prompt_tokens == one[1].prompt_tokens
        # The end token is counted, but is not text.
        assert one[1].completion_tokens == llm.count(one[0]) + 1

    with_model(scene)


def test_the_longest_answer_is_kept_to() -> None:
    async def scene(llm: LocalLlm) -> None:
        _, usage = await answer(llm, (Message("user", "Write a long story about a lighthouse."),))
        assert (usage.stop, usage.completion_tokens) == ("length", 60)

    with_model(scene)


def test_other_scripts_and_emoji_come_whole() -> None:
    async def scene(llm: LocalLlm) -> None:
        text, _ = await answer(
            llm,
            (Message("user", "Repeat exactly: \U0001f680\U0001f40d \u4f60\u597d\uff0c\u4e16\u754c caf\u00e9 \u2713"),),
        )
        assert "\ufffd" not in text
        assert "\u4f60\u597d" in text
        assert any(ord(c) > 0x1F000 or c == "\u2728" for c in text), "an emoji, whichever it chose"

    with_model(scene)


def test_nothing_is_computed_that_is_not_asked_for() -> None:
    async def scene(llm: LocalLlm) -> None:
        stream = llm.stream(user("What is a process?"))
        await anext(stream)
        before = time.process_time()
        await asyncio.sleep(0.7)
        assert time.process_time() - before < 0.3
        await stream.aclose()

    with_model(scene)


def test_cancelling_while_it_speaks_leaves_it_usable() -> None:
    async def scene(llm: LocalLlm) -> None:
        whole, _ = await answer(llm, user("What is a mutex?"))

        async def listen() -> None:
            async for _ in llm.stream(user("What is a mutex?")):
                pass

        for after in (0.1, 0.3, 0.33, 0.5):
            task = asyncio.create_task(listen())
            await asyncio.sleep(after)
            task.cancel()
            await asyncio.wait([task])
        again, usage = await answer(llm, user("What is a mutex?"))
        assert again == whole
        assert usage.evaluated_tokens == 1

    with_model(scene)


def test_cancelling_in_the_prompt_is_quick() -> None:
    async def scene(llm: LocalLlm) -> None:
        question = long_question(400)
        task = asyncio.create_task(answer(llm, question))
        await asyncio.sleep(0.3)
        assert not task.done()
        task.cancel()
        await asyncio.wait([task])
        started = time.perf_counter()
        _, usage = await answer(llm, (Message("user", "Hi"),))
        # Evaluating the rest of the prompt would take many seconds.
        assert time.perf_counter() - started - usage.prompt_seconds < 4
        assert usage.stop == "end"

    with_model(scene)


def test_a_question_does_not_wait_for_the_idle_evaluation() -> None:
    async def scene(llm: LocalLlm) -> None:
        started = time.perf_counter()
        await llm.warm(long_question(150))
        whole = time.perf_counter() - started
        warming = asyncio.create_task(llm.warm((Message("system", "other"), *long_question(150))))
        await asyncio.sleep(0.1)
        started = time.perf_counter()
        stream = llm.stream((Message("user", "Hi"),))
        await anext(stream)
        assert time.perf_counter() - started < whole * 0.7
        assert warming.done()
        await stream.aclose()

    with_model(scene)


def test_the_newest_stream_wins() -> None:
    async def scene(llm: LocalLlm) -> None:
        old = llm.stream(user("What is a thread?"))
        assert isinstance(await anext(old), Usage), "what the prompt cost comes first"
        assert isinstance(await anext(old), str)
        text, usage = await answer(llm, user("What is a process?"))
        assert text
        assert usage.stop == "end"
        last = await anext(old)
        assert isinstance(last, Usage)
        assert last.stop == "cancelled"

    with_model(scene)


def test_closing_in_the_middle_of_a_step() -> None:
    async def scene(llm: LocalLlm) -> None:
        task = asyncio.create_task(answer(llm, long_question(400)))
        await asyncio.sleep(0.3)
        await llm.close()
        _, usage = await task
        assert usage.stop == "cancelled"
        with pytest.raises(StageError, match="not loaded"):
            llm.count("x")
        await llm.close()

    with_model(scene)


def test_a_prompt_that_does_not_fit_is_said() -> None:
    async def scene(llm: LocalLlm) -> None:
        with pytest.raises(StageError, match="can hold 512"):
            await answer(llm, long_question(400))
        _, usage = await answer(llm, (Message("user", "Hi"),))
        assert usage.stop == "end"
        await llm.warm(long_question(400))

    with_model(scene, model(context=512))


def test_broken_files_are_said(tmp_path: Path) -> None:
    def load(path: Path, context: int = 512) -> None:
        asyncio.run(model(path, context=context).load())

    with pytest.raises(ModelMissing, match="models fetch"):
        load(tmp_path / "none.gguf")
    wrong = tmp_path / "wrong.gguf"
    wrong.write_bytes(b"<html>not found</html>")
    with pytest.raises(ModelBroken, match="not a GGUF"):
        load(wrong)
    half = tmp_path / "half.gguf"
    with MODEL.open("rb") as file:
        half.write_bytes(file.read(20_000_000))
    with pytest.raises(ModelBroken, match="cannot load"):
        load(half)
    with pytest.raises(ConfigError, match="LLM_CONTEXT is 131072"):
        load(MODEL, context=131072)


OUT_OF_MEMORY = """
import asyncio, resource, sys
from pathlib import Path
import llama_cpp
from bot.errors import OutOfMemory
from bot.llm.local import LocalLlm
used = int(open("/proc/self/statm", encoding="ascii").read().split()[0]) * 4096
resource.setrlimit(resource.RLIMIT_AS, (used + int(sys.argv[2]),) * 2)
llm = LocalLlm(Path(sys.argv[1]), context=32768, threads=1, max_tokens=9, device="cpu", name="q")
try:
    asyncio.run(llm.load())
except OutOfMemory as error:
    sys.exit(str(error))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is Linux's")
def test_no_room_for_the_context_is_said() -> None:
    # Room for the file and the thread, not for 32768 tokens of keys and values.
    room = MODEL.stat().st_size + 150_000_000
    done = subprocess.run(
        [sys.executable, "-c", OUT_OF_MEMORY, str(MODEL), str(room)], cwd=ROOT, capture_output=True, text=True
    )
    assert "not enough memory" in done.stderr, done.stderr
    assert done.returncode == 1
