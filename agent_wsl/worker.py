"""The only maker of threads in the agent."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from agent_wsl.envelope import ErrorCode
from agent_wsl.errors import Refusal

P = ParamSpec("P")
T = TypeVar("T")


def spawn(name: str, function: Callable[P, object], /, *args: P.args, **kwargs: P.kwargs) -> threading.Thread:
    """A named daemon thread, started."""
    thread = threading.Thread(target=function, args=args, kwargs=kwargs, name=name, daemon=True)
    thread.start()
    return thread


class DeadlinePool:
    """Runs calls that a file system may hold up for ever (a dead network mount), and answers without them.

    A thread that hangs cannot be ended: it stays, counted against `most`, until the kernel lets it go.
    """

    def __init__(self, most: int = 32) -> None:
        self._pool = ThreadPoolExecutor(most, thread_name_prefix="call")
        self._free = threading.BoundedSemaphore(most)

    def run(self, seconds: float, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Raises Refusal(DEADLINE) after `seconds`, Refusal(BUSY) when all threads hang or work."""
        if not self._free.acquire(timeout=seconds):
            raise Refusal(ErrorCode.BUSY, "The agent is busy with other calls; try again in a moment.", retry_after_s=5)
        future = self._pool.submit(function, *args, **kwargs)
        future.add_done_callback(lambda _: self._free.release())
        try:
            return future.result(seconds)
        except TimeoutError:
            if future.done():
                return future.result()
            message = f"This took longer than {seconds:g} s; the file system may be slow or gone."
            raise Refusal(ErrorCode.DEADLINE, message) from None

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
