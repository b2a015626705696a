"""Hearing and speaking through OpenAI-compatible audio endpoints, with the official SDK against a loopback endpoint.
(Scripted: no service and no audio server of anybody else was asked.)"""

from __future__ import annotations

import asyncio
import io
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bot.audio.wav import read_wav
from bot.config import CloudSettings, load
from bot.engines import make_stt, make_tts, spoken_parts, voice_names
from bot.errors import ConfigError, ProviderError, UnknownVoice
from bot.events import SPEECH_RATE, Sentence
from bot.models.catalogue import Catalogue
from bot.voice.stt_openai import OpenAiStt
from bot.voice.tts_openai import OpenAiTts
from tests.brain.endpoint import Answer, Endpoint, Request, serving

QUESTION = Path(__file__).resolve().parents[1] / "audio" / "question.wav"
KEY = "sk-very-secret-12345"


def settings(endpoint: Endpoint) -> CloudSettings:
    return CloudSettings(KEY, f"{endpoint.address}/v1", "m1", "", "")


def tone(seconds: float) -> bytes:
    t = np.arange(round(seconds * SPEECH_RATE)) / SPEECH_RATE
    return (8000 * np.sin(2 * np.pi * 220 * t)).astype("<i2").tobytes()


def part_of(request: Request, name: str) -> bytes:
    """A field of the multipart form."""
    _, _, rest = request.raw.partition(f'name="{name}"'.encode())
    return rest.partition(b"\r\n\r\n")[2].partition(b"\r\n--")[0]


def test_hearing() -> None:
    async def scene() -> None:
        busy = Answer(503, {"error": {"message": "loading", "type": "server_error"}})
        async with serving([busy, Answer(body={"text": " What does git rebase do? "})]) as endpoint:
            stt = OpenAiStt(settings(endpoint), language="en", vocabulary="git rebase")
            info = await stt.load()
            assert (info.stage, info.name) == ("STT", "m1")
            pcm = read_wav(QUESTION)
            heard = await stt.transcribe(pcm)
            assert (heard.text, heard.language, heard.dropped) == ("What does git rebase do?", "en", "")
            assert len(endpoint.requests) == 2, "a passing failure is tried again"
            asked = endpoint.requests[1]
            assert asked.path == "/v1/audio/transcriptions"
            assert asked.headers["authorization"] == f"Bearer {KEY}"
            assert (part_of(asked, "language"), part_of(asked, "prompt")) == (b"en", b"git rebase")
            file = asked.raw[asked.raw.index(b"RIFF") :]
            with wave.open(io.BytesIO(file)) as sent:
                assert (sent.getframerate(), sent.getnchannels(), sent.getnframes()) == (16000, 1, len(pcm))
            assert (await stt.transcribe(np.zeros(16000, np.int16))).dropped == "silence"
            assert (await stt.transcribe(pcm[:100])).dropped == "too short"
            assert len(endpoint.requests) == 2, "silence is not sent"
            await stt.close()

    asyncio.run(scene())


def test_speaking() -> None:
    async def scene() -> None:
        sound = Answer(body=tone(0.5))

        def answer(request: Request) -> Answer:
            known = request.body["voice"] in ("alloy", "nova")
            return sound if known else Answer(400, {"error": {"message": "no such voice"}})

        async with serving(answer) as endpoint:
            tts = OpenAiTts(settings(endpoint), voice="alloy", speed=1.0)
            await tts.load()
            clip = await tts.speak(Sentence(1, 0, "Hello.", "Hello."))
            assert 0.5 <= len(clip.pcm) / SPEECH_RATE < 0.75
            assert np.abs(clip.pcm).max() > 3000
            assert clip.leading_silence_s < 0.02
            wanted = {"model": "m1", "voice": "alloy", "input": "Hello.", "response_format": "pcm", "speed": 1.0}
            assert endpoint.requests[0].path == "/v1/audio/speech"
            assert endpoint.requests[0].body == wanted
            tts.set_voice("nova")
            await tts.speak(Sentence(1, 1, "Yes.", "Yes."))
            assert endpoint.requests[1].body["voice"] == "nova"
            assert not len((await tts.speak(Sentence(1, 2, "```x```", ""))).pcm)
            with pytest.raises(UnknownVoice):
                tts.set_voice("no\nname")
            tts.set_voice("zoe")
            with pytest.raises(ProviderError, match=r"no such voice\). Ask in other words, or set TTS_PROVIDER=local"):
                await tts.speak(Sentence(1, 3, "Hi.", "Hi."))
            await tts.close()

    asyncio.run(scene())


@pytest.mark.parametrize("part", ["stt", "tts"])
def test_refusals_name_what_to_set(part: str) -> None:
    async def use(engine: Any) -> None:
        await engine.load()
        try:
            await (engine.transcribe(read_wav(QUESTION)) if part == "stt" else engine.speak(Sentence(1, 0, "a", "a")))
        finally:
            await engine.close()

    async def scene() -> None:
        def make(cloud: CloudSettings) -> OpenAiStt | OpenAiTts:
            if part == "stt":
                return OpenAiStt(cloud, language="auto", vocabulary="")
            return OpenAiTts(cloud, voice="alloy", speed=1.0)

        wrong = Answer(401, {"error": {"message": f"bad key {KEY}", "type": "authentication_error"}})
        async with serving([wrong]) as endpoint:
            with pytest.raises(ProviderError, match="does not accept OPENAI_API_KEY") as error:
                await use(make(settings(endpoint)))
            assert KEY not in str(error.value)
        with pytest.raises(ProviderError, match=f"{part.upper()}_BASE_URL or OPENAI_BASE_URL"):
            await use(make(settings(endpoint)))

    asyncio.run(scene())


def test_the_settings_choose_them(tmp_path: Path) -> None:
    values = {
        "STT_PROVIDER": "openai",
        "TTS_PROVIDER": "openai",
        "OPENAI_BASE_URL": "http://h/v1",
        "OPENAI_API_KEY": "k",
    }
    chosen = load(None, {**values, "TTS_BASE_URL": "http://voice:1/v1/", "MODEL_DIR": str(tmp_path)})
    assert chosen.voice.stt_cloud.base_url == "http://h/v1"
    assert chosen.voice.tts_cloud.base_url == "http://voice:1/v1"
    catalogue = Catalogue(chosen.models)
    assert isinstance(make_stt(chosen, catalogue), OpenAiStt)
    assert isinstance(make_tts(chosen, catalogue), OpenAiTts)
    assert spoken_parts(chosen) == ["silero"]
    assert voice_names(chosen, catalogue) == ["alloy"]
    with pytest.raises(ConfigError, match="OPENAI_API_KEY is not set"):
        make_stt(load(None, {"STT_PROVIDER": "openai"}), catalogue)
