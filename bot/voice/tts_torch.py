"""Kokoro-82M by its authors' torch package `kokoro`, from a .pth file, in a thread of its own. Never downloads."""

from __future__ import annotations

import asyncio
import importlib.util
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bot.errors import MissingPackage, ModelBroken, SidetoneError
from bot.events import EngineInfo, Int16, Sentence, SpeechClip
from bot.voice.kokoro import WARM_UP, KokoroVoice, check_file, first_line, out_of_memory
from bot.voice.loudness import Float
from bot.voice.voices import ROWS, Style
from bot.worker import Worker

REPOSITORY = "hexgrad/Kokoro-82M"
"""Named so that the package does not warn; nothing is fetched from it."""
LIBRARIES = r"torch|kokoro|transformers|spacy|misaki"
ALWAYS_FRESH = (".norm.weight", ".norm.bias")
"""Ends of parameters that the published file does not hold: they are 1 and 0."""


class _Cancelled(Exception):
    """Ends a computation whose result nobody waits for."""


@dataclass(slots=True)
class _Call:
    cancelled: bool = False


class KokoroTorchTts:
    """Implements ports.Tts. Takes the same voices and phonemes as the ONNX engine: the package's own text processing
    would install a spaCy model from the network at run time."""

    def __init__(
        self, model: Path, voices: Path, *, voice: str, speed: float, device: str, config: Path | None = None
    ) -> None:
        """`config` is Kokoro's config.json; by default the one beside `model`, else the copy in kokoro-onnx."""
        self._model = model
        self._config = config
        self._speed = speed
        self._device = device
        self._voice = KokoroVoice(voices, voice, self._infer)
        self._worker = Worker("tts")
        self._network: Any = None
        self._call = _Call()
        self._open = True

    async def load(self) -> EngineInfo:
        started = asyncio.get_running_loop().time()
        size = await self._worker.run(self._load)
        took = asyncio.get_running_loop().time() - started
        return EngineInfo("TTS", "Kokoro (torch)", str(self._model), size, self._device, took, 0)

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
        computation ends at the next layer."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        call = _Call()
        try:
            pcm, lead = await self._worker.run(self._speak, sentence.spoken, call)
        except asyncio.CancelledError:
            call.cancelled = True
            raise
        return SpeechClip(sentence, pcm, lead, loop.time() - started)

    def _speak(self, text: str, call: _Call) -> tuple[Int16, float]:
        self._call = call
        return self._voice.say(text)

    def _infer(self, phonemes: str, style: Style) -> Float:
        import torch

        row = min(len(phonemes), ROWS) - 1
        with torch.inference_mode():
            audio = self._network(phonemes, torch.from_numpy(style[row : row + 1].copy()), self._speed)
        return np.asarray(audio.float().numpy(), dtype=np.float32).reshape(-1)

    def _load(self) -> int:
        size = check_file(self._model)
        # Deprecations inside these packages are not the user's business.
        warnings.filterwarnings("ignore", module=LIBRARIES)
        try:
            import torch
            from kokoro import KModel
        except ImportError as error:
            raise MissingPackage(
                f"TTS_ENGINE=kokoro needs packages that cannot be used ({first_line(error)}). "
                "Install them with `pip install kokoro torch`, or set TTS_ENGINE=onnx."
            ) from error
        self._voice.open()
        if not torch.cuda.is_available():
            self._device = "cpu"
        try:
            network = KModel(repo_id=REPOSITORY, config=str(self._config_file()), model=str(self._model))
            self._check_weights(network)
            self._network = network.to(self._device).eval()
            for layer in self._network.modules():
                layer.register_forward_pre_hook(self._stop_when_cancelled)
            self._speak(WARM_UP, _Call())
        except SidetoneError:
            self._network = None
            raise
        except Exception as error:  # torch and the unpickler have an exception class per failure
            self._network = None
            raise out_of_memory(error) or self._broken(first_line(error)) from error
        return size

    def _config_file(self) -> Path:
        beside = self._model.with_name("config.json")
        if self._config or beside.is_file():
            return self._config or beside
        package = importlib.util.find_spec("kokoro_onnx")
        return Path(package.origin if package and package.origin else "").with_name("config.json")

    def _check_weights(self, network: Any) -> None:
        """The package takes a file that fits only in part without a word, and would then speak noise."""
        import torch

        saved = torch.load(self._model, map_location="cpu", weights_only=True)
        for part, module in network.named_children():
            names = {name.removeprefix("module.") for name in saved.get(part, {})}
            lost = [n for n in module.state_dict() if n not in names and not n.endswith(ALWAYS_FRESH)]
            if lost:
                raise self._broken(f"{len(lost)} weights of its part {part} are missing, such as {lost[0]}")

    def _broken(self, cause: str) -> ModelBroken:
        return ModelBroken(
            f"Kokoro cannot load {self._model} ({cause}). It must be kokoro-v1_0.pth of {REPOSITORY}; fetch it again."
        )

    def _stop_when_cancelled(self, *_: Any) -> None:
        if self._call.cancelled:
            raise _Cancelled("cancelled")

    def _drop(self) -> None:
        self._network = None
