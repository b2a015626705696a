"""Sound on its way into Whisper: how loud it is, brought to one level, cut where nobody speaks. Pure."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from bot.events import MIC_RATE, Int16

Float32 = npt.NDArray[np.float32]

BLOCK = MIC_RATE // 20
"""Samples per loudness measurement: 50 ms."""
LEVEL_DB = -14.0
"""RMS of the loudest block after `level`, in dB of full scale. Whisper's features keep the level, while the padding
behind the sound has a fixed one. Measured on noisy clips at -20 dB: word errors fell from 0.44 to 0.07 (base) and from
1.4 to 0.07 (tiny.en), and the no-speech probabilities of words and of noise moved apart."""
SILENCE_DB = -72.0
"""Loudest block below which there is nothing but the converter's own noise."""
PIECE_S = 28.0
"""Whisper hears at most 30 s at a time."""
SEARCH_S = 10.0
"""How far back from the end of a piece the quietest place is looked for."""


def loudest_db(pcm: Int16) -> float:
    """RMS of the loudest 50 ms in dB of full scale; -inf for digital silence."""
    power = float(_powers(pcm).max(initial=0.0))
    return 10 * math.log10(power) if power > 0 else -math.inf


def level(pcm: Int16) -> Float32:
    """As floats, the loudest 50 ms at `LEVEL_DB`, limited to full scale."""
    sound: Float32 = pcm.astype(np.float32) / np.float32(32768)
    loudest = loudest_db(pcm)
    if loudest < SILENCE_DB:
        return sound
    gain = np.float32(10 ** ((LEVEL_DB - loudest) / 20))
    levelled: Float32 = np.clip(sound * gain, -1, 1)
    return levelled


def pieces(pcm: Int16, longest_s: float = PIECE_S) -> list[Int16]:
    """Cuts long sound at the quietest place near the end of each piece. Nothing is lost or doubled."""
    longest, search = round(longest_s * MIC_RATE), round(min(SEARCH_S, longest_s / 2) * MIC_RATE)
    cut: list[Int16] = []
    while len(pcm) > longest:
        powers = _powers(pcm[longest - search : longest])
        # Pauses are longer than a block: three together keep a plosive's closure from being taken for one.
        smooth = np.convolve(powers, np.ones(3), mode="same")
        smooth[0] = smooth[-1] = np.inf
        at = longest - search + int(smooth.argmin()) * BLOCK + BLOCK // 2
        cut.append(pcm[:at])
        pcm = pcm[at:]
    return [*cut, pcm]


def _powers(pcm: Int16) -> npt.NDArray[np.float64]:
    if len(pcm) == 0:
        return np.zeros(1)
    size = min(BLOCK, len(pcm))
    whole = pcm[: len(pcm) // size * size].astype(np.float64) / 32768
    powers: npt.NDArray[np.float64] = np.mean(whole.reshape(-1, size) ** 2, axis=1)
    return powers
