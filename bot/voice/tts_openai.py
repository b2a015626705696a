"""Speaking elsewhere: the speech endpoint of OpenAI's or of a server like it, as a stream of samples."""

from __future__ import annotations

import asyncio
import logging
import re
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from bot.config import CloudSettings
from bot.errors import ProviderError, UnknownVoice
from bot.events import EngineInfo, Sentence, SpeechClip
from bot.openai_sdk import ADDRESS, load_sdk, make_client, translated
from bot.provider import PASSING, failure, provider
from bot.voice.loudness import finish
from bot.worker import Worker

log = logging.getLogger(__name__)

WAITS_S = (0.3, 1.0)
"""Before the second and third try: somebody listens."""
LIMIT_S = 30.0
"""For one piece of the stream."""
LONGEST_BYTES = 24_000 * 2 * 120
"""Two minutes. A sentence is much shorter; something else than speech would be longer."""
_NAME = re.compile(r"[\w.+*() -]{1,80}")


class OpenAiTts:
    """Implements ports.Tts."""

    def __init__(self, settings: CloudSettings, *, voice: str, speed: float) -> None:
        """Raises ConfigError."""
        self._settings = settings
        self._who = provider("OpenAI", "OPENAI", settings, ADDRESS, "TTS")
        self._voice = voice
        self._speed = speed
        self._sdk: Any = None
        self._client: Any = None

    async def load(self) -> EngineInfo:
        started = asyncio.get_running_loop().time()
        worker = Worker("import-sdk")
        try:
            self._sdk = await worker.run(load_sdk)
            self._client = await worker.run(make_client, self._sdk, self._settings)
        finally:
            worker.close()
        took = asyncio.get_running_loop().time() - started
        return EngineInfo("TTS", self._who.model, self._who.model, 0, urlsplit(self._who.address).netloc, took, 0)

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()

    def set_voice(self, name: str) -> None:
        """Servers do not list their voices: one that is not there is refused with the next sentence."""
        if not _NAME.fullmatch(name.strip()):
            raise UnknownVoice(f'"{name[:80]}" is no name of a voice. Give one that {self._who.name} has.')
        self._voice = name.strip()

    async def speak(self, sentence: Sentence) -> SpeechClip:
        """Raises ProviderError. Cancelling closes the stream."""
        now = asyncio.get_running_loop().time
        started = now()
        if not sentence.spoken.strip():
            return SpeechClip(sentence, np.zeros(0, np.int16), 0.0, 0.0)
        raw = await self._tries(sentence.spoken)
        samples = np.frombuffer(raw[: len(raw) // 2 * 2], "<i2").astype(np.float32) / np.float32(32768)
        pcm, lead_s = finish(samples, sentence.spoken)
        return SpeechClip(sentence, pcm, lead_s, now() - started)

    async def _tries(self, text: str) -> bytes:
        for wait_s in (*WAITS_S, None):
            try:
                return await self._ask(text)
            except ProviderError as error:
                if wait_s is None or error.reason not in PASSING or (error.retry_after_s or 0) > wait_s:
                    raise
                log.warning("%s (trying again in %.1f s)", error, wait_s)
            await asyncio.sleep(wait_s)
        raise AssertionError("the last try returns or raises")

    async def _ask(self, text: str) -> bytes:
        raw = bytearray()
        speech = self._client.audio.speech.with_streaming_response
        with translated(self._sdk, self._who):
            async with speech.create(
                model=self._who.model,
                voice=self._voice,
                input=text,
                response_format="pcm",
                speed=self._speed,
                timeout=LIMIT_S,
            ) as answer:
                if "json" in answer.headers.get("content-type", ""):
                    raise failure(self._who, "failed", "it sent no sound")
                async for piece in answer.iter_bytes():
                    raw += piece
                    if len(raw) > LONGEST_BYTES:
                        raise failure(self._who, "failed", "its sound has no end")
        return bytes(raw)
