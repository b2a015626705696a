"""The torch engine, on weights rebuilt from the int8 graph: DEQUANTISED, so its sound is not the published one's. Runs
where `torch`, `kokoro` and `onnx` are installed; the refusals that need none of them always run."""

from __future__ import annotations

import asyncio
import importlib.util
import socket
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from bot import config
from bot.errors import MissingPackage, ModelBroken, ModelMissing, UnknownVoice
from bot.events import EngineInfo, SpeechClip
from bot.voice.tts_torch import KokoroTorchTts
from tests.models.spoken import SENTENCES, assert_loud_and_whole, sentence, understood, word_errors

KOKORO = config.load().models.folder / "kokoro"
VOICES = KOKORO / "voices"
INSTALLED = all(importlib.util.find_spec(name) for name in ("torch", "kokoro", "onnx"))
needs_torch = pytest.mark.skipif(not INSTALLED, reason="torch, kokoro or onnx is not installed")
pytestmark = pytest.mark.slow


def engine(model: Path, voice: str = "af_heart") -> KokoroTorchTts:
    return KokoroTorchTts(model, VOICES, voice=voice, speed=1.0, device="cuda")


async def load_and_close(tts: KokoroTorchTts) -> None:
    try:
        await tts.load()
    finally:
        await tts.close()


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dequantised stand-in for kokoro-v1_0.pth."""
    from tests.models.kokoro_weights import save

    package = importlib.util.find_spec("kokoro_onnx")
    assert package
    assert package.origin
    target = tmp_path_factory.mktemp("torch") / "kokoro-dequantised.pth"
    with warnings.catch_warnings(action="ignore"):
        save(KOKORO / "kokoro-v1.0.int8.onnx", Path(package.origin).with_name("config.json"), target)
    return target


class Mouth:
    def __init__(self, tts: KokoroTorchTts) -> None:
        self.loop = asyncio.new_event_loop()
        self.tts = tts
        self.info: EngineInfo = self.loop.run_until_complete(tts.load())

    def say(self, text: str) -> SpeechClip:
        return self.loop.run_until_complete(self.tts.speak(sentence(text)))


@pytest.fixture(scope="module")
def mouth(weights: Path) -> Iterator[Mouth]:
    """Loaded and used without any network."""

    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise AssertionError("the engine wanted the network")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", refuse)
        patch.setattr(socket, "getaddrinfo", refuse)
        mouth = Mouth(engine(weights))
        yield mouth
        mouth.loop.run_until_complete(mouth.tts.close())
        mouth.loop.close()


@needs_torch
def test_load_tells_what_it_loaded(mouth: Mouth, weights: Path) -> None:
    import torch

    assert mouth.info.name == "Kokoro (torch)"
    assert mouth.info.size_bytes == weights.stat().st_size
    assert mouth.info.device == ("cuda" if torch.cuda.is_available() else "cpu")


@needs_torch
def test_whisper_understands_dequantised_torch(mouth: Mouth) -> None:
    texts = SENTENCES[:5]
    clips = [mouth.say(text) for text in texts]
    for clip in clips:
        assert_loud_and_whole(clip)
    heard = [understood(clip) for clip in clips]
    assert word_errors(texts, heard) <= 0.10, heard


@needs_torch
def test_voices_and_blends_are_those_of_the_other_engine(mouth: Mouth) -> None:
    mouth.tts.set_voice("bf_emma*0.5+am_michael*0.5")
    try:
        assert word_errors([SENTENCES[0]], [understood(mouth.say(SENTENCES[0]))]) <= 0.2
        with pytest.raises(UnknownVoice, match="bf_emma"):
            mouth.tts.set_voice("bf_ema")
    finally:
        mouth.tts.set_voice("af_heart")


@needs_torch
def test_nothing_to_say_is_an_empty_clip(mouth: Mouth) -> None:
    assert mouth.say(" ... ").pcm.shape == (0,)


@needs_torch
def test_a_cancelled_sentence_frees_the_engine(mouth: Mouth) -> None:
    async def run() -> float:
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as group:
            task = group.create_task(mouth.tts.speak(sentence(" ".join(SENTENCES[:6]))))
            await asyncio.sleep(0.5)
            task.cancel()
        started = loop.time()
        await mouth.tts.speak(sentence(""))
        return loop.time() - started

    assert mouth.loop.run_until_complete(run()) < 2.0
    assert mouth.say("Okay.").pcm.size


@needs_torch
def test_a_file_that_fits_only_in_part_is_refused(weights: Path, tmp_path: Path) -> None:
    """The package itself would take it and speak noise."""
    import torch

    saved = torch.load(weights, weights_only=True)
    del saved["decoder"]["module.generator.conv_post.weight_v"]
    torch.save(saved, tmp_path / "part.pth")
    with pytest.raises(ModelBroken, match=r"1 weights of its part decoder .* generator\.conv_post\.weight_v"):
        asyncio.run(load_and_close(engine(tmp_path / "part.pth")))
    (tmp_path / "noise.pth").write_bytes(b"no weights at all" * 100)
    with pytest.raises(ModelBroken, match=r"noise\.pth"):
        asyncio.run(load_and_close(engine(tmp_path / "noise.pth")))


def test_a_missing_package_is_named_with_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "kokoro", None)
    (tmp_path / "any.pth").touch()
    with pytest.raises(MissingPackage, match="pip install kokoro torch"):
        asyncio.run(load_and_close(engine(tmp_path / "any.pth")))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match=r"none\.pth"):
        asyncio.run(load_and_close(engine(tmp_path / "none.pth")))
