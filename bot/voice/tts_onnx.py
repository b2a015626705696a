"""Kokoro-82M on onnxruntime (vocabulary and phoneme splitting of kokoro-onnx), in a thread of its own."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import numpy as np

from bot.errors import MissingPackage, ModelBroken
from bot.events import EngineInfo, Sentence, SpeechClip
from bot.voice.kokoro import WARM_UP, KokoroVoice, check_file, first_line, out_of_memory
from bot.voice.loudness import Float
from bot.voice.phonemes import Phonemizer
from bot.voice.voices import ROWS, Style
from bot.worker import Worker

MEASURED_THREADS = 4
"""More do not pay for a model of this size."""


class KokoroOnnxTts:
    """Implements ports.Tts."""

    def __init__(self, model: Path, voices: Path, *, voice: str, speed: float, threads: int, device: str) -> None:
        self._model = model
        self._speed = np.array([speed], dtype=np.float32)
        self._threads = threads or min(MEASURED_THREADS, os.cpu_count() or 1)
        self._device = device
        self._voice = KokoroVoice(voices, voice, self._infer)
        self._worker = Worker("tts")
        self._phonemizer: Phonemizer | None = None
        self._session: Any = None
        self._run_options: Any = None
        self._open = True

    async def load(self) -> EngineInfo:
        started = asyncio.get_running_loop().time()
        size = await self._worker.run(self._load)
        took = asyncio.get_running_loop().time() - started
        cuda = self._session.get_providers()[0].startswith("CUDA")
        return EngineInfo("TTS", "Kokoro", str(self._model), size, "cuda" if cuda else "cpu", took, 0)

    async def close(self) -> None:
        if not self._open:
            return
        self._open = False
        # Awaits the call in progress without blocking the loop; ending the thread then takes no time.
        await self._worker.run(self._drop)
        self._worker.close()

    def set_voice(self, name: str) -> None:
        """From the next sentence on. Raises UnknownVoice, ModelDamaged."""
        self._voice.choose(name)

    async def speak(self, sentence: Sentence) -> SpeechClip:
        """A clip without samples when there is nothing to say aloud. Raises StageError. When it is cancelled, the
        computation ends within one operator of the graph, so that the next sentence need not wait for it."""
        import onnxruntime

        loop = asyncio.get_running_loop()
        started = loop.time()
        options = onnxruntime.RunOptions()
        try:
            pcm, lead = await self._worker.run(self._speak, sentence.spoken, options)
        except asyncio.CancelledError:
            options.terminate = True
            raise
        return SpeechClip(sentence, pcm, lead, loop.time() - started)

    def _speak(self, text: str, options: Any) -> tuple[Any, float]:
        self._run_options = options
        return self._voice.say(text)

    def _infer(self, phonemes: str, style: Style) -> Float:
        assert self._phonemizer is not None  # noqa: S101  for the type checker: `say` has made sure
        ids = self._phonemizer.ids(phonemes)
        row = min(len(ids), ROWS) - 1
        feed = {
            self._session.get_inputs()[0].name: np.array([[0, *ids, 0]], dtype=np.int64),
            "style": style[row : row + 1],
            "speed": self._speed,
        }
        audio: Float = self._session.run(None, feed, self._run_options)[0]
        return audio.ravel()

    def _load(self) -> int:
        size = check_file(self._model)
        try:
            import onnxruntime
        except ImportError as error:
            raise MissingPackage(
                f"The package onnxruntime cannot be used ({error}). Install it with `pip install onnxruntime`."
            ) from error
        self._phonemizer = self._voice.open()
        # The environment (bot/config.py) keeps it from the network; this, on Windows, from the system's event log.
        onnxruntime.disable_telemetry_events()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        # A spinning pool would take the cores from Whisper and the language model while Kokoro has nothing to do.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        wanted = ["CUDAExecutionProvider"] if self._device == "cuda" else []
        providers = [p for p in (*wanted, "CPUExecutionProvider") if p in onnxruntime.get_available_providers()]
        try:
            self._session = onnxruntime.InferenceSession(str(self._model), sess_options=options, providers=providers)
            self._speak(WARM_UP, None)
        except Exception as error:  # onnxruntime has an exception class per failure, all derived from Exception
            self._session = None
            raise out_of_memory(error) or ModelBroken(
                f"Kokoro cannot load {self._model} ({first_line(error)}). "
                "Run `python -m bot models verify`, then fetch it again."
            ) from error
        return size

    def _drop(self) -> None:
        self._session = None
