"""The lists of who may do what, asked about Discord's users. Imports py-cord."""

from __future__ import annotations

import discord

from bot.chat import access
from bot.config import DiscordSettings

User = discord.User | discord.Member | None


class People:
    """Each method says why somebody may not, as a sentence for them; nothing when they may."""

    def __init__(self, settings: DiscordSettings) -> None:
        self._settings = settings

    def no_talker(self, user: User, guild: discord.Guild | None) -> str:
        return access.no_talker(_person(user, guild), self._settings.allowed_users)

    def no_runner(self, user: User, guild: discord.Guild | None) -> str:
        return access.no_runner(_person(user, guild), self._settings.runners)

    def no_approver(self, user: User, guild: discord.Guild | None) -> str:
        return access.no_approver(_person(user, guild), self._settings.approvers)


def _person(user: User, guild: discord.Guild | None) -> access.Person:
    roles = [role.id for role in user.roles] if isinstance(user, discord.Member) else []
    return access.Person(user.id if user else 0, roles, guild.owner_id if guild else None)
