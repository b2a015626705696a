"""Chooses the engines that the settings ask for, and loads and warms them up, all at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace

from bot.config import Settings
from bot.events import EngineInfo, Exchange
from bot.llm.anthropic_wire import AnthropicWire
from bot.llm.brain import ConversationBrain
from bot.llm.cloud import CloudLlm
from bot.llm.local import LocalLlm
from bot.llm.openai_wire import OpenAiWire
from bot.llm.sampler import Sampling
from bot.memory import MemoryLedger
from bot.models.catalogue import Catalogue
from bot.models.check import ensure_whole
from bot.ports import Brain, Engine, Llm, Stt, Tts, Vad
from bot.voice.stt import WhisperStt
from bot.voice.tts_onnx import KokoroOnnxTts
from bot.voice.tts_torch import KokoroTorchTts
from bot.voice.vad import SileroVad
from bot.voice.voices import available


@dataclass(frozen=True, slots=True)
class Voice:
    """What a spoken conversation needs beside the language model."""

    vad: Vad
    stt: Stt
    tts: Tts


@dataclass(frozen=True, slots=True)
class Loaded:
    infos: Sequence[EngineInfo]
    seconds: float


VOICE_PARTS = ("silero", "whisper", "kokoro", "voices")


async def checked(settings: Settings, *, voice: bool = False) -> Catalogue:
    """The catalogue, once what will be loaded is known to be whole. Raises ModelDamaged."""
    catalogue = Catalogue(settings.models)
    spoken = [p for p in VOICE_PARTS if p != "kokoro" or settings.voice.tts_engine == "onnx"] if voice else []
    await ensure_whole(catalogue, [*(["llm"] if settings.llm.provider == "local" else []), *spoken])
    return catalogue


def make_llm(settings: Settings, catalogue: Catalogue) -> Llm:
    """Raises ConfigError, ModelMissing."""
    llm = settings.llm
    if llm.provider == "openai":
        return CloudLlm(OpenAiWire(llm.openai, max_tokens=llm.max_tokens, seed=llm.seed))
    if llm.provider == "anthropic":
        return CloudLlm(AnthropicWire(llm.anthropic, max_tokens=llm.max_tokens))
    file = catalogue.locate("llm")
    return LocalLlm(
        file.path,
        context=settings.llm.context,
        threads=settings.llm.threads,
        max_tokens=settings.llm.max_tokens,
        device=catalogue.device,
        name=file.name,
        sampling=Sampling(seed=settings.llm.seed),
    )


def make_brain(settings: Settings, llm: Llm, past: Sequence[Exchange] = ()) -> Brain:
    """A conversation with a loaded model; `past` is what was said in it before."""
    brain = ConversationBrain(llm, context=settings.llm.context, max_tokens=settings.llm.max_tokens)
    brain.recall(past)
    return brain


def make_voice(settings: Settings, catalogue: Catalogue) -> Voice:
    whisper = catalogue.locate("whisper")
    gpu = catalogue.device == "cuda"
    stt = WhisperStt(
        whisper.path,
        language=settings.voice.language,
        device=catalogue.device,
        compute_type="int8_float16" if gpu else "int8",
        threads=settings.voice.stt_threads,
        name=whisper.name,
        vocabulary=settings.voice.vocabulary,
    )
    return Voice(SileroVad(catalogue.locate("silero").path), stt, make_tts(settings, catalogue))


def make_tts(settings: Settings, catalogue: Catalogue) -> Tts:
    voices = catalogue.locate("voices").path
    voice, speed, device = settings.voice.voice, settings.voice.speed, catalogue.device
    if settings.voice.tts_engine == "kokoro":
        return KokoroTorchTts(catalogue.locate("kokoro-torch").path, voices, voice=voice, speed=speed, device=device)
    model = catalogue.locate("kokoro").path
    threads = settings.voice.tts_threads
    return KokoroOnnxTts(model, voices, voice=voice, speed=speed, threads=threads, device=device)


def voice_names(catalogue: Catalogue) -> list[str]:
    return available(catalogue.locate("voices").path)


@asynccontextmanager
async def loaded(engines: Sequence[Engine]) -> AsyncIterator[Loaded]:
    """Loads `engines` in parallel; ends their threads on the way out, also when one of them does not load."""
    now = asyncio.get_running_loop().time
    began = now()
    ledger = MemoryLedger()

    async def load(engine: Engine) -> tuple[str, EngineInfo]:
        key = type(engine).__name__
        with ledger.track(key):
            return key, await engine.load()

    async with AsyncExitStack() as stack:
        for engine in engines:
            stack.push_async_callback(engine.close)
        async with asyncio.TaskGroup() as tasks:
            loads = [tasks.create_task(load(engine)) for engine in engines]
        taken = ledger.taken()
        infos = [replace(info, memory_bytes=taken[key]) for key, info in (load.result() for load in loads)]
        yield Loaded(infos, now() - began)
