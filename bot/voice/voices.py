"""Kokoro's voices: which there are, how a name or a blend of names becomes a style. Pure but for reading the files."""

from __future__ import annotations

import difflib
import math
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bot.errors import ModelDamaged, ModelMissing, UnknownVoice

Style = npt.NDArray[np.float32]
ROWS = 510
"""One style per number of phonemes: a text of n phonemes uses row n - 1."""
STYLE_SIZE = 256
FILE_BYTES = ROWS * STYLE_SIZE * 4


def available(folder: Path) -> list[str]:
    """The names of the voices in `folder`, sorted."""
    return sorted(path.stem for path in folder.glob("*.bin"))


def load(folder: Path, voice: str) -> Style:
    """Style of shape (510, 256) for a name ("af_heart") or a blend ("af_heart*0.6+am_michael*0.4"). The weights of a
    blend are shares: they need not add up to 1. Raises UnknownVoice, ModelMissing, ModelDamaged."""
    names = available(folder)
    if not names:
        raise ModelMissing(f"There are no voices in {folder}. Run `python -m bot models fetch` to get them.")
    parts = [_parse(part, voice) for part in voice.split("+")]
    for name, _ in parts:
        if name not in names:
            raise _unknown(name, names)
    total = sum(weight for _, weight in parts)
    style = np.zeros((ROWS, STYLE_SIZE), dtype=np.float32)
    for name, weight in parts:
        style += _read(folder / f"{name}.bin") * np.float32(weight / total)
    return style


def accent(voice: str) -> str:
    """espeak's language for a voice or a blend. The first letter of a name is its accent; British is "b"."""
    return "en-gb" if voice.strip().lower().startswith("b") else "en-us"


def _parse(part: str, voice: str) -> tuple[str, float]:
    name, star, share = part.partition("*")
    try:
        weight = float(share) if star else 1.0
    except ValueError:
        weight = math.nan
    if not name.strip() or not 0 < weight < math.inf:
        raise UnknownVoice(
            f'"{voice}" is not a voice. Name one, such as "af_heart", '
            'or a blend, such as "af_heart*0.6+am_michael*0.4".'
        )
    return name.strip().lower(), weight


def _unknown(name: str, names: list[str]) -> UnknownVoice:
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    hint = f"Did you mean {' or '.join(near)}? " if near else ""
    return UnknownVoice(f'There is no voice "{name}". {hint}Available: {", ".join(names)}.')


def _read(path: Path) -> Style:
    data = path.read_bytes()
    if len(data) != FILE_BYTES:
        raise ModelDamaged(
            f"The voice file {path} has {len(data)} bytes instead of {FILE_BYTES}. "
            "Delete it and run `python -m bot models fetch`."
        )
    style: Style = np.frombuffer(data, dtype="<f4").reshape(ROWS, STYLE_SIZE).astype(np.float32)
    if not np.isfinite(style).all():
        raise ModelDamaged(
            f"The voice file {path} holds values that are no numbers. Delete it and run `python -m bot models fetch`."
        )
    return style
