"""Who and what there is in the loopback Discord, as the JSON that Discord sends."""

from __future__ import annotations

import itertools
import time
from typing import Any

Json = dict[str, Any]

_counter = itertools.count()


def snowflake() -> int:
    """A new id with today's date in it."""
    return (int(time.time() * 1000) - 1_420_070_400_000 << 22) + next(_counter) % 4096


TOKEN = "MTIzNDU2Nzg5MDEyMzQ1Njc4.GloopB.a-token-that-must-never-be-shown"  # noqa: S105 - Discord's form, worth nothing
APPLICATION = BOT = 1_100_000_000_000_000_001
OWNER = 1_100_000_000_000_000_002
STRANGER = 1_100_000_000_000_000_003
FRIEND = 1_100_000_000_000_000_004
GUILD = 1_100_000_000_000_000_010
CHANNEL = 1_100_000_000_000_000_011
OTHER_CHANNEL = 1_100_000_000_000_000_012
VOICE = 1_100_000_000_000_000_021
OTHER_VOICE = 1_100_000_000_000_000_022

THREAD = 1_100_000_000_000_000_031

NAMES = {BOT: "sidetone", OWNER: "ada", STRANGER: "mallory", FRIEND: "grace"}
CHANNEL_NAMES = {CHANNEL: "general", VOICE: "Lounge"}
EVERYTHING = str((1 << 50) - 1)
NOW = "2026-11-01T12:00:00.000000+00:00"


APPROVER_ROLE = 1_100_000_000_000_000_020
BOT_ROLE = 1_100_000_000_000_000_030
ROLES = {FRIEND: [APPROVER_ROLE], BOT: [BOT_ROLE]}


def user(user_id: int) -> Json:
    return {
        "id": str(user_id),
        "username": NAMES[user_id],
        "discriminator": "0",
        "global_name": None,
        "avatar": None,
        "bot": user_id == BOT,
        "public_flags": 0,
    }


def member(user_id: int, *, with_user: bool = True) -> Json:
    found: Json = {
        "roles": [str(role) for role in ROLES.get(user_id, [])],
        "nick": None,
        "avatar": None,
        "joined_at": NOW,
        "premium_since": None,
        "deaf": False,
        "mute": False,
        "flags": 0,
        "pending": False,
        "permissions": EVERYTHING,
    }
    return {**found, "user": user(user_id)} if with_user else found


def channel(channel_id: int) -> Json:
    return {
        "id": str(channel_id),
        "type": 0,
        "guild_id": str(GUILD),
        "name": CHANNEL_NAMES.get(channel_id, f"text-{channel_id % 10}"),
        "position": channel_id % 10,
        "permission_overwrites": [],
        "topic": None,
        "nsfw": False,
        "parent_id": None,
        "last_message_id": None,
        "rate_limit_per_user": 0,
        "flags": 0,
    }


def thread(thread_id: int, parent_id: int = CHANNEL, owner: int = OWNER, name: str = "") -> Json:
    times = {"archived": False, "auto_archive_duration": 1440, "archive_timestamp": NOW, "locked": False}
    counts = {"message_count": 0, "member_count": 2, "total_message_sent": 0}
    return {
        **channel(thread_id),
        **counts,
        **({"name": name} if name else {}),
        "type": 11,
        "parent_id": str(parent_id),
        "owner_id": str(owner),
        "thread_metadata": times,
    }


def voice_channel(channel_id: int) -> Json:
    return {
        "id": str(channel_id),
        "type": 2,
        "guild_id": str(GUILD),
        "name": CHANNEL_NAMES.get(channel_id, f"voice-{channel_id % 10}"),
        "position": channel_id % 10,
        "permission_overwrites": [],
        "parent_id": None,
        "bitrate": 64_000,
        "user_limit": 0,
        "rtc_region": None,
        "video_quality_mode": 1,
        "flags": 0,
    }


def voice_state(user_id: int, channel_id: int | None, session: str) -> Json:
    flags = ("deaf", "mute", "self_deaf", "self_mute", "self_video", "suppress")
    found: Json = dict.fromkeys(flags, False)
    return found | {
        "guild_id": str(GUILD),
        "channel_id": channel_id and str(channel_id),
        "user_id": str(user_id),
        "member": member(user_id),
        "session_id": session,
        "request_to_speak_timestamp": None,
    }


