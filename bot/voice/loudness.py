"""From what Kokoro computes to what is played: edges trimmed, level set, never clipped. Pure."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bot.events import SPEECH_RATE, Int16

Float = npt.NDArray[np.float32]

GAIN = 1.5
"""What Kokoro's own level is raised by, before each clip is brought to the common level."""
LEVEL = 0.125
"""RMS of the voiced parts that a clip is brought to: af_heart's own after GAIN."""
REACH = 10 ** (5 / 20)
"""A clip's gain stays within 5 dB of GAIN, so that a sigh does not become a shout."""
CEILING = 31_000 / 32_767
"""Peak of everything that is played."""
LOOKAHEAD_S = 0.005
"""The limiter lowers its gain this long before a peak and raises it as long after: too short to be heard as pumping."""
STEP = SPEECH_RATE // 1000
"""Samples per limiter step: 1 ms."""

AUDIBLE_DB = -45.0
"""Relative to the loudest 5 ms of a clip; below lies Kokoro's breath and silence."""
VOICED_DB = -30.0
FRAME = SPEECH_RATE // 200
"""Samples per frame of level measurement: 5 ms."""
LEAD_S = 0.010
"""Kept in front of the first audible frame."""
TAILS_S = {".": 0.12, "!": 0.12, "?": 0.12, "…": 0.12, ";": 0.1, ":": 0.1, ",": 0.08, "—": 0.08}
"""Silence after the last audible frame by the mark that closes the text."""
OPEN_TAIL_S = 0.06
FADE_S = 0.003
"""Ramp at both ends, so that a cut never clicks."""


def finish(raw: Float, text: str) -> tuple[Int16, float]:
    """Mono float (n,) at 24 kHz as synthesised for `text` -> samples to be played, seconds of silence at their start.
    Both are empty when nothing in `raw` can be heard."""
    voice, lead = trim(raw)
    if not voice.size:
        return np.zeros(0, dtype=np.int16), 0.0
    tail = np.zeros(round(tail_s(text) * SPEECH_RATE), dtype=np.float32)
    levelled = limit(voice * np.float32(gain(voice)))
    return to_int16(np.concatenate([levelled, tail])), lead


def tail_s(text: str) -> float:
    """Seconds of silence that `text` ends with."""
    return TAILS_S.get(text.rstrip("\"')]}»” \n")[-1:], OPEN_TAIL_S)


def trim(raw: Float) -> tuple[Float, float]:
    """The audible part with LEAD_S (or what there is) in front of it, faded at both ends, and the seconds of that
    lead."""
    levels = _frame_levels(raw)
    if not levels.size or (loudest := float(levels.max())) < 1e-4:
        return np.zeros(0, dtype=np.float32), 0.0
    audible = np.flatnonzero(levels > loudest * 10 ** (AUDIBLE_DB / 20))
    first = int(audible[0]) * FRAME
    start = max(0, first - round(LEAD_S * SPEECH_RATE))
    end = min(raw.size, (int(audible[-1]) + 1) * FRAME + round(FADE_S * SPEECH_RATE))
    part = raw[start:end].astype(np.float32)
    ramp = np.linspace(0, 1, min(round(FADE_S * SPEECH_RATE), part.size), dtype=np.float32)
    part[: ramp.size] *= ramp
    part[part.size - ramp.size :] *= ramp[::-1]
    return part, (first - start) / SPEECH_RATE


def gain(voice: Float) -> float:
    """One gain for the whole clip: a level that does not move cannot pump."""
    levels = _frame_levels(voice)
    if not levels.size or not levels.max():
        return GAIN
    voiced = levels[levels > levels.max() * 10 ** (VOICED_DB / 20)]
    wanted = LEVEL / float(np.sqrt(np.mean(voiced**2)))
    return float(np.clip(wanted, GAIN / REACH, GAIN * REACH))


def limit(voice: Float) -> Float:
    """Lowers the gain smoothly around each peak over CEILING; leaves everything else as it is."""
    steps = -(-voice.size // STEP)
    if not steps or np.abs(voice).max() <= CEILING:
        return voice
    peaks = np.abs(np.pad(voice, (0, steps * STEP - voice.size))).reshape(steps, STEP).max(axis=1)
    needed = np.minimum(1.0, CEILING / np.maximum(peaks, CEILING))
    reach = round(LOOKAHEAD_S * 1000)
    # The minimum over twice the window that smooths it: the smoothed gain is never above what a peak needs.
    lowest = np.lib.stride_tricks.sliding_window_view(np.pad(needed, 2 * reach, mode="edge"), 2 * reach + 1).min(axis=1)
    window = np.hanning(2 * reach + 1)[1:-1]
    smooth = np.convolve(np.pad(lowest, reach - 1, mode="edge"), window / window.sum(), mode="valid")
    # `smooth` has 2 * reach values more than steps; the middle ones stand for the steps' centres.
    middle = smooth[reach : reach + steps]
    curve = np.interp(np.arange(voice.size), np.arange(steps) * STEP + STEP / 2, middle)
    return (voice * curve).astype(np.float32)


def to_int16(voice: Float) -> Int16:
    """The last guard: what the limiter left over the ceiling by rounding is cut there."""
    top = round(CEILING * 32_767)
    return np.clip(np.round(voice * 32_767), -top, top).astype(np.int16)


def _frame_levels(raw: Float) -> Float:
    """RMS of each 5 ms, the incomplete last frame included."""
    if not raw.size:
        return np.zeros(0, dtype=np.float32)
    starts = np.arange(0, raw.size, FRAME)
    sums = np.add.reduceat(raw.astype(np.float64) ** 2, starts)
    counts = np.diff(np.append(starts, raw.size))
    return np.sqrt(sums / counts).astype(np.float32)
