"""What the bot must be allowed to do, and the link that asks for exactly that. Imports py-cord."""

from __future__ import annotations

from collections.abc import Iterable

import discord

VIEW, SEND = "view_channel", "send_messages"
FOR_TEXT = {
    VIEW: "View Channel",
    SEND: "Send Messages",
    "create_public_threads": "Create Public Threads",
    "send_messages_in_threads": "Send Messages in Threads",
    "embed_links": "Embed Links",
    "attach_files": "Attach Files",
    "add_reactions": "Add Reactions",
    "read_message_history": "Read Message History",
}
"""py-cord's name, and the one that people see in Discord."""
FOR_VOICE = {VIEW: "View Channel", "connect": "Connect", "speak": "Speak"}
FOR_ALL = FOR_TEXT | FOR_VOICE
FOLLOW = {SEND: ("embed_links", "attach_files")}
"""Discord takes the latter away with the former."""
SCOPES = ("bot", "applications.commands")


def link(application: int) -> str:
    permissions = discord.Permissions(**dict.fromkeys(FOR_ALL, True))
    return discord.utils.oauth_url(application, permissions=permissions, scopes=SCOPES)


def missing(given: discord.Permissions, needed: Iterable[str]) -> list[str]:
    """As people see them in Discord; what follows from another missing one is left out."""
    lacking = [name for name in needed if not getattr(given, name)]
    if VIEW in lacking:
        lacking = [VIEW]
    following = {each for name in lacking for each in FOLLOW.get(name, ())}
    return [FOR_ALL[name] for name in lacking if name not in following]
