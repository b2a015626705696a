"""Puts together what the tool agent's commands need. Imports py-cord."""

from __future__ import annotations

import asyncio

from bot.chat.approval_card import ApprovalClicks
from bot.chat.approvals import ApprovalDesk
from bot.chat.client import Tools
from bot.chat.commands import SidetoneBot
from bot.chat.noticeboard import Noticeboard
from bot.chat.running import RunDesk
from bot.chat.tool_commands import Hands, ToolCommands
from bot.config import DiscordSettings


class ToolDesk:
    def __init__(self, bot: SidetoneBot, tools: Tools, tasks: asyncio.TaskGroup, settings: DiscordSettings) -> None:
        """Adds its commands to `bot`."""
        agent, debugging = tools.agent, tools.debugging
        self._showing: asyncio.Task[None] | None = None
        board = None
        if agent and debugging and debugging.listen:
            board = Noticeboard(agent, debugging.diagnosis, bot.asking.start, settings.diagnoses_an_hour)
            debugging.listen(board.tell)
            self._showing = tasks.create_task(board.run())
        approvals = ApprovalDesk(tools.approval_s)
        self._runs = RunDesk(agent, approvals, tasks) if agent else None
        hands = Hands(agent, self._runs) if agent and self._runs else None
        bot.add_cog(ToolCommands(hands, bot.marker, bot.people, board))
        bot.add_cog(ApprovalClicks(approvals, bot.people))

    async def close(self, limit_s: float) -> None:
        if self._showing:
            self._showing.cancel()
        if self._runs:
            await self._runs.close(limit_s)
