"""Chooses the engines that the settings ask for, and loads and warms them up, all at once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial

from bot import vram
from bot.config import Settings
from bot.errors import ModelDamaged, ModelMissing
from bot.events import EngineInfo, Exchange
from bot.llm.anthropic_wire import AnthropicWire
from bot.llm.brain import ConversationBrain
from bot.llm.cloud import CloudLlm
from bot.llm.diagnosis import DiagnosisQuestion
from bot.llm.local import LocalLlm
from bot.llm.openai_wire import OpenAiWire
from bot.llm.sampler import Sampling
from bot.llm.shelf import Choice, ModelShelf
from bot.memory import MemoryLedger, free_memory
from bot.models.catalogue import Catalogue
from bot.models.check import ensure_whole
from bot.models.manifest import Model, shipped
from bot.ports import Brain, Diagnosis, Engine, Llm, Stt, Tts, Vad
from bot.voice.stt import WhisperStt
from bot.voice.stt_openai import OpenAiStt
from bot.voice.tts_onnx import KokoroOnnxTts
from bot.voice.tts_openai import OpenAiTts
from bot.voice.tts_torch import KokoroTorchTts
from bot.voice.vad import SileroVad
from bot.voice.voices import available

log = logging.getLogger(__name__)


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


NEEDS, NEEDS_BYTES = 1.2, 300_000_000
"""What a local model takes of memory: so many times its file, and the rest for its context."""
VOICE_PARTS = ("silero", "whisper", "kokoro", "voices")


async def checked(settings: Settings, *, voice: bool = False) -> Catalogue:
    """The catalogue, once what will be loaded is known to be whole. Raises ModelDamaged."""
    catalogue = Catalogue(settings.models)
    spoken = spoken_parts(settings) if voice else []
    await ensure_whole(catalogue, [*(["llm"] if settings.llm.provider == "local" else []), *spoken])
    return catalogue


def spoken_parts(settings: Settings) -> list[str]:
    """What of VOICE_PARTS is loaded on this machine, without the torch voice."""
    voice = settings.voice
    away = {"whisper"} if voice.stt_provider == "openai" else set()
    away |= {"kokoro", "voices"} if voice.tts_provider == "openai" else set()
    away |= {"kokoro"} if voice.tts_engine != "onnx" else set()
    return [part for part in VOICE_PARTS if part not in away]


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


def variant(settings: Settings, name: str) -> Settings:
    """With the language model `name`: one of the manifest or a GGUF's path, or "openai" or "anthropic", with or without
    a colon and the model's name there."""
    provider, _, model = name.partition(":")
    llm = settings.llm
    if provider == "openai":
        cloud = replace(llm.openai, model=model or llm.openai.model)
        return replace(settings, llm=replace(llm, provider=provider, openai=cloud))
    if provider == "anthropic":
        cloud = replace(llm.anthropic, model=model or llm.anthropic.model)
        return replace(settings, llm=replace(llm, provider=provider, anthropic=cloud))
    local = {part: path for part, path in settings.models.local.items() if part != "llm"}
    models = replace(settings.models, llm=name, local=local)
    return replace(settings, llm=replace(llm, provider="local"), models=models)


def make_shelf(settings: Settings, catalogue: Catalogue, llm: Llm, quiet: asyncio.Lock) -> ModelShelf:
    """`llm` is the settings' own; beside it are the local models on disk, and what is configured elsewhere."""
    chosen = settings.llm
    cloud = {"openai": chosen.openai, "anthropic": chosen.anthropic}
    if chosen.provider in cloud:
        first = f"{chosen.provider}:{cloud[chosen.provider].model}"
    else:
        first = catalogue.locate("llm").name if catalogue.own("llm") else _short(catalogue.chosen("llm"))
    others = [choice for model in shipped().of_part("llm") if (choice := _local_choice(settings, _short(model)))]
    for provider, each in cloud.items():
        if each.model and (each.key or (provider == "openai" and each.base_url)):
            others.append(Choice(name := f"{provider}:{each.model}", partial(_make_variant, settings, name)))
    return ModelShelf(first, llm, others, free=free_memory, quiet=quiet)


def _short(model: Model) -> str:
    return model.short or model.name


