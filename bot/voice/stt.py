"""Whisper on CTranslate2 (the models and features of faster-whisper), in a thread of its own."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bot.errors import ConfigError, MissingPackage, ModelBroken, ModelMissing, OutOfMemory, SidetoneError, StageError
from bot.events import MIC_RATE, EngineInfo, Int16, Transcript
from bot.voice.stt_audio import SILENCE_DB, level, loudest_db, pieces
from bot.voice.stt_guards import NAMED, Evidence, Verdict, foreign, judge, language_name, loops, sounds_like_noise
from bot.worker import Worker

FRAMES_PER_S = 100
PADDING_S = 10
"""Sound is padded to a multiple of this. The library always pads to 30 s, which costs 4 times the time of 10 s; with
5 s the model repeats itself (word errors on the noisy clips 0.07 at 10 s, 1.5 to 2.0 at 5 s)."""
LONGEST_S = 30
POOR_LOGPROB = -1.0
"""Mean log probability under which a text is worth a second hearing."""
SPARE_TOKENS = 16
TOKENS_PER_S = 8
"""English speech needs 3 to 6 tokens per second."""
TOKENS_PER_S_ANY = 16
"""Scripts that the tokenizer does not know well need up to three times as many."""
MAX_TOKENS = 220
"""Half of the decoder's context, as in training."""
MOST_HINT = 200
"""Tokens; the other half of the context."""
MOST_THREADS = 4
"""Two halve the time of one and cost no more CPU; the pool sleeps between calls (no CPU in the second after one)."""
SHORTEST_S = 0.1
FILES = ("model.bin", "config.json", "tokenizer.json")


@dataclass(frozen=True, slots=True)
class _Hearing:
    evidence: Evidence
    language: str
    """Two-letter code: what was surely heard, else what is wanted."""
    other: str
    """For people: a surely heard language that is not wanted; empty otherwise."""


