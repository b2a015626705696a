"""The only maker of threads in the agent."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from queue import SimpleQueue
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

    A thread that hangs cannot be ended: it stays, counted against `most`, until the kernel lets it go. It does not keep
    the process from ending, as the threads of an executor would.
    """

    def __init__(self, most: int = 32) -> None:
        self._free = threading.BoundedSemaphore(most)
        self._idle = threading.Semaphore(0)
        self._tasks: SimpleQueue[Callable[[], None]] = SimpleQueue()

    def run(self, seconds: float, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Raises Refusal(DEADLINE) after `seconds`, Refusal(BUSY) when all threads hang or work."""
        if not self._free.acquire(timeout=seconds):
            raise _busy()
        future: Future[T] = Future()
        if not self._idle.acquire(blocking=False):
            try:
                spawn("call", self._work)
            except RuntimeError:
                self._free.release()
                raise _busy() from None
        self._tasks.put(partial(self._carry_out, future, partial(function, *args, **kwargs)))
        try:
            return future.result(seconds)
        except TimeoutError:
            if future.done():
                return future.result()
            message = f"This took longer than {seconds:g} s; the file system may be slow or gone."
            raise Refusal(ErrorCode.DEADLINE, message) from None

    def _work(self) -> None:
        while True:
            self._tasks.get()()

    def _carry_out(self, future: Future[T], function: Callable[[], T]) -> None:
        try:
            result = function()
        except BaseException as error:
            self._rest()
            future.set_exception(error)
        else:
            self._rest()
            future.set_result(result)

    def _rest(self) -> None:
        # In this order, so that whoever finds a place free finds an idle thread, too.
        self._idle.release()
        self._free.release()


def _busy() -> Refusal:
    return Refusal(ErrorCode.BUSY, "The agent is busy with other calls; try again in a moment.", retry_after_s=5)
