"""The tool agent behind `bot.ports.ToolAgent`: the wire's calls and results, turned into the bot's own."""

from __future__ import annotations

import base64
import os
from dataclasses import replace

from agent_wsl import protocol
from bot.agent_types import Change, Changes, Command, FilePage, Hit, Hits, Job, Output, Watched
from bot.tools.paths import to_linux
from bot.tools.wsl import AgentClient

CHUNK = 128 << 10
"""Bytes of output at once: what the bot makes of them holds up its loop."""
OUTPUT_WAIT_S = 20.0
"""One long poll for output."""
START_S = 40.0
"""For a command to be started: the agent makes its sandbox first."""


class AgentHands:
    def __init__(self, client: AgentClient, distribution: str = "", *, windows: bool = os.name == "nt") -> None:
        """On Windows, paths may be written as there; `distribution` is the one in which the agent runs."""
        self._client = client
        self._distribution = distribution
        self._windows = windows

    async def read(self, user: str, path: str, first_line: int, lines: int) -> FilePage:
        page = await self._client.call(user, protocol.ReadFile(self._path(path), first_line - 1, lines))
        more = page.next_offset is not None
        return FilePage(page.path, page.size, page.binary, page.text, page.offset + 1, page.lines, more, page.cut)

    async def find(self, user: str, pattern: str, *, regex: bool) -> Hits:
        found = await self._client.call(user, protocol.Search(pattern, regex=regex))
        hits = tuple(Hit(hit.path, hit.line, hit.text) for hit in found.hits)
        return Hits(hits, found.files, found.skipped, found.stopped)

    async def watch(self, user: str, path: str) -> Watched:
        return _watched(await self._client.call(user, protocol.WatchAdd(self._path(path))))

    async def unwatch(self, user: str, path: str) -> None:
        await self._client.call(user, protocol.WatchRemove(self._path(path)))

    async def watches(self, user: str) -> tuple[Watched, ...]:
        return tuple(map(_watched, (await self._client.call(user, protocol.Watches())).watches))

    async def changes(self, user: str, cursor: str, *, wait_s: float = 0.0) -> Changes:
        found = await self._client.call(user, protocol.Changes(cursor, wait_s), wait_s + 10)
        changes = tuple(Change(c.time, c.path, c.kind, c.moved_from, c.lines, c.note) for c in found.changes)
        return Changes(found.cursor, changes, found.lost)

    async def run(self, user: str, command: Command, approval: str | None) -> Job:
        call = protocol.Run(shell=command.text) if command.for_shell else protocol.Run(argv=command.words)
        return _job(await self._client.call(user, replace(call, approval=approval), START_S))

    async def output(self, user: str, job_id: str, offset: int) -> Output:
        chunk = await self._client.call(
            user, protocol.JobOutput(job_id, offset, OUTPUT_WAIT_S, CHUNK), OUTPUT_WAIT_S + 10
        )
        return Output(base64.b64decode(chunk.data), chunk.next_offset, chunk.skipped, chunk.done)

    async def job(self, user: str, job_id: str, wait_s: float) -> Job:
        return _job(await self._client.call(user, protocol.GetJob(job_id, wait_s), wait_s + 10))

    async def jobs(self, user: str) -> tuple[Job, ...]:
        return tuple(map(_job, (await self._client.call(user, protocol.Jobs())).jobs))

    async def kill(self, user: str, job_id: str) -> Job:
        return _job(await self._client.call(user, protocol.JobKill(job_id)))

    def _path(self, path: str) -> str:
        """As the agent calls it. Raises AgentError."""
        return to_linux(path, self._distribution) if self._windows else path


def _watched(watch: protocol.Watch) -> Watched:
    return Watched(watch.path, watch.kind, f"{watch.method}: {watch.reason}" if watch.reason else watch.method)


def _job(status: protocol.JobStatus) -> Job:
    return Job(
        status.job_id,
        status.command,
        status.cwd,
        status.state,
        status.started,
        status.duration_s,
        status.exit_code,
        status.signal,
        status.ended_by,
    )
