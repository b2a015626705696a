"""Whether this machine has an NVIDIA GPU that the models can use."""

from __future__ import annotations

import shutil
import subprocess
from functools import cache

ENOUGH_MIB = 4000
"""GPU memory that the `gpu` profile needs: about 3.3 GB, and what the desktop takes."""
PATIENCE_S = 10.0
"""A driver that hangs must not hang the start."""


@cache
def gpu_memory_mib() -> int:
    """Of the largest NVIDIA GPU; 0 without one. Asks the driver's own tool: that needs no library and 50 ms."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return 0
    query = [tool, "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    try:
        found = subprocess.run(query, capture_output=True, text=True, timeout=PATIENCE_S, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return 0
    return max((int(line) for line in found.stdout.split() if line.isdigit()), default=0)


@cache
def cuda() -> bool:
    """Whether CTranslate2, which brings its own CUDA code, sees a GPU. Imports it only where the driver sees one."""
    if gpu_memory_mib() == 0:
        return False
    try:
        import ctranslate2
    except (ImportError, OSError):
        return False
    return bool(ctranslate2.get_cuda_device_count())
