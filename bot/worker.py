"""The only maker of threads: one named single-thread worker per model, so that inference never blocks the loop."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Worker:
    """Runs blocking calls of one engine, one after the other, on a thread of its own.

    A call cannot be killed: when the awaiting task is cancelled the call runs on and its result is dropped, so
    callers keep the units small (a frame, an utterance, a sentence, a token).
    """

    def __init__(self, name: str) -> None:
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)

    async def run(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        loop = asyncio.get_running_loop()
        # The turn that a log line belongs to goes along.
        context = copy_context()
        return await loop.run_in_executor(self._pool, lambda: context.run(function, *args, **kwargs))

    def close(self) -> None:
        """Waits for the call in progress, then ends the thread. Blocks."""
        self._pool.shutdown(wait=True, cancel_futures=True)


def run_before_others() -> None:
    """The calling thread gets a core as soon as it wants one, whatever computes meanwhile: for one that is due every
    few milliseconds and needs less than one of them, so never for the main thread. Without the right to ask for it
    (Linux, a normal user) nothing changes."""
    if threading.current_thread() is threading.main_thread():
        return
    if sys.platform == "win32":
        import ctypes

        time_critical = 15
        kernel = ctypes.windll.kernel32
        kernel.GetCurrentThread.restype = ctypes.c_void_p
        kernel.SetThreadPriority(ctypes.c_void_p(kernel.GetCurrentThread()), time_critical)
    elif sys.platform == "linux":
        with suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(1))
