"""One connection to the agent, on a thread of its own; reconnects with backoff."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TypeVar

from agent_wsl.client import AgentConnection
from agent_wsl.envelope import Call
from agent_wsl.errors import Unreachable
from bot.worker import Worker

R = TypeVar("R")
FIRST_WAIT_S = 0.1
LONGEST_WAIT_S = 15.0
log = logging.getLogger(__name__)


class Backoff:
    """Shared by all lanes, since they lead to the same agent. Pure."""

    def __init__(self) -> None:
        self._wait = 0.0
        self._until = 0.0
        self.reason = ""

    def remaining(self, now: float) -> float:
        """Seconds until the next try is due; 0 when it is."""
        return max(0.0, self._until - now)

    def failed(self, now: float, reason: str) -> None:
        self._wait = min(LONGEST_WAIT_S, max(FIRST_WAIT_S, self._wait * 2))
        self._until = now + self._wait
        self.reason = reason

    def passed(self) -> None:
        self._wait = self._until = 0.0


class Lane:
    def __init__(self, name: str, connect: Callable[[], AgentConnection], backoff: Backoff) -> None:
        self._worker = Worker(name)
        self._connect = connect
        self._backoff = backoff
        self._connection: AgentConnection | None = None
        self._calling = False
        self._closed = False

    async def connect(self) -> None:
        """Nothing to do when connected. Raises Refusal and Unreachable; at once while the next try is not yet due."""
        if self._connection and self._connection.stale():
            # The agent was restarted between two calls: no call has been lost by that.
            self._forget()
        if self._connection:
            return
        loop = asyncio.get_running_loop()
        if wait := self._backoff.remaining(loop.time()):
            raise Unreachable(f"{self._backoff.reason} The next try is due in {wait:.1f} s.")
        try:
            self._connection = await self._worker.run(self._opened)
        except Unreachable as error:
            self._backoff.failed(loop.time(), str(error))
            raise
        self._backoff.passed()

    async def call(self, user: str, call: Call[R], deadline_s: float) -> R:
        """One at a time, when connected. Raises Refusal and Unreachable; the next call starts afresh in any case."""
        if self._connection is None:
            raise Unreachable("There is no connection to the agent.")
        self._calling = True
        try:
            return await self._worker.run(self._connection.call, user, call, deadline_s)
        except (Unreachable, asyncio.CancelledError):
            self._forget()
            raise
        finally:
            self._calling = False

    def _opened(self) -> AgentConnection:
        connection = self._connect()
        if self._closed:
            connection.close()
            raise Unreachable("The bot is being stopped.")
        return connection

    def _forget(self) -> None:
        if self._connection and self._calling:
            # The thread is in the middle of the call: it wakes, and closes the connection itself.
            self._connection.abort()
        elif self._connection:
            self._connection.close()
        self._connection = None

    def close(self) -> None:
        """Ends a call in progress, then the thread. Blocks for as long as a connection is just being opened."""
        self._closed = True
        self._forget()
        self._worker.close()
