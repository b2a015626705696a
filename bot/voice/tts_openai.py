"""Speaking elsewhere: the speech endpoint of OpenAI's or of a server like it, as a stream of samples."""

from __future__ import annotations

import asyncio
import re
from functools import partial

import numpy as np

from bot.config import CloudSettings
from bot.errors import UnknownVoice
from bot.events import EngineInfo, Sentence, SpeechClip
from bot.openai_sdk import AudioEndpoint, translated
from bot.provider import failure
from bot.voice.loudness import finish

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
        self._endpoint = AudioEndpoint(settings, "TTS", WAITS_S)
        self._voice = voice
        self._speed = speed

    async def load(self) -> EngineInfo:
        return await self._endpoint.load()

    async def close(self) -> None:
        await self._endpoint.close()

    def set_voice(self, name: str) -> None:
        """Servers do not list their voices: one that is not there is refused with the next sentence."""
        if not _NAME.fullmatch(name.strip()):
            raise UnknownVoice(f'"{name[:80]}" is no name of a voice. Give one that {self._endpoint.who.name} has.')
        self._voice = name.strip()

    async def speak(self, sentence: Sentence) -> SpeechClip:
        """Raises ProviderError. Cancelling closes the stream."""
        now = asyncio.get_running_loop().time
        started = now()
        if not sentence.spoken.strip():
            return SpeechClip(sentence, np.zeros(0, np.int16), 0.0, 0.0)
        raw = await self._endpoint.tries(partial(self._ask, sentence.spoken))
        samples = np.frombuffer(raw[: len(raw) // 2 * 2], "<i2").astype(np.float32) / np.float32(32768)
        pcm, lead_s = finish(samples, sentence.spoken)
        return SpeechClip(sentence, pcm, lead_s, now() - started)

    async def _ask(self, text: str) -> bytes:
        raw = bytearray()
        speech = self._endpoint.client.audio.speech.with_streaming_response
        with translated(self._endpoint.sdk, self._endpoint.who):
            async with speech.create(
                model=self._endpoint.who.model,
                voice=self._voice,
                input=text,
                response_format="pcm",
                speed=self._speed,
                timeout=LIMIT_S,
            ) as answer:
                if "json" in answer.headers.get("content-type", ""):
                    raise failure(self._endpoint.who, "failed", "it sent no sound")
                async for piece in answer.iter_bytes():
                    raw += piece
                    if len(raw) > LONGEST_BYTES:
                        raise failure(self._endpoint.who, "failed", "its sound has no end")
        return bytes(raw)
