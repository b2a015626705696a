"""Lets the sentinel read what the agent sees: new lines of watched logs, and the output of commands."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

from bot.agent_types import Change
from bot.errors import AgentError
from bot.findings import Finding
from bot.ports import Detector, Diagnosis, Findings, Watching

log = logging.getLogger(__name__)

OWN_NAME = "lookout"
"""In the agent's audit log and its rate limits, where users have their Discord ids."""
WAIT_S = 20.0
QUIET_S = 1.0
"""Between two looks for logs that have gone quiet."""
PACE_S = 2.0
"""After each piece of news: the agent counts calls."""
AGAIN_S = 10.0
"""After the agent could not be asked."""


class Lookout:
    """Implements ports.Findings: the newest of what stands in watched logs and what failed for the user."""

    def __init__(self, agent: Watching, logs: Detector, commands: Findings, read_once: Callable[[], Detector]) -> None:
        """`commands` knows the user's failed commands; `read_once` makes a detector for one text."""
        self._agent = agent
        self._logs = logs
        self._commands = commands
        self._read_once = read_once
        self._listeners: list[Callable[[Finding], None]] = []
        self._old = True
        """What is read now was written before the bot came."""
        logs.listen(self._tell)

    def listen(self, listener: Callable[[Finding], None]) -> None:
        """`listener` is told of each new error in a watched log once."""
        self._listeners.append(listener)

    def _tell(self, finding: Finding) -> None:
        if not self._old:
            for listener in self._listeners:
                listener(finding)

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Reads watched logs for as long as the block lasts."""
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(self._follow()), tasks.create_task(self._flush())]
            try:
                yield
            finally:
                for task in running:
                    task.cancel()

    async def latest(self, user: str) -> Finding | None:
        failed = await self._commands.latest(user)
        seen = self._logs.latest()
        if failed is None or (seen is not None and seen.last_seen > failed.last_seen):
            return seen
        return explained(failed, self._read_once())

    async def _follow(self) -> None:
        cursor = ""
        while True:
            try:
                found = await self._agent.changes(OWN_NAME, cursor, wait_s=WAIT_S if cursor else 0.0)
            except AgentError as error:
                log.info("the watched logs cannot be read now: %s", error.reason)
                await asyncio.sleep(max(AGAIN_S, error.retry_after_s or 0.0))
                continue
            for change in found.changes:
                if change.lines:
                    self._read(change, at_once=not cursor)
            cursor, self._old = found.cursor, False
            await asyncio.sleep(PACE_S if found.changes else 0.0)

    def _read(self, change: Change, at_once: bool) -> None:
        try:
            self._logs.feed(change.path, "".join(f"{line}\n" for line in change.lines).encode("utf-8", "replace"))
            if at_once:
                self._logs.flush(change.path)
        except Exception:
            # A line that the sentinel cannot bear must not end the bot.
            log.exception("a defect while a watched log was read")
            self._logs.forget(change.path)

    async def _flush(self) -> None:
        while True:
            await asyncio.sleep(QUIET_S)
            try:
                self._logs.flush_quiet()
            except Exception:
                log.exception("a defect at the end of what a watched log said")


class Explained:
    """Implements ports.Diagnosis: tells `diagnosis` which error it is and where, where that can be seen."""

    def __init__(self, diagnosis: Diagnosis, read_once: Callable[[], Detector]) -> None:
        self._diagnosis = diagnosis
        self._read_once = read_once

    def question(self, finding: Finding) -> tuple[str, int]:
        return self._diagnosis.question(finding if finding.top else explained(finding, self._read_once()))


def explained(finding: Finding, detector: Detector) -> Finding:
    """With the last error that stands in its text, or as it is. The text stays whole: what came before the error may be
    why."""
    found = [*detector.feed(finding.source, finding.text.encode("utf-8", "replace")), *detector.flush(finding.source)]
    if not found:
        return finding
    return replace(found[-1], text=finding.text, last_seen=finding.last_seen)
