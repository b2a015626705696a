"""The message with Approve and Deny, and the clicks on it. Imports py-cord."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar, cast

import discord
from discord.ext import commands

from bot.chat.approvals import ApprovalDesk
from bot.chat.outlet import Send, translated
from bot.chat.people import People

log = logging.getLogger(__name__)

F = TypeVar("F")
# py-cord leaves this untyped.
_listener = cast("Callable[[str], Callable[[F], F]]", commands.Cog.listener)

YES, NO = "sidetone:approve:", "sidetone:deny:"


class Buttons(discord.ui.View):
    """Only the look: clicks are told by their ids in `ApprovalClicks`, so that one way decides for all of them, also
    for those on messages from before a restart."""

    def __init__(self, request_id: str) -> None:
        super().__init__(timeout=None, store=False)
        success, danger = discord.ButtonStyle.success, discord.ButtonStyle.danger
        self.add_item(discord.ui.Button(style=success, label="Approve", custom_id=YES + request_id))
        self.add_item(discord.ui.Button(style=danger, label="Deny", custom_id=NO + request_id))


class DiscordCard:
    def __init__(self, message: Any) -> None:
        self._message = message

    async def close(self, text: str) -> None:
        with translated():
            await self._message.edit(content=text, view=None)


class DiscordAsker:
    def __init__(self, send: Send) -> None:
        self._send = send

    async def ask(self, text: str, request_id: str) -> DiscordCard:
        with translated():
            return DiscordCard(await self._send(text, view=Buttons(request_id)))


class ApprovalClicks(commands.Cog):
    def __init__(self, desk: ApprovalDesk, people: People) -> None:
        self._desk = desk
        self._people = people

    @_listener("on_interaction")
    async def clicked(self, interaction: discord.Interaction) -> None:
        custom_id = str(cast("dict[str, object]", interaction.data or {}).get("custom_id", ""))
        if interaction.type is not discord.InteractionType.component or not custom_id.startswith((YES, NO)):
            return
        yes = custom_id.startswith(YES)
        answer = self._desk.click(
            custom_id.removeprefix(YES).removeprefix(NO),
            interaction.user.id if interaction.user else 0,
            yes=yes,
            refused=self._people.no_approver(interaction.user, interaction.guild),
            untouched=interaction.message is not None and interaction.message.edited_at is None,
        )
        try:
            if answer:
                await interaction.response.send_message(answer, ephemeral=True)
            else:
                await interaction.response.defer()
        except discord.HTTPException as error:
            log.info("a click was not answered: %s", error)

    @_listener("on_raw_message_edit")
    async def edited(self, event: discord.RawMessageUpdateEvent) -> None:
        content = event.data.get("content")
        # Discord also sends this when it has looked up a link; then the text is the same, or not there.
        if isinstance(content, str):
            self._desk.withdraw(event.message_id, content)

    @_listener("on_raw_message_delete")
    async def deleted(self, event: discord.RawMessageDeleteEvent) -> None:
        self._desk.withdraw(event.message_id)
