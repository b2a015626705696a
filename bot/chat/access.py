"""Who may talk to the bot, run commands and approve them. Pure."""

from __future__ import annotations

from collections.abc import Collection


def refusal(user: int, owner: int | None, allowed: Collection[int]) -> str:
    """Why `user` may not talk to the bot, as a sentence for them; empty when they may. `owner` is the owner of the
    server, None in a private chat."""
    if user in allowed or (not allowed and owner == user):
        return ""
    if allowed:
        return f"You are not on this bot's list of users. Its operator can add {user} to DISCORD_ALLOWED_USERS."
    if owner is None:
        return f"In private chats I answer only users on my list. My operator can add {user} to DISCORD_ALLOWED_USERS."
    return f"Only the owner of this server may talk to me. My operator can add {user} to DISCORD_ALLOWED_USERS."


def may(user: int, roles: Collection[int], owner: int | None, listed: Collection[int]) -> bool:
    """Whether a user is, by their id or that of a role they have, on a list; an empty list means the server's owner."""
    if listed:
        return user in listed or any(role in listed for role in roles)
    return owner == user


def no_runner(user: int) -> str:
    return f"You may not run commands. My operator can add {user}, or one of your roles, to DISCORD_RUNNERS."


def no_approver(user: int) -> str:
    return f"You may not decide this. My operator can add {user}, or one of your roles, to DISCORD_APPROVERS."
