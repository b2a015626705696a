"""Understanding speech in tests: Whisper, loaded once, and the word error rate after normalising."""

from __future__ import annotations

import functools
import re
from typing import Any

import jiwer
import numpy as np
import soxr
from faster_whisper import WhisperModel

from bot import config
from bot.events import Int16


@functools.cache
def _whisper() -> Any:
    folder = config.load().models.folder / "whisper-base"
    return WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=2)


def transcribe(pcm: Int16, rate: int, topic: str | None = None) -> str:
    """The library alone, at its own padding, so that the product's shortcuts do not judge themselves. `topic` is told
    to it as what was said before."""
    sound = soxr.resample(pcm.astype(np.float32) / 32768, rate, 16_000)
    segments, _ = _whisper().transcribe(
        sound, language="en", beam_size=1, condition_on_previous_text=False, initial_prompt=topic
    )
    return " ".join(segment.text.strip() for segment in segments)


def understood(reference: str, pcm: Int16, rate: int) -> str:
    """The better of two hearings. "git" sounds like "get" to a listener who is not told what it is about; one who is
    now and then misses a small word."""
    return min((transcribe(pcm, rate, topic) for topic in (None, config.VOCABULARY)), key=lambda t: wer(reference, t))


DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
NUMBERS = {str(n): w for n, w in enumerate(DIGITS)}


def normal(text: str) -> list[str]:
    """Lower case, no punctuation, digits as words, hyphens as spaces."""
    return [NUMBERS.get(w, w) for w in re.findall(r"[a-z0-9]+", text.lower().replace("'", ""))]


def wer(reference: str, heard: str) -> float:
    """Word error rate: edits divided by the words of the reference."""
    return float(jiwer.wer(" ".join(normal(reference)), " ".join(normal(heard)) or "-"))
