"""The tool agent, as the bot sees it: an asynchronous client that survives the agent's end and return."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar

from agent_wsl import protocol
from agent_wsl.client import DEADLINE_S
from agent_wsl.envelope import Call
from agent_wsl.errors import KeyRejected, Refusal, Unreachable
from bot.config import AgentSettings
from bot.errors import AgentError, ConfigError
from bot.tools.lane import Backoff, Lane
from bot.tools.reach import Reach

R = TypeVar("R")
WORK_LANES = 6
"""Connections for work at once. A connection serves one call at a time, and a reader that waits for output or changes
holds its own for up to 25 s; the others must not wait behind it."""
CONTROL = frozenset({"job_kill", "jobs", "watches", "hello"})
"""Short calls that have to get through whatever the others do: they have a connection to themselves."""
PATIENCE_S = 3.0
"""How long a call waits for an agent that is just being started."""
SELFTEST_S = 150.0


class AgentClient:
    """All methods belong to one event loop. `user` is the Discord user's id: limits and the audit log are per user."""

    def __init__(self, settings: AgentSettings) -> None:
        if not settings.api_key:
            raise ConfigError(
                "API_KEY is not set, so the tool agent cannot be used: put the same one (16 characters or more) into "
                "the .env of the agent and of the bot."
            )
        self._connect = Reach(settings).connect
        self._backoff = Backoff()
        self._control = Lane("agent-control", self._connect, self._backoff)
        self._control_free = asyncio.Lock()
        self._work: list[Lane] = []
        self._idle: list[Lane] = []
        self._free = asyncio.Semaphore(WORK_LANES)

    async def call(self, user: str, call: Call[R], deadline_s: float = DEADLINE_S) -> R:
        """The call's result; every failure is an AgentError. A call that broke off may or may not have been carried
        out; it is not repeated. A call that found no agent is tried again for up to PATIENCE_S."""
        if isinstance(call, protocol.Selftest):
            deadline_s = max(deadline_s, SELFTEST_S)
        try:
            # The agent's own deadline comes first, so that its sentence is the one that is seen.
            async with asyncio.timeout(deadline_s + 2), self._lane(call) as lane:
                await self._ready(lane)
                return await lane.call(user, call, deadline_s)
        except Refusal as refusal:
            raise AgentError(
                refusal.message, refusal.code, retry_after_s=refusal.retry_after_s, approval=refusal.approval
            ) from None
        except TimeoutError:
            raise AgentError(f"The tool agent did not answer within {deadline_s:g} s.", "deadline") from None
        except Unreachable as failure:
            raise AgentError(str(failure), "unreachable") from None

    async def _ready(self, lane: Lane) -> None:
        """Connects, with some patience."""
        loop = asyncio.get_running_loop()
        until = loop.time() + PATIENCE_S
        while True:
            try:
                return await lane.connect()
            except KeyRejected:
                raise
            except Unreachable:
                wait = self._backoff.remaining(loop.time())
                if loop.time() + wait >= until:
                    raise
                await asyncio.sleep(max(0.01, wait))

    @asynccontextmanager
    async def _lane(self, call: Call[R]) -> AsyncIterator[Lane]:
        if call.NAME in CONTROL:
            async with self._control_free:
                yield self._control
            return
        async with self._free:
            lane = self._idle.pop() if self._idle else self._new_lane()
            try:
                yield lane
            finally:
                self._idle.append(lane)

    def _new_lane(self) -> Lane:
        lane = Lane(f"agent-work-{len(self._work) + 1}", self._connect, self._backoff)
        self._work.append(lane)
        return lane

    async def close(self) -> None:
        """Calls in progress end with AgentError."""
        for lane in [self._control, *self._work]:
            lane.close()
