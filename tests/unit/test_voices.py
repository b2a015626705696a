"""Names and blends of voices, and what is said when they are wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bot.errors import ModelDamaged, ModelMissing, UnknownVoice
from bot.voice import voices


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number, name in enumerate(("af_heart", "am_michael", "bf_emma"), start=1):
        np.full((510, 1, 256), number, dtype=np.float32).tofile(tmp_path / f"{name}.bin")
    return tmp_path


def test_available(folder: Path) -> None:
    assert voices.available(folder) == ["af_heart", "am_michael", "bf_emma"]


@pytest.mark.parametrize(
    ("voice", "value"),
    [
        ("af_heart", 1.0),
        (" AF_Heart ", 1.0),
        ("af_heart+bf_emma", 2.0),
        ("af_heart*0.6+am_michael*0.4", 1.4),
        ("af_heart * 3 + bf_emma * 1", 1.5),
        ("am_michael*7", 2.0),
    ],
)
def test_style_of_a_name_or_a_blend(folder: Path, voice: str, value: float) -> None:
    style = voices.load(folder, voice)
    assert style.shape == (510, 256)
    assert style.dtype == np.float32
    assert np.allclose(style, value)


def test_an_unknown_voice_is_told_its_neighbours(folder: Path) -> None:
    with pytest.raises(UnknownVoice, match=r'"af_hart".*Did you mean af_heart.*am_michael'):
        voices.load(folder, "af_hart")
    with pytest.raises(UnknownVoice, match=r'"zzzz"\. Available: af_heart, am_michael, bf_emma'):
        voices.load(folder, "af_heart+zzzz")
    with pytest.raises(UnknownVoice, match=r"Available"):
        voices.load(folder, "../af_heart")


@pytest.mark.parametrize("voice", ["", "+", "af_heart*", "af_heart*x", "af_heart*-1", "af_heart*0", "af_heart*inf"])
def test_what_is_no_voice_is_told_how_one_looks(folder: Path, voice: str) -> None:
    with pytest.raises(UnknownVoice, match="is not a voice"):
        voices.load(folder, voice)


def test_damaged_and_missing_files(folder: Path, tmp_path: Path) -> None:
    (folder / "af_heart.bin").write_bytes(b"\0" * 1000)
    with pytest.raises(ModelDamaged, match="has 1000 bytes instead of 522240"):
        voices.load(folder, "af_heart")
    np.full((510, 256), np.nan, dtype=np.float32).tofile(folder / "bf_emma.bin")
    with pytest.raises(ModelDamaged, match="no numbers"):
        voices.load(folder, "bf_emma")
    with pytest.raises(ModelMissing, match="models fetch"):
        voices.load(tmp_path / "nowhere", "af_heart")


def test_accent() -> None:
    assert voices.accent("bf_emma*0.5+af_heart*0.5") == "en-gb"
    assert voices.accent("af_heart+bf_emma") == "en-us"
