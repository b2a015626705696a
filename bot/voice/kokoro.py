"""What both Kokoro engines share: text -> phonemes -> pieces -> one finished clip, and the choice of the voice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from bot.errors import ModelMissing, OutOfMemory, SidetoneError, StageError
from bot.events import Int16
from bot.voice import voices
from bot.voice.loudness import Float, finish
from bot.voice.phonemes import Phonemizer

WARM_UP = "Sure, let me check that."
"""Spoken to nobody at start-up. A text of another length costs no extra time the first time (measured)."""
NO_MEMORY_SIGNS = ("bad_alloc", "bad allocation", "out of memory", "failed to allocate")

Infer = Callable[[str, voices.Style], Float]
"""Phonemes (at most 510) and the whole style (510, 256) -> mono float (n,) at 24 kHz."""


class KokoroVoice:
    """Everything but the model."""

    def __init__(self, folder: Path, name: str, infer: Infer) -> None:
        self._folder = folder
        self._name = name
        self._infer = infer
        self._style: voices.Style | None = None
        self._phonemizer: Phonemizer | None = None

    @property
    def name(self) -> str:
        return self._name

    def open(self) -> Phonemizer:
        """Raises UnknownVoice, ModelMissing, ModelDamaged, MissingPackage."""
        self.choose(self._name)
        self._phonemizer = Phonemizer()
        return self._phonemizer

    def choose(self, name: str) -> None:
        """From the next text on. When it raises, the voice stays as it was."""
        self._style = voices.load(self._folder, name)
        self._name = name

    def say(self, text: str) -> tuple[Int16, float]:
        """(samples, seconds of silence at their start); both empty when there is nothing to say. Raises StageError."""
        if self._phonemizer is None or self._style is None:
            raise StageError("Kokoro was asked to speak before it was loaded. Load the engine first.")
        style = self._style
        try:
            pieces = self._phonemizer.phonemes(text, voices.accent(self._name))
            clips = [finish(self._infer(piece, style), piece) for piece in pieces]
        except MemoryError as error:
            raise StageError("There was no memory left to speak a sentence. Close other programs.") from error
        except Exception as error:  # onnxruntime and torch have an exception class per failure
            cause = first_line(error)
            raise StageError(f"Kokoro could not speak a sentence ({cause}). The rest is dropped: ask again.") from error
        clips = [clip for clip in clips if clip[0].size]
        if not clips:
            return np.zeros(0, dtype=np.int16), 0.0
        return np.concatenate([pcm for pcm, _ in clips]), clips[0][1]


def check_file(path: Path) -> int:
    """Its size in bytes. Raises ModelMissing."""
    if not path.is_file():
        raise ModelMissing(f"Kokoro's file {path} is not there. Run `python -m bot models fetch` to get it.")
    return path.stat().st_size


def out_of_memory(error: Exception) -> SidetoneError | None:
    """The error to raise when `error` means that there is no memory left."""
    if isinstance(error, MemoryError) or any(sign in str(error).lower() for sign in NO_MEMORY_SIGNS):
        return OutOfMemory("There is no memory left for Kokoro. Close other programs.")
    return None


def first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
