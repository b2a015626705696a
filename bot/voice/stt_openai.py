"""Hearing elsewhere: the transcription endpoint of OpenAI's or of a server that speaks like it."""

from __future__ import annotations

import asyncio
import io
import wave
from functools import partial
from typing import Any

from bot.config import CloudSettings
from bot.events import MIC_RATE, EngineInfo, Int16, Transcript
from bot.openai_sdk import AudioEndpoint, translated
from bot.voice.stt_audio import SILENCE_DB, loudest_db

SHORTEST_S = 0.1
WAITS_S = (0.5, 1.5)
"""Before the second and third try: somebody waits for the answer."""
LIMIT_S = 30.0
"""For one try."""


class OpenAiStt:
    """Implements ports.Stt."""

    def __init__(self, settings: CloudSettings, *, language: str, vocabulary: str) -> None:
        """`vocabulary`: a sentence with words that are likely. Raises ConfigError."""
        self._endpoint = AudioEndpoint(settings, "STT", WAITS_S)
        self._language = language
        self._vocabulary = vocabulary

    async def load(self) -> EngineInfo:
        return await self._endpoint.load()

    async def close(self) -> None:
        await self._endpoint.close()

    async def transcribe(self, pcm: Int16) -> Transcript:
        """Raises ProviderError. Silence is not sent: it costs, and models make up words for it."""
        language = "en" if self._language == "auto" else self._language
        if len(pcm) < SHORTEST_S * MIC_RATE:
            return Transcript("", language, "too short")
        if loudest_db(pcm) < SILENCE_DB:
            return Transcript("", language, "silence")
        now = asyncio.get_running_loop().time
        started = now()
        text = await self._endpoint.tries(partial(self._ask, _wav(pcm)))
        return Transcript(text, language, "" if text else "no speech", now() - started)

    async def _ask(self, sound: bytes) -> str:
        request: dict[str, Any] = {"model": self._endpoint.who.model, "file": ("speech.wav", sound, "audio/wav")}
        if self._language != "auto":
            request["language"] = self._language
        if self._vocabulary:
            request["prompt"] = self._vocabulary
        with translated(self._endpoint.sdk, self._endpoint.who):
            heard = await self._endpoint.client.audio.transcriptions.create(
                **request, response_format="json", timeout=LIMIT_S
            )
            return str(heard.text or "").strip()


def _wav(pcm: Int16) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(MIC_RATE)
        writer.writeframes(pcm.astype("<i2").tobytes())
    return file.getvalue()
