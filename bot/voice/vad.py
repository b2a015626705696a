"""Silero VAD on onnxruntime: how likely each 32 ms frame holds speech."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bot.errors import MissingPackage, ModelBroken, ModelMissing, OutOfMemory
from bot.events import FRAME_SAMPLES, MIC_RATE, EngineInfo, Frame
from bot.worker import Worker

CONTEXT_SAMPLES = 64
"""The model wants the end of the previous frame in front of each frame."""
STATE_SHAPE = (2, 1, 128)


class SileroVad:
    """Implements ports.Vad."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._session: Any = None
        self._rate = np.array(MIC_RATE, dtype=np.int64)
        self._input: npt.NDArray[np.float32] = np.zeros((1, CONTEXT_SAMPLES + FRAME_SAMPLES), dtype=np.float32)
        self._state: npt.NDArray[np.float32] = np.zeros(STATE_SHAPE, dtype=np.float32)

    async def load(self) -> EngineInfo:
        started = asyncio.get_running_loop().time()
        worker = Worker("vad")
        try:
            await worker.run(self._open)
        finally:
            worker.close()
        took = asyncio.get_running_loop().time() - started
        size = self._path.stat().st_size
        return EngineInfo("VAD", "Silero", str(self._path), size, "cpu", took, 0)

    async def close(self) -> None:
        self._session = None

    def probability(self, frame: Frame) -> float:
        """Raises ValueError for a frame that does not have 512 samples."""
        if frame.pcm.shape != (FRAME_SAMPLES,):
            raise ValueError(f"Silero takes {FRAME_SAMPLES} samples at a time, not {frame.pcm.shape}.")
        buffer = self._input
        buffer[0, :CONTEXT_SAMPLES] = buffer[0, -CONTEXT_SAMPLES:]
        np.divide(frame.pcm, 32768, out=buffer[0, CONTEXT_SAMPLES:])
        feed = {"input": buffer, "state": self._state, "sr": self._rate}
        probability, self._state = self._session.run(None, feed)
        return float(probability[0, 0])

    def reset(self) -> None:
        self._input.fill(0)
        self._state = np.zeros(STATE_SHAPE, dtype=np.float32)

    def _open(self) -> None:
        if not self._path.is_file():
            raise ModelMissing(
                f"The voice detector's file {self._path} is not there. Run `python -m bot models fetch` to get it."
            )
        try:
            import onnxruntime
        except ImportError as error:
            raise MissingPackage(
                f"The package onnxruntime cannot be used ({error}). Install it with `pip install onnxruntime`."
            ) from error
        # The environment (bot/config.py) keeps it from the network; this, on Windows, from the system's event log.
        onnxruntime.disable_telemetry_events()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        # A spinning pool would take a core from the models that need it, 31 times a second.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                str(self._path), sess_options=options, providers=["CPUExecutionProvider"]
            )
            self.probability(Frame(np.zeros(FRAME_SAMPLES, dtype=np.int16), 0.0))
        except MemoryError as error:
            raise OutOfMemory("There is no memory left for the voice detector. Close other programs.") from error
        except Exception as error:  # onnxruntime has an exception class per failure, all derived from Exception
            self._session = None
            raise ModelBroken(
                f"The voice detector cannot load {self._path} ({_first_line(error)}). "
                "Run `python -m bot models verify`, then fetch it again."
            ) from error
        self.reset()


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
