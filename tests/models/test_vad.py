"""The real Silero on speech, silence and noise, and on files that are not it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

from bot import config
from bot.errors import ModelBroken, ModelMissing
from bot.events import FRAME_SAMPLES, EngineInfo, Frame, Int16
from bot.voice.vad import SileroVad
from tests.models.sounds import noises, read, say

pytestmark = pytest.mark.slow

MODEL = config.load().models.folder / "silero" / "silero_vad.onnx"
QUESTION = Path(__file__).resolve().parents[1] / "audio" / "question.wav"


def loaded(path: Path = MODEL) -> tuple[SileroVad, EngineInfo]:
    vad = SileroVad(path)
    return vad, asyncio.run(vad.load())


def probabilities(vad: SileroVad, pcm: Int16) -> list[float]:
    whole = len(pcm) // FRAME_SAMPLES * FRAME_SAMPLES
    return [vad.probability(Frame(frame, 0.0)) for frame in pcm[:whole].reshape(-1, FRAME_SAMPLES)]


def test_it_says_what_it_is() -> None:
    _, info = loaded()
    assert (info.stage, info.file, info.device) == ("VAD", str(MODEL), "cpu")
    assert info.size_bytes == MODEL.stat().st_size
    assert info.load_s > 0


@pytest.mark.parametrize("speech", [read(QUESTION), say("How do I undo the last commit?")], ids=["recording", "espeak"])
def test_speech_is_heard(speech: Int16) -> None:
    vad, _ = loaded()
    found = probabilities(vad, speech)
    assert max(found) > 0.95
    assert np.mean(np.array(found) > 0.5) > 0.4


@pytest.mark.parametrize("name", [name for name, _ in noises(3.0) if "music" not in name])
def test_noise_is_not(name: str) -> None:
    vad, _ = loaded()
    found = probabilities(vad, dict(noises(3.0))[name])
    assert np.mean(np.array(found) > 0.5) < 0.05


def test_reset_forgets() -> None:
    vad, _ = loaded()
    speech = read(QUESTION)
    first = probabilities(vad, speech)
    carried = probabilities(vad, speech)
    vad.reset()
    assert probabilities(vad, speech) == first
    assert carried != first, "the state of the frames before must count"


def test_it_is_what_the_model_says_when_asked_by_hand() -> None:
    """64 samples of the frame before, then the frame; the state handed on."""
    import onnxruntime

    speech = read(QUESTION).astype(np.float32) / 32768
    session = onnxruntime.InferenceSession(str(MODEL))
    state, by_hand = np.zeros((2, 1, 128), dtype=np.float32), []
    padded = np.concatenate([np.zeros(64, dtype=np.float32), speech])
    for start in range(0, len(speech) - FRAME_SAMPLES + 1, FRAME_SAMPLES):
        window = padded[start : start + 64 + FRAME_SAMPLES][None]
        found, state = session.run(None, {"input": window, "state": state, "sr": np.array(16_000)})
        by_hand.append(float(found[0, 0]))
    vad, _ = loaded()
    assert probabilities(vad, read(QUESTION)) == pytest.approx(by_hand, abs=1e-4)


def test_a_frame_of_another_size_is_refused() -> None:
    vad, _ = loaded()
    with pytest.raises(ValueError, match="512 samples"):
        vad.probability(Frame(np.zeros(480, dtype=np.int16), 0.0))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match="models fetch"):
        loaded(tmp_path / "none.onnx")


@pytest.mark.parametrize(
    "content", [b"", b"not a model", MODEL.read_bytes()[:1_000_000]], ids=["empty", "text", "half"]
)
def test_a_broken_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "silero.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelBroken, match="models verify"):
        loaded(path)
