"""Speaks up: a new error in a watched log is shown once, with its source lines and a diagnosis. Imports py-cord."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable

import discord

from bot.chat.finding_card import card, lines_around
from bot.chat.outlet import DiscordOutlet
from bot.chat.text import Outlet
from bot.errors import AgentError, DiscordError
from bot.findings import Finding, TraceFrame
from bot.ports import Diagnosis, Files

log = logging.getLogger(__name__)

OWN_NAME = "lookout"
"""In the agent's audit log and its rate limits."""
NOBODY = 0
"""The user whose conversation the diagnoses are."""
QUEUE = 20
"""New errors that wait to be shown; more are counted."""
GAP_S = 5.0
"""Between two of them: a crash often brings several."""

Ask = Callable[[int, int, str, Outlet], str]
"""Takes channel, user, question and outlet; starts the answer, or returns why not."""


class Noticeboard:
    def __init__(self, files: Files, diagnosis: Diagnosis, ask: Ask, per_hour: int) -> None:
        """`per_hour`: diagnoses that are made without being asked for."""
        self._files = files
        self._diagnosis = diagnosis
        self._ask = ask
        self._per_hour = per_hour
        self._made: deque[float] = deque()
        self._waiting: asyncio.Queue[Finding] = asyncio.Queue(QUEUE)
        self._left_out = 0
        self.place: discord.abc.Messageable | None = None
        """Where it is shown; nowhere, as long as nobody has said where."""

    def tell(self, finding: Finding) -> None:
        if self.place is None:
            return
        try:
            self._waiting.put_nowait(finding)
        except asyncio.QueueFull:
            self._left_out += 1

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            finding = await self._waiting.get()
            try:
                await self._show(finding)
            except DiscordError as error:
                log.warning("a new error could not be shown: %s", error)
            except Exception:
                log.exception("a defect while a new error was shown")
            await asyncio.sleep(GAP_S)

    async def _show(self, finding: Finding) -> None:
        place = self.place
        if place is None:
            return
        source = await self._source(finding.top) if finding.top else ()
        left_out, self._left_out = self._left_out, 0
        outlet = DiscordOutlet(place.send, place.send)
        await outlet.post(card(finding, source, left_out))
        channel = getattr(place, "id", 0)
        if self._may_diagnose():
            question, _ = self._diagnosis.question(finding)
            if refused := self._ask(channel, NOBODY, question, outlet):
                log.info("a new error was not diagnosed: %s", refused)

    async def _source(self, frame: TraceFrame) -> tuple[tuple[int, str], ...]:
        """Numbered lines; none when the agent does not show the file."""
        if frame.line is None:
            return ()
        first, count = lines_around(frame.line)
        try:
            page = await self._files.read(OWN_NAME, frame.path, first, count)
        except AgentError as error:
            log.info("the source of an error is not shown: %s", error.reason)
            return ()
        return tuple(enumerate(page.text.removesuffix("\n").split("\n"), page.first_line)) if page.lines else ()

    def _may_diagnose(self) -> bool:
        now = asyncio.get_running_loop().time()
        while self._made and now - self._made[0] >= 3600:
            self._made.popleft()
        if len(self._made) >= self._per_hour:
            return False
        self._made.append(now)
        return True
