"""Who may talk to the bot, run commands and approve them. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Person:
    user: int
    roles: Collection[int]
    """Of theirs in this server; the server's own id, which is the role of everybody, among them."""
    owner: int | None
    """Of the server; None in a private chat."""


def may(person: Person, listed: Collection[int]) -> bool:
    """Whether somebody is, by their id or that of a role they have, on a list; an empty list means the server's
    owner."""
    if listed:
        return person.user in listed or any(role in listed for role in person.roles)
    return person.owner == person.user


def no_talker(person: Person, listed: Collection[int]) -> str:
    """Why they may not talk to the bot, as a sentence for them; empty when they may. The same for the two below."""
    if may(person, listed):
        return ""
    if person.owner is None:
        return f"In private chats I answer only those on my list. {_add(person, 'DISCORD_ALLOWED_USERS', role=False)}"
    if listed:
        return f"You are not on my list, nor is a role of yours. {_add(person, 'DISCORD_ALLOWED_USERS')}"
    return f"Only the owner of this server may talk to me. {_add(person, 'DISCORD_ALLOWED_USERS')}"


def no_runner(person: Person, listed: Collection[int]) -> str:
    return "" if may(person, listed) else f"You may not run commands. {_add(person, 'DISCORD_RUNNERS')}"


def no_approver(person: Person, listed: Collection[int]) -> str:
    return "" if may(person, listed) else f"You may not decide this. {_add(person, 'DISCORD_APPROVERS')}"


def _add(person: Person, name: str, *, role: bool = True) -> str:
    return f"My operator can add {person.user}{', or one of your roles,' if role else ''} to {name}."
