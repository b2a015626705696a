"""English text -> the phonemes Kokoro was trained on, by espeak-ng out of the espeakng-loader wheel."""
# ruff: noqa: RUF001  phonetic letters look like others by nature

from __future__ import annotations

import logging
import re
from typing import Any

from bot.errors import MissingPackage

LONGEST = 510
"""Phonemes that Kokoro takes at a time."""

# espeak takes a NUL for the end of the text.
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
# espeak marks a change of language, as "(cmn)" before a Chinese word; read on, the mark would be spoken.
_SWITCH = re.compile(r"\([a-z]{2,3}(?:-[a-z0-9]+)*\)")
# Kokoro swallows the word "I" unless it carries a stress, as in its training data; espeak gives it none.
_PRONOUN = re.compile(r"(?<!\S)I")
_SOUND = re.compile(r"[^\W\d_ˈˌː]")

# Kokoro's training alphabet writes a diphthong or an affricate as one letter, where espeak writes two with a tie.
# Longer keys first.
_LETTERS = {
    "ʔˌn\u0329": "tᵊn",
    "ʔn\u0329": "tᵊn",
    "ʔn": "tᵊn",
    "a^ɪ": "I",
    "a^ʊ": "W",
    "d^ʒ": "ʤ",
    "e^ɪ": "A",
    "t^ʃ": "ʧ",
    "ɔ^ɪ": "Y",
    "ə^l": "ᵊl",
    "ʲo": "jo",
    "ʲə": "jə",
    "ɚɹ": "əɹ",
    "ʔ": "t",
    "e": "A",
    "ʲ": "",
    "ɚ": "əɹ",
    "r": "ɹ",
    "x": "k",
    "ç": "k",
    "ɐ": "ə",
    "ɬ": "l",
    "\u0303": "",
}
_ACCENTS = {
    "en-us": {"o^ʊ": "O", "ɜːɹ": "ɜɹ", "ɜː": "ɜɹ", "ɪə": "iə", "ː": "", "ɾ": "T"},
    "en-gb": {"e^ə": "ɛː", "i^ə": "ɪə", "ə^ʊ": "Q"},
}


class Phonemizer:
    """Built once per engine and used on its worker: espeak-ng has one global state."""

    def __init__(self) -> None:
        try:
            import phonemizer.backend
            from kokoro_onnx.chunker import split_phonemes
            from kokoro_onnx.tokenizer import Tokenizer

            self._tokenizer = Tokenizer()
            self._backends: dict[str, Any] = {
                language: phonemizer.backend.EspeakBackend(
                    language, preserve_punctuation=True, with_stress=True, tie="^", language_switch="keep-flags"
                )
                for language in _ACCENTS
            }
        except (ImportError, OSError, RuntimeError) as error:
            raise MissingPackage(
                f"Text cannot be turned into phonemes ({_first_line(error)}). "
                "Install what is missing with `pip install --force-reinstall kokoro-onnx espeakng-loader`."
            ) from error
        self._split = split_phonemes
        # It warns about every text whose words it cannot count.
        logging.getLogger("phonemizer").setLevel(logging.ERROR)

    @property
    def vocabulary(self) -> dict[str, int]:
        return dict(self._tokenizer.vocab)

    def ids(self, phonemes: str) -> list[int]:
        return list(self._tokenizer.tokenize(phonemes))

    def phonemes(self, text: str, accent: str) -> list[str]:
        """Pieces of at most 510 phonemes, cut at sentences, clauses or words; none when nothing can be said."""
        spoken = "".join(self._backends[accent].phonemize([" ".join(_CONTROL.sub(" ", text).split())]))
        spoken = _SWITCH.sub("", spoken)
        for table in (_ACCENTS[accent], _LETTERS):
            for espeak, kokoro in table.items():
                spoken = spoken.replace(espeak, kokoro)
        spoken = _PRONOUN.sub("ˌI", spoken)
        spoken = " ".join("".join(p for p in spoken if p in self._tokenizer.vocab).split())
        if not _SOUND.search(spoken):
            return []
        return [piece for piece in self._split(spoken, LONGEST) if _SOUND.search(piece)]


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
