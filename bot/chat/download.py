"""Fetches files that users attached, from Discord's own hosts, the way the bot reaches Discord."""

from __future__ import annotations

from urllib.parse import urlsplit

import aiohttp

from bot.errors import DiscordError

HOSTS = frozenset({"cdn.discordapp.com", "media.discordapp.net"})
TIMEOUT_S = 15.0


async def download(url: str, limit: int, proxy: str | None, auth: aiohttp.BasicAuth | None = None) -> bytes:
    """At most `limit` bytes; more than that is an error. Raises DiscordError. (py-cord's own way to read an attachment
    knows no proxy and no limit.)"""
    address = urlsplit(url)
    if address.scheme != "https" or address.hostname not in HOSTS:
        raise DiscordError("it does not lie at Discord.")
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S)) as session,
            session.get(url, proxy=proxy, proxy_auth=auth, allow_redirects=False) as response,
        ):
            if response.status != 200:
                raise DiscordError(f"Discord did not give it (HTTP {response.status}). Attach it once more.")
            parts: list[bytes] = []
            async for part in response.content.iter_chunked(64 << 10):
                parts.append(part)
                if sum(map(len, parts)) > limit:
                    raise DiscordError(f"it is larger than {limit} bytes.")
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise DiscordError("Discord did not give it. Attach it once more.") from error
    return b"".join(parts)
