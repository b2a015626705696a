"""Memory of NVIDIA GPUs that this process has taken, by the driver's own account (NVML). None without such a GPU."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

BUDGET = 3_300_000_000
"""Bytes: with more, a GPU of 4 GB has no room for the desktop."""


class Gpus:
    """Counts this process alone, where the driver tells processes apart; Windows' display driver does not, and in
    containers it may not: then all that is in use counts, of which only the growth means something."""

    def __init__(self, nvml: Any, handles: Sequence[Any]) -> None:
        self._nvml = nvml
        self._handles = handles

    def used(self) -> int:
        """Bytes, of all GPUs together."""
        try:
            own = [self._of_process(handle) for handle in self._handles]
            if any(own):
                return sum(own)
            return sum(int(self._nvml.nvmlDeviceGetMemoryInfo(handle).used) for handle in self._handles)
        except self._nvml.NVMLError:
            return 0

    def _of_process(self, handle: Any) -> int:
        processes = self._nvml.nvmlDeviceGetComputeRunningProcesses(handle)
        return sum(int(each.usedGpuMemory or 0) for each in processes if each.pid == os.getpid())


def find() -> Gpus | None:
    """None where there is no NVIDIA GPU, no driver, or the package nvidia-ml-py is missing."""
    try:
        import pynvml as nvml
    except ImportError:
        return None
    try:
        nvml.nvmlInit()
        handles = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]
    except nvml.NVMLError:
        return None
    return Gpus(nvml, handles) if handles else None


def warning(taken: int, budget: int = BUDGET) -> str:
    """What to do about too much, as a sentence; empty while it fits."""
    if taken <= budget:
        return ""
    return (
        f"The engines took {taken / 1e9:.1f} GB of the GPU's memory, more than the {budget / 1e9:.1f} GB that fit "
        "beside a desktop on a 4 GB card. Smaller ones: STT_MODEL=base, LLM_MODEL=qwen2.5-coder-1.5b, LLM_CONTEXT=2048."
    )