def guild() -> Json:
    everyone = {
        "id": str(GUILD),
        "name": "@everyone",
        "permissions": EVERYTHING,
        "position": 0,
        "color": 0,
        "colors": {"primary_color": 0, "secondary_color": None, "tertiary_color": None},
        "hoist": False,
        "managed": False,
        "mentionable": False,
        "flags": 0,
    }
    empty: Json = {
        name: []
        for name in (
            "emojis",
            "stickers",
            "features",
            "threads",
            "presences",
            "voice_states",
            "stage_instances",
            "guild_scheduled_events",
            "soundboard_sounds",
        )
    }
    return empty | {
        "threads": [thread(THREAD)],
        "id": str(GUILD),
        "name": "The loopback",
        "icon": None,
        "owner_id": str(OWNER),
        "afk_timeout": 300,
        "verification_level": 0,
        "default_message_notifications": 0,
        "explicit_content_filter": 0,
        "mfa_level": 0,
        "nsfw_level": 0,
        "premium_tier": 0,
        "system_channel_flags": 0,
        "preferred_locale": "en-GB",
        "premium_progress_bar_enabled": False,
        "unavailable": False,
        "joined_at": NOW,
        "large": False,
        "member_count": len(NAMES),
        "roles": [
            everyone,
            {**everyone, "id": str(APPROVER_ROLE), "name": "approvers", "position": 1},
            {**everyone, "id": str(BOT_ROLE), "name": "sidetone", "position": 2, "tags": {"bot_id": str(BOT)}},
        ],
        "channels": [*map(channel, (CHANNEL, OTHER_CHANNEL)), *map(voice_channel, (VOICE, OTHER_VOICE))],
        "members": [member(each) for each in NAMES],
    }


def message(
    author: int, text: str, channel_id: int = CHANNEL, *, reply_to: Json | None = None, files: list[Json] | None = None
) -> Json:
    """As the gateway sends it to a bot that may read messages."""
    mentioned = [each for each in NAMES if f"<@{each}>" in text]
    found: Json = {
        "id": str(snowflake()),
        "channel_id": str(channel_id),
        "guild_id": str(GUILD),
        "author": user(author),
        "member": member(author, with_user=False),
        "content": text,
        "timestamp": NOW,
        "edited_timestamp": None,
        "tts": False,
        "mention_everyone": False,
        "mentions": [{**user(each), "member": member(each, with_user=False)} for each in mentioned],
        "mention_roles": [str(role) for role in (APPROVER_ROLE, BOT_ROLE) if f"<@&{role}>" in text],
        "attachments": files or [],
        "embeds": [],
        "pinned": False,
        "type": 0,
        "flags": 0,
        "components": [],
    }
    if reply_to is not None:
        reference = {"message_id": reply_to["id"], "channel_id": str(channel_id), "guild_id": str(GUILD)}
        found |= {"type": 19, "message_reference": reference, "referenced_message": reply_to}
    return found


def attachment(name: str, content: bytes) -> Json:
    """A file that somebody has put to Discord."""
    number = str(snowflake())
    url = f"https://cdn.discordapp.com/attachments/{CHANNEL}/{number}/file?ex=1"
    return {"id": number, "filename": name, "size": len(content), "url": url, "proxy_url": url}


def click(author: int, message_raw: Json, custom_id: str) -> Json:
    """A click on a button of one of the bot's messages."""
    base = interaction(author, {"id": "0", "name": ""}, {}, int(message_raw["channel_id"]))
    data = {"custom_id": custom_id, "component_type": 2, "id": 1}
    return {**base, "type": 3, "data": data, "message": message_raw}


def interaction(author: int, command: Json, options: Json, channel_id: int = CHANNEL) -> Json:
    """A slash command; `command` is what the bot had registered."""
    given = [
        {"name": name, "type": 11, "value": value["id"]}
        if isinstance(value, dict)
        else {"name": name, "type": 3, "value": value}
        for name, value in options.items()
    ]
    files = {value["id"]: value for value in options.values() if isinstance(value, dict)}
    return {
        "id": str(snowflake()),
        "application_id": str(APPLICATION),
        "type": 2,
        "token": f"interaction-{snowflake()}",
        "version": 1,
        "data": {
            "id": command["id"],
            "name": command["name"],
            "type": 1,
            "options": given,
            "resolved": {"attachments": files},
        },
        "guild_id": str(GUILD),
        "channel_id": str(channel_id),
        "channel": thread(channel_id) if channel_id == THREAD else channel(channel_id),
        "member": member(author),
        "locale": "en-GB",
        "guild_locale": "en-GB",
        "entitlements": [],
        "authorizing_integration_owners": {"0": str(GUILD)},
        "context": 0,
        "app_permissions": EVERYTHING,
        "attachment_size_limit": 10_485_760,
    }
