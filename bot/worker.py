"""The only maker of threads: one named single-thread worker per model, so that inference never blocks the loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
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
