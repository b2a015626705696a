"""The real Kokoro on onnxruntime speaks, and the real Whisper must understand."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bot import config
from bot.errors import ModelBroken, ModelDamaged, ModelMissing, StageError, UnknownVoice
from bot.events import SPEECH_RATE, EngineInfo, SpeechClip
from bot.voice.speakable import speakable
from bot.voice.tts_onnx import KokoroOnnxTts
from tests.models.spoken import SENTENCES, assert_loud_and_whole, decibels, sentence, understood, word_errors

pytestmark = pytest.mark.slow

KOKORO = config.load().models.folder / "kokoro"
MODEL = KOKORO / "kokoro-v1.0.int8.onnx"
VOICES = KOKORO / "voices"


def engine(model: Path = MODEL, voices: Path = VOICES, voice: str = "af_heart", speed: float = 1.0) -> KokoroOnnxTts:
    return KokoroOnnxTts(model, voices, voice=voice, speed=speed, threads=2, device="cpu")


class Mouth:
    """A loaded engine whose calls wait for their answer."""

    def __init__(self, tts: KokoroOnnxTts) -> None:
        self.loop = asyncio.new_event_loop()
        self.tts = tts
        self.info: EngineInfo = self.loop.run_until_complete(tts.load())

    def say(self, text: str, voice: str = "af_heart") -> SpeechClip:
        self.tts.set_voice(voice)
        return self.loop.run_until_complete(self.tts.speak(sentence(text)))

    def close(self) -> None:
        self.loop.run_until_complete(self.tts.close())
        self.loop.close()


@pytest.fixture(scope="module")
def mouth() -> Iterator[Mouth]:
    mouth = Mouth(engine())
    yield mouth
    mouth.close()


def load_fails(tts: KokoroOnnxTts) -> Exception:
    async def run() -> Exception:
        try:
            with pytest.raises(Exception) as caught:
                await tts.load()
            return caught.value
        finally:
            await tts.close()

    return asyncio.run(run())


def test_load_tells_what_it_loaded(mouth: Mouth) -> None:
    assert mouth.info.stage == "TTS"
    assert mouth.info.size_bytes == MODEL.stat().st_size
    assert mouth.info.device == "cpu"
    assert mouth.info.load_s > 0


def test_whisper_understands_twenty_sentences(mouth: Mouth) -> None:
    clips = [mouth.say(text) for text in SENTENCES]
    for clip in clips:
        assert_loud_and_whole(clip)
    levels = [decibels(clip.pcm) for clip in clips]
    assert max(levels) - min(levels) < 2.0, "clips of one voice differ in level"
    heard = [understood(clip) for clip in clips]
    assert word_errors(SENTENCES, heard) <= 0.10, list(zip(SENTENCES, heard, strict=True))


@pytest.mark.parametrize("voice", ["am_michael", "bf_emma", "af_heart*0.6+am_michael*0.4"])
def test_other_voices_are_understood_at_the_same_level(mouth: Mouth, voice: str) -> None:
    texts = SENTENCES[:4]
    clips = [mouth.say(text, voice) for text in texts]
    for clip in clips:
        assert_loud_and_whole(clip)
    assert word_errors(texts, [understood(clip) for clip in clips]) <= 0.10
    assert abs(np.mean([decibels(clip.pcm) for clip in clips]) - decibels(mouth.say(texts[0]).pcm)) < 2.0


def test_a_voice_is_another_voice_and_a_blend_is_between(mouth: Mouth) -> None:
    lengths = [mouth.say(SENTENCES[1], v).pcm.size for v in ("af_heart", "af_heart+am_michael", "am_michael")]
    assert len(set(lengths)) == 3


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("Call `get_user_id()` in **main.py** first.", "call get user id in main dot py first"),
        ("It took 250ms and 2.5 MB, see https://docs.python.org/3/.", None),
        ("Install C++ and read the JSON from stdout.", "install c plus plus and read the json from standard output"),
        ("Pass --verbose, e.g. on the second run.", "pass verbose for example on the second run"),
    ],
)
def test_what_developers_write_is_understood_as_meant(mouth: Mouth, written: str, meant: str | None) -> None:
    heard = understood(mouth.say(speakable(written)))
    if meant is None:
        for word in ("250", "2.5", "megabytes", "python"):
            assert word in heard.lower().replace("mb", "megabytes"), heard
        return
    said = heard.lower().replace("c++", "c plus plus").replace(".py", " dot py").replace("--", "dash dash ")
    assert word_errors([meant], [said]) <= 0.25, heard


def test_text_longer_than_the_model_takes_is_spoken_to_its_end(mouth: Mouth) -> None:
    text = " ".join(SENTENCES)
    clip = mouth.say(text)
    assert clip.pcm.size / SPEECH_RATE > 45
    heard = understood(clip)
    assert word_errors([text], [heard]) <= 0.10
    assert "merge it now" in heard.lower()


@pytest.mark.parametrize("text", ["", " \n\t", "...", "?!", "—", "()", '""', "\u200b", "\ufffd"])
def test_nothing_to_say_is_an_empty_clip(mouth: Mouth, text: str) -> None:
    clip = mouth.say(text)
    assert clip.pcm.shape == (0,)
    assert clip.leading_silence_s == 0


@pytest.mark.parametrize(
    "text", ["I", "naïve café", "\x00 null \x07", "a" * 700, "你好", "x = {1: [2, 3]}", "Zürich 🙂", "1" * 40]
)
def test_odd_text_is_spoken_somehow(mouth: Mouth, text: str) -> None:
    clip = mouth.say(text)
    assert clip.pcm.size
    assert abs(clip.pcm.astype(int)).max() <= 32_000


def test_no_mark_of_a_language_is_read_aloud(mouth: Mouth) -> None:
    """espeak writes "(en)" after a foreign word, which Kokoro would pronounce."""
    heard = understood(mouth.say("The word 你 is here."))
    assert "here" in heard.lower()
    assert " en " not in heard.lower()


def test_the_pause_at_the_end_goes_by_the_closing_mark(mouth: Mouth) -> None:
    def silence(text: str) -> float:
        pcm = mouth.say(text).pcm
        return (pcm.size - 1 - np.flatnonzero(np.abs(pcm) > 3)[-1]) / SPEECH_RATE

    assert 0.1 < silence("That is all.") < 0.2
    assert silence("First of all,") < silence("That is all.")


def test_speed() -> None:
    async def run(speed: float) -> int:
        tts = engine(speed=speed)
        await tts.load()
        try:
            return int((await tts.speak(sentence(SENTENCES[2]))).pcm.size)
        finally:
            await tts.close()

    slow, fast = asyncio.run(run(0.8)), asyncio.run(run(1.25))
    assert 1.3 < slow / fast < 1.8


def test_a_cancelled_sentence_frees_the_engine(mouth: Mouth) -> None:
    """The next sentence does not wait for the rest of a long one that nobody will hear."""

    async def run() -> float:
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as group:
            task = group.create_task(mouth.tts.speak(sentence(" ".join(SENTENCES[:6]))))
            await asyncio.sleep(0.5)
            task.cancel()
        started = loop.time()
        await mouth.tts.speak(sentence(""))
        return loop.time() - started

    assert mouth.loop.run_until_complete(run()) < 1.0
    assert mouth.say(SENTENCES[0]).pcm.size


def test_an_unknown_voice_keeps_the_old_one(mouth: Mouth) -> None:
    mouth.tts.set_voice("af_heart")
    with pytest.raises(UnknownVoice, match="af_heart"):
        mouth.tts.set_voice("af_hart")
    assert mouth.loop.run_until_complete(mouth.tts.speak(sentence("Okay."))).pcm.size


def test_what_cannot_be_loaded_is_named(tmp_path: Path) -> None:
    assert isinstance(load_fails(engine(model=tmp_path / "none.onnx")), ModelMissing)
    assert isinstance(load_fails(engine(voices=tmp_path / "none")), ModelMissing)
    assert isinstance(load_fails(engine(voice="nobody")), UnknownVoice)
    half = tmp_path / "half.onnx"
    half.write_bytes(MODEL.read_bytes()[:1_000_000])
    error = load_fails(engine(model=half))
    assert isinstance(error, ModelBroken)
    assert "half.onnx" in str(error)
    shutil.copy(VOICES / "af_heart.bin", tmp_path / "af_heart.bin")
    (tmp_path / "af_heart.bin").write_bytes((VOICES / "af_heart.bin").read_bytes()[:-1])
    assert isinstance(load_fails(engine(voices=tmp_path)), ModelDamaged)


def test_a_model_of_something_else_is_named() -> None:
    error = load_fails(engine(model=config.load().models.folder / "silero" / "silero_vad.onnx"))
    assert isinstance(error, ModelBroken)


def test_speaking_before_loading_is_an_error_of_the_turn() -> None:
    async def run() -> None:
        tts = engine()
        try:
            with pytest.raises(StageError, match="before it was loaded"):
                await tts.speak(sentence("Hello."))
        finally:
            await tts.close()

    asyncio.run(run())
