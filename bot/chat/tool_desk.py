"""Puts together what the tool agent's commands need. Imports py-cord."""

from __future__ import annotations

import asyncio

from bot.chat.approval_card import ApprovalClicks
from bot.chat.approvals import ApprovalDesk
from bot.chat.commands import SidetoneBot
from bot.chat.running import RunDesk
from bot.chat.tool_commands import Hands, ToolCommands
from bot.ports import ToolAgent


class ToolDesk:
    def __init__(self, bot: SidetoneBot, agent: ToolAgent | None, tasks: asyncio.TaskGroup, approval_s: float) -> None:
        """Adds its commands to `bot`."""
        approvals = ApprovalDesk(approval_s)
        self._runs = RunDesk(agent, approvals, tasks) if agent else None
        hands = Hands(agent, self._runs) if agent and self._runs else None
        bot.add_cog(ToolCommands(hands, bot.marker, bot.people))
        bot.add_cog(ApprovalClicks(approvals, bot.people))

    async def close(self, limit_s: float) -> None:
        if self._runs:
            await self._runs.close(limit_s)