class WhisperStt:
    """Implements ports.Stt."""

    def __init__(
        self,
        folder: Path,
        *,
        language: str,
        device: str,
        compute_type: str,
        threads: int,
        name: str,
        vocabulary: str = "",
    ) -> None:
        """`vocabulary`: a sentence with words that are likely, told to the model as what was said before."""
        self._folder = folder
        self._language = language
        self._device = device
        self._compute_type = compute_type
        self._threads = threads or min(MOST_THREADS, os.cpu_count() or 1)
        self._name = name
        self._vocabulary = vocabulary
        self._hint: list[int] = []
        """The same as tokens, with the mark in front that Whisper expects."""
        self._worker = Worker("stt")
        self._whisper: Any = None
        self._open = True

    async def load(self) -> EngineInfo:
        started = asyncio.get_running_loop().time()
        size = await self._worker.run(self._load)
        took = asyncio.get_running_loop().time() - started
        return EngineInfo("STT", self._name, str(self._folder), size, self._device, took, 0)

    async def close(self) -> None:
        if not self._open:
            return
        self._open = False
        # Awaits the call in progress without blocking the loop; ending the thread then takes no time.
        await self._worker.run(self._drop)
        self._worker.close()

    async def transcribe(self, pcm: Int16) -> Transcript:
        """Raises StageError when the engine fails; odd sound comes back empty, with the reason."""
        started = asyncio.get_running_loop().time()
        heard = await self._worker.run(self._transcribe, pcm)
        took = asyncio.get_running_loop().time() - started
        return Transcript(heard.text, heard.language, heard.dropped, took)

    def _load(self) -> int:
        _check_files(self._folder)
        try:
            from faster_whisper import WhisperModel
        except ImportError as error:
            raise MissingPackage(
                f"The package faster-whisper cannot be used ({error}). Install it with `pip install faster-whisper`."
            ) from error
        try:
            self._whisper = WhisperModel(
                str(self._folder),
                device=self._device,
                compute_type=self._compute_type,
                cpu_threads=self._threads,
                local_files_only=True,
            )
            self._check_language()
            self._hint = self._hint_tokens()
            # A GPU that does not work is noticed by the first inference only, so this one runs every part.
            noise = np.random.default_rng(0).normal(0, 1000, MIC_RATE).astype(np.int16)
            self._hear(noise, PADDING_S)
        except SidetoneError:
            self._whisper = None
            raise
        except Exception as error:  # CTranslate2 raises RuntimeError for everything, the tokenizer Exception itself
            self._whisper = None
            raise _load_failure(error, self._folder, self._device) from error
        return sum(file.stat().st_size for file in self._folder.iterdir() if file.is_file())

    def _drop(self) -> None:
        self._whisper = None

    def _check_language(self) -> None:
        if self._language == "auto":
            return
        if not self._whisper.model.is_multilingual:
            if self._language != "en":
                raise ConfigError(
                    f"STT_LANGUAGE is {self._language!r}, but Whisper {self._name} understands English only. "
                    "Set STT_LANGUAGE=en, or STT_MODEL=base."
                )
        elif self._whisper.hf_tokenizer.token_to_id(f"<|{self._language}|>") is None:
            raise ConfigError(
                f"STT_LANGUAGE is {self._language!r}, which Whisper does not know. "
                'Set a two-letter code such as "en" or "de", or "auto".'
            )

    def _hint_tokens(self) -> list[int]:
        if not self._vocabulary:
            return []
        tokenizer = self._whisper.hf_tokenizer
        words = tokenizer.encode(f" {self._vocabulary}", add_special_tokens=False).ids
        return [tokenizer.token_to_id("<|startofprev|>"), *words[-MOST_HINT:]]

    def _transcribe(self, pcm: Int16) -> Transcript:
        texts: list[str] = []
        reasons: list[str] = []
        language = "en" if self._language == "auto" else self._language
        try:
            for piece in pieces(pcm):
                verdict, language = self._understand(piece, language)
                (texts if verdict.text else reasons).append(verdict.text or verdict.dropped)
        except MemoryError as error:
            raise StageError("There was no memory left to understand what was said. Close other programs.") from error
        except Exception as error:  # CTranslate2 raises RuntimeError for everything
            cause = _first_line(error)
            raise StageError(f"Whisper could not understand what was said ({cause}). Say it again.") from error
        return Transcript(" ".join(texts), language, "" if texts else reasons[0])

    def _understand(self, pcm: Int16, language: str) -> tuple[Verdict, str]:
        """The text of at most 28 s and its language; `language` where nothing was heard."""
        if len(pcm) < SHORTEST_S * MIC_RATE:
            return Verdict("", "too short"), language
        if loudest_db(pcm) < SILENCE_DB:
            return Verdict("", "silence"), language
        heard = self._hear(pcm, PADDING_S)
        if loops(heard.evidence) or (heard.evidence.logprob < POOR_LOGPROB and not sounds_like_noise(heard.evidence)):
            heard = _better(heard, self._hear(pcm, LONGEST_S))
        verdict = judge(heard.evidence)
        if verdict.text and heard.other:
            return Verdict("", f"{heard.other}, not {language_name(self._language)}"), heard.language
        return verdict, heard.language

    def _hear(self, pcm: Int16, padding_s: int) -> _Hearing:
        """One pass of the model. The parts of `WhisperModel.transcribe` are called one by one, because as a whole it
        always pads to 30 s, encodes a second time to detect the language, and decides by itself what to drop."""
        from faster_whisper.tokenizer import Tokenizer
        from faster_whisper.transcribe import get_suppressed_tokens

        whisper = self._whisper
        features = whisper.feature_extractor(level(pcm))[:, :-1]
        step = padding_s * FRAMES_PER_S
        length = min(LONGEST_S * FRAMES_PER_S, -(-features.shape[1] // step) * step)
        features = np.pad(features[:, :length], ((0, 0), (0, max(0, length - features.shape[1]))))
        encoded = whisper.encode(features.astype(np.float32))
        seconds = len(pcm) / MIC_RATE
        language, other = self._detect(encoded, seconds)
        tokenizer = Tokenizer(whisper.hf_tokenizer, whisper.model.is_multilingual, task="transcribe", language=language)
        prompt = [*self._hint, *tokenizer.sot_sequence, tokenizer.no_timestamps]
        rate = TOKENS_PER_S if language == "en" else TOKENS_PER_S_ANY
        limit = min(MAX_TOKENS, SPARE_TOKENS + round(rate * seconds))
        result = whisper.model.generate(
            encoded,
            [prompt],
            beam_size=1,  # 3 and 5 made more errors on noisy clips (base)
            max_length=len(prompt) + limit,
            return_scores=True,
            return_no_speech_prob=True,
            suppress_blank=True,
            suppress_tokens=get_suppressed_tokens(tokenizer, [-1]),
        )[0]
        tokens = result.sequences_ids[0]
        evidence = Evidence(
            text=tokenizer.decode(tokens).strip(),
            no_speech=result.no_speech_prob,
            # The score is the mean without the end token; the end counts as well.
            logprob=result.scores[0] * len(tokens) / (len(tokens) + 1),
            seconds=seconds,
            truncated=len(tokens) >= limit,
        )
        return _Hearing(evidence, language, other)

    def _detect(self, encoded: Any, seconds: float) -> tuple[str, str]:
        """(language to write in, for people a language that is not wanted): one step on what is encoded already."""
        if not self._whisper.model.is_multilingual:
            return "en", ""
        found = {token[2:-2]: chance for token, chance in self._whisper.model.detect_language(encoded)[0]}
        if self._language != "auto":
            code, name = foreign(found, self._language, seconds)
            return code or self._language, name
        best = max(found, key=lambda code: found[code])
        return (best if found[best] >= NAMED else "en"), ""


def _better(first: _Hearing, second: _Hearing) -> _Hearing:
    """The one that does not repeat itself, else the more certain one."""
    if loops(first.evidence) != loops(second.evidence):
        return second if loops(first.evidence) else first
    return max(first, second, key=lambda heard: heard.evidence.logprob)


def _check_files(folder: Path) -> None:
    """The library would try to download what is not there, so it is looked for first."""
    missing = [name for name in FILES if not (folder / name).is_file()]
    if not any(folder.glob("vocabulary.*")):
        missing.append("vocabulary.txt")
    if not folder.is_dir():
        raise ModelMissing(f"Whisper's folder {folder} is not there. Run `python -m bot models fetch` to get it.")
    if missing:
        raise ModelMissing(f"{', '.join(missing)} is missing in {folder}. Run `python -m bot models fetch` to get it.")


def _load_failure(error: Exception, folder: Path, device: str) -> SidetoneError:
    cause = _first_line(error)
    if isinstance(error, MemoryError) or any(sign in cause.lower() for sign in ("bad_alloc", "out of memory")):
        place = "The GPU has" if device == "cuda" else "The machine has"
        return OutOfMemory(f"{place} no memory left for Whisper. Close other programs, or set STT_MODEL=tiny.en.")
    if "is not found or cannot be loaded" in cause:
        return MissingPackage(
            f"Whisper cannot use the GPU: {cause}. Install the libraries with "
            "`pip install nvidia-cublas-cu12 nvidia-cudnn-cu12`, or set MODEL_PROFILE=embedded."
        )
    if "cuda" in cause.lower():
        return ModelBroken(f"Whisper cannot use the GPU: {cause}. Get a newer driver, or set MODEL_PROFILE=embedded.")
    return ModelBroken(f"Whisper cannot load {folder} ({cause}). Check it with `python -m bot models verify`.")


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
