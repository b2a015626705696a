"""Arithmetic on samples: levels, mixing, conversion, fades. Pure, and never wraps around."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from bot.events import Int16

Float32 = npt.NDArray[np.float32]

FULL_SCALE = 32768
FLOOR_DBFS = -120.0
"""Given for digital silence, whose level would be minus infinity."""


def rms(pcm: Int16) -> float:
    """In steps of int16, 0 to 32768; 0 for no samples."""
    if not len(pcm):
        return 0.0
    wide = pcm.astype(np.float64)
    return math.sqrt(float(np.dot(wide, wide)) / len(wide))


def peak(pcm: Int16) -> int:
    """Largest distance from zero. -32768 counts as 32768, which int16 itself cannot say."""
    return int(np.abs(pcm.astype(np.int32)).max(initial=0))


def dbfs(amplitude: float) -> float:
    """Decibels below full scale of an amplitude in steps of int16."""
    return max(FLOOR_DBFS, 20 * math.log10(amplitude / FULL_SCALE)) if amplitude > 0 else FLOOR_DBFS


def amplitude(level_dbfs: float) -> float:
    """Steps of int16 at a level; the inverse of `dbfs`."""
    return float(FULL_SCALE * 10 ** (level_dbfs / 20))


def to_float(pcm: Int16) -> Float32:
    """-1.0 to just under 1.0."""
    return pcm.astype(np.float32) / np.float32(FULL_SCALE)


def to_int16(samples: npt.NDArray[np.floating]) -> Int16:
    """Rounds, and clips what is louder than full scale. NaN becomes silence."""
    scaled = np.nan_to_num(np.rint(samples * FULL_SCALE), nan=0.0, posinf=FULL_SCALE, neginf=-FULL_SCALE)
    clipped: Int16 = np.clip(scaled, -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)
    return clipped


def to_mono(pcm: Int16) -> Int16:
    """Mean of the channels of (samples, channels); what is mono already passes."""
    if pcm.ndim == 1:
        return pcm
    if pcm.shape[1] == 1:
        return pcm[:, 0]
    mixed: Int16 = np.rint(pcm.astype(np.int32).mean(axis=1)).astype(np.int16)
    return mixed


def fade_out(pcm: Int16) -> Int16:
    """Falls in a straight line over its whole length and ends in zero."""
    return np.rint(pcm * np.linspace(1.0, 0.0, len(pcm))).astype(np.int16)


def fade_in(pcm: Int16) -> Int16:
    return np.rint(pcm * np.linspace(0.0, 1.0, len(pcm))).astype(np.int16)
