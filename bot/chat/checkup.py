"""Asks Discord what `python -m bot doctor` says about it: the log-in, the intent, the servers and their permissions."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import discord
from discord.http import Route

from bot.chat.failures import EXPECTED, SWITCH_ON, explain
from bot.chat.given import proxy_fault, token_fault
from bot.chat.invitation import FOR_ALL, FOR_TEXT, FOR_VOICE, VIEW, link, missing
from bot.checks import Check
from bot.config import DiscordSettings
from bot.errors import DiscordError

LIMIT_S = 15.0
"""For all questions together."""
MOST_SERVERS = 10
NAMED = 4
"""Channels that are named one by one."""
_Flags = discord.ApplicationFlags
READS_MESSAGES = _Flags.gateway_message_content.flag | _Flags.gateway_message_content_limited.flag
"""The second stands for bots in fewer than 100 servers."""
PROXY, TOKEN, INTENT, SERVERS = "Discord proxy", "Discord token", "Discord intent", "Discord servers"


@dataclass(frozen=True, slots=True)
class Place:
    """A channel."""

    name: str
    voice: bool
    allowed: discord.Permissions
    """The bot's own there."""


@dataclass(frozen=True, slots=True)
class Server:
    name: str
    role: str
    """The bot's own role, which its invitation made."""
    allowed: discord.Permissions
    """The bot's own, before a channel takes or gives any."""
    places: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class Standing:
    """What the bot is in Discord."""

    name: str
    application: int
    reads_messages: bool
    servers: tuple[Server, ...]


async def examine(settings: DiscordSettings) -> list[Check]:
    if not settings.token:
        return [Check(TOKEN, "warn", "no DISCORD_TOKEN", "Only needed for the Discord bot; `talk` works without it.")]
    if problem := token_fault(settings.token):
        return [Check(TOKEN, "fail", "not a bot's token", problem)]
    if problem := proxy_fault(settings.proxy):
        return [Check(PROXY, "fail", "not an address", problem)]
    try:
        standing = await ask(settings)
    except DiscordError as error:
        return [Check(TOKEN, "fail", "no log-in", str(error))]
    return list(judge(standing))


async def ask(settings: DiscordSettings) -> Standing:
    """Raises DiscordError."""
    client = discord.Client(intents=discord.Intents.none(), proxy=settings.proxy or None)
    try:
        async with asyncio.timeout(LIMIT_S):
            await client.login(settings.token)
            return await _standing(client)
    except TimeoutError as error:
        raise DiscordError(f"Discord did not answer within {LIMIT_S:.0f} s. Check the network connection.") from error
    except EXPECTED as error:
        raise explain(error, proxy=bool(settings.proxy)) from error
    finally:
        await client.close()


async def _standing(client: discord.Client) -> Standing:
    # py-cord asks at another address, whose answer has no flags.
    application = await client.http.request(Route("GET", "/applications/@me"))
    servers = [await _server(client, guild.id) async for guild in client.fetch_guilds(limit=MOST_SERVERS)]
    flags = int(application.get("flags") or 0)
    return Standing(str(client.user), int(application["id"]), bool(flags & READS_MESSAGES), tuple(servers))


async def _server(client: discord.Client, number: int) -> Server:
    assert client.user is not None  # noqa: S101 - set by the log-in
    guild = await client.fetch_guild(number, with_counts=False)
    me = await guild.fetch_member(client.user.id)
    own = next((role.name for role in me.roles if role.is_bot_managed()), "")
    places = [
        Place(
            channel.name, isinstance(channel, discord.VoiceChannel | discord.StageChannel), channel.permissions_for(me)
        )
        for channel in await guild.fetch_channels()
        if isinstance(channel, discord.TextChannel | discord.VoiceChannel | discord.StageChannel)
    ]
    return Server(guild.name, own, me.guild_permissions, tuple(places))


def judge(standing: Standing) -> Iterator[Check]:
    yield Check(TOKEN, "ok", f"logged in as {standing.name}")
    if standing.reads_messages:
        yield Check(INTENT, "ok", "Message Content Intent is on")
    else:
        yield Check(INTENT, "fail", "Message Content Intent is off", f"{SWITCH_ON}.")
    if not standing.servers:
        yield Check(SERVERS, "fail", "none", "Invite the bot: the link is below.", link(standing.application))
        return
    yield Check(SERVERS, "ok", ", ".join(server.name for server in standing.servers))
    for server in standing.servers:
        yield _permissions(server, standing.application)
        yield _channels(server, voice=False)
        yield _channels(server, voice=True)


def _permissions(server: Server, application: int) -> Check:
    what = f"{server.name}: permissions"
    if lacking := missing(server.allowed, FOR_ALL):
        role = f"the role {server.role}" if server.role else "the bot's role"
        names = ", ".join(lacking)
        fix = f"In Server Settings, Roles, give {role}: {names}. Or invite the bot again: the link is below."
        return Check(what, "fail", f"missing: {names}", fix, link(application))
    return Check(what, "ok", "all that the bot needs")


def _channels(server: Server, *, voice: bool) -> Check:
    """Where the channels differ from the server. What the bot cannot see is mostly hidden from it on purpose."""
    kind = "voice" if voice else "text"
    what, needed = f"{server.name}: {kind} channels", FOR_VOICE if voice else FOR_TEXT
    places = [place for place in server.places if place.voice is voice]
    seen = [place for place in places if getattr(place.allowed, VIEW)]
    hidden = f"; {len(places) - len(seen)} hidden from it" if len(places) > len(seen) else ""
    faults: dict[str, list[str]] = defaultdict(list)
    for place in seen:
        # What the whole server lacks has been said.
        if lacking := missing(place.allowed, [name for name in needed if getattr(server.allowed, name)]):
            faults[", ".join(lacking)].append(f"#{place.name}")
    usable = len(seen) - sum(map(len, faults.values()))
    found = f"{usable} of {len(places)} usable{hidden}"
    if not faults and (usable or not places):
        return Check(what, "ok", found)
    wanted = "; ".join(f"{lacking} in {_named(names)}" for lacking, names in faults.items()) or "View Channel"
    role = server.role or "the bot's role"
    fix = f"If it is to work there: Edit Channel, Permissions, {role}, and allow {wanted}."
    return Check(what, "warn" if usable else "fail", found, fix)


def _named(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
