"""The latest failure among a user's own `!run` commands, as a finding. Knows no py-cord."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from bot.agent_types import Job
from bot.chat.showing import ending
from bot.chat.terminal import Terminal
from bot.findings import Finding
from bot.ports import Commands

ON_PURPOSE = ("killed", "stopping")
LONGEST_MESSAGE = 200


class FailedRuns:
    """Implements ports.Findings. The agent keeps the commands and their output; nothing is remembered here."""

    def __init__(self, agent: Commands) -> None:
        self._agent = agent

    async def latest(self, user: str) -> Finding | None:
        job = latest_failure(await self._agent.jobs(user))
        if job is None:
            return None
        text = (await self._output(user, job)).strip("\n")
        last = next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")
        return Finding(
            language="shell",
            type=f"exit code {job.exit_code}",
            message=last[:LONGEST_MESSAGE],
            frames=(),
            top=None,
            text=f"$ {job.command}\n{text}\n[It {ending(job)}]",
            source=f"job {job.job_id}",
            last_seen=job.started + job.duration_s,
            fingerprint=hashlib.sha256(f"{job.command}\0{job.exit_code}\0{last}".encode()).hexdigest(),
        )

    async def _output(self, user: str, job: Job) -> str:
        terminal, offset = Terminal(), 0
        while True:
            piece = await self._agent.output(user, job.job_id, offset)
            if piece.skipped:
                terminal.skip(piece.skipped)
            terminal.feed(piece.data, final=piece.done)
            if piece.done:
                return terminal.text
            offset = piece.next_offset


def latest_failure(jobs: Sequence[Job]) -> Job | None:
    """`jobs` are newest first. A command that has succeeded since is mended, one that was ended by hand did not
    fail."""
    mended: set[str] = set()
    for job in jobs:
        if job.state != "done" or job.ended_by in ON_PURPOSE:
            continue
        if job.exit_code == 0:
            mended.add(job.command)
        elif job.command not in mended:
            return job
    return None