def _local_choice(settings: Settings, name: str) -> Choice | None:
    """None for a model that is not on disk."""
    try:
        found = Catalogue(variant(settings, name).models).locate("llm")
    except (ModelMissing, ModelDamaged):
        return None
    return Choice(name, partial(_make_variant, settings, name), round(found.size_bytes * NEEDS) + NEEDS_BYTES)


async def _make_variant(settings: Settings, name: str) -> Llm:
    changed = variant(settings, name)
    return make_llm(changed, await checked(changed))


def make_brain(settings: Settings, llm: Llm, past: Sequence[Exchange] = ()) -> Brain:
    """A conversation with a loaded model; `past` is what was said in it before."""
    brain = ConversationBrain(llm, context=settings.llm.context, max_tokens=settings.llm.max_tokens)
    brain.recall(past)
    return brain


def make_diagnosis(settings: Settings, llm: Llm) -> Diagnosis:
    brain = ConversationBrain(llm, context=settings.llm.context, max_tokens=settings.llm.max_tokens)
    return DiagnosisQuestion(llm.count, lambda: brain.longest)


def make_voice(settings: Settings, catalogue: Catalogue) -> Voice:
    vad = SileroVad(catalogue.locate("silero").path)
    return Voice(vad, make_stt(settings, catalogue), make_tts(settings, catalogue))


def make_stt(settings: Settings, catalogue: Catalogue) -> Stt:
    """Raises ConfigError, ModelMissing."""
    voice = settings.voice
    if voice.stt_provider == "openai":
        return OpenAiStt(voice.stt_cloud, language=voice.language, vocabulary=voice.vocabulary)
    whisper = catalogue.locate("whisper")
    gpu = catalogue.device == "cuda"
    return WhisperStt(
        whisper.path,
        language=settings.voice.language,
        device=catalogue.device,
        compute_type="int8_float16" if gpu else "int8",
        threads=settings.voice.stt_threads,
        name=whisper.name,
        vocabulary=settings.voice.vocabulary,
    )


def make_tts(settings: Settings, catalogue: Catalogue) -> Tts:
    """Raises ConfigError, ModelMissing."""
    if settings.voice.tts_provider == "openai":
        cloud = settings.voice.tts_cloud
        return OpenAiTts(cloud, voice=settings.voice.tts_cloud_voice, speed=settings.voice.speed)
    voices = catalogue.locate("voices").path
    voice, speed, device = settings.voice.voice, settings.voice.speed, catalogue.device
    if settings.voice.tts_engine == "kokoro":
        return KokoroTorchTts(catalogue.locate("kokoro-torch").path, voices, voice=voice, speed=speed, device=device)
    model = catalogue.locate("kokoro").path
    threads = settings.voice.tts_threads
    return KokoroOnnxTts(model, voices, voice=voice, speed=speed, threads=threads, device=device)


def voice_names(settings: Settings, catalogue: Catalogue) -> list[str]:
    """The configured one first, where a server does not say which it has."""
    if settings.voice.tts_provider == "openai":
        return [settings.voice.tts_cloud_voice]
    return available(catalogue.locate("voices").path)


@asynccontextmanager
async def loaded(engines: Sequence[Engine]) -> AsyncIterator[Loaded]:
    """Loads `engines` in parallel; ends their threads on the way out, also when one of them does not load."""
    now = asyncio.get_running_loop().time
    began = now()
    ledger = MemoryLedger()
    gpus = vram.find()
    on_gpu = MemoryLedger(gpus.used if gpus else lambda: 0)

    async def load(engine: Engine) -> tuple[str, EngineInfo]:
        key = type(engine).__name__
        with ledger.track(key), on_gpu.track(key):
            return key, await engine.load()

    async with AsyncExitStack() as stack:
        for engine in engines:
            stack.push_async_callback(engine.close)
        async with asyncio.TaskGroup() as tasks:
            loads = [tasks.create_task(load(engine)) for engine in engines]
        taken, shares = ledger.taken(), on_gpu.taken()
        infos = [
            replace(info, memory_bytes=taken[key], vram_bytes=shares[key])
            for key, info in (load.result() for load in loads)
        ]
        if problem := vram.warning(sum(shares.values())):
            log.warning(problem)
        yield Loaded(infos, now() - began)
