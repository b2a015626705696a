"""Hearing elsewhere: the transcription endpoint of OpenAI's or of a server that speaks like it."""

from __future__ import annotations

import asyncio
import io
import logging
import wave
from typing import Any
from urllib.parse import urlsplit

from bot.config import CloudSettings
from bot.errors import ProviderError
from bot.events import MIC_RATE, EngineInfo, Int16, Transcript
from bot.openai_sdk import ADDRESS, load_sdk, make_client, translated
from bot.provider import PASSING, provider
from bot.voice.stt_audio import SILENCE_DB, loudest_db
from bot.worker import Worker

log = logging.getLogger(__name__)

SHORTEST_S = 0.1
WAITS_S = (0.5, 1.5)
"""Before the second and third try: somebody waits for the answer."""
LIMIT_S = 30.0
"""For one try."""


class OpenAiStt:
    """Implements ports.Stt."""

    def __init__(self, settings: CloudSettings, *, language: str, vocabulary: str) -> None:
        """`vocabulary`: a sentence with words that are likely. Raises ConfigError."""
        self._settings = settings
        self._who = provider("OpenAI", "OPENAI", settings, ADDRESS, "STT")
        self._language = language
        self._vocabulary = vocabulary
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
        return EngineInfo("STT", self._who.model, self._who.model, 0, urlsplit(self._who.address).netloc, took, 0)

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()

    async def transcribe(self, pcm: Int16) -> Transcript:
        """Raises ProviderError. Silence is not sent: it costs, and models make up words for it."""
        language = "en" if self._language == "auto" else self._language
        if len(pcm) < SHORTEST_S * MIC_RATE:
            return Transcript("", language, "too short")
        if loudest_db(pcm) < SILENCE_DB:
            return Transcript("", language, "silence")
        now = asyncio.get_running_loop().time
        started = now()
        text = await self._tries(_wav(pcm))
        return Transcript(text, language, "" if text else "no speech", now() - started)

    async def _tries(self, sound: bytes) -> str:
        for wait_s in (*WAITS_S, None):
            try:
                return await self._ask(sound)
            except ProviderError as error:
                if wait_s is None or error.reason not in PASSING or (error.retry_after_s or 0) > wait_s:
                    raise
                log.warning("%s (trying again in %.1f s)", error, wait_s)
            await asyncio.sleep(wait_s)
        raise AssertionError("the last try returns or raises")

    async def _ask(self, sound: bytes) -> str:
        request: dict[str, Any] = {"model": self._who.model, "file": ("speech.wav", sound, "audio/wav")}
        if self._language != "auto":
            request["language"] = self._language
        if self._vocabulary:
            request["prompt"] = self._vocabulary
        with translated(self._sdk, self._who):
            heard = await self._client.audio.transcriptions.create(**request, response_format="json", timeout=LIMIT_S)
            return str(heard.text or "").strip()


def _wav(pcm: Int16) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(MIC_RATE)
        writer.writeframes(pcm.astype("<i2").tobytes())
    return file.getvalue()
