"""What can be wrong with token and proxy before Discord is asked. Never shows a value: both can hold secrets."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from bot.config import DiscordSettings
from bot.errors import ConfigError

PORTAL = "https://discord.com/developers/applications"
FRESH = f"Copy a fresh token to .env: {PORTAL}, your application, Bot, Reset Token."

GENUINE = r"[\w-]+\.[\w-]+\.[\w-]+"
MISTAKEN = (
    (r"bot\s.*", 'begins with the word "Bot", which does not belong to it'),
    (r"[\"'].*|.*[\"']", "has a quotation mark at one end only"),
    (r"\d{15,21}", "is the application's ID, not the bot's token"),
    (r"[0-9a-f]{64}", "is the application's public key, not the bot's token"),
    (r"[\w-]{32}", "is the application's client secret, not the bot's token"),
)
"""The portal shows four values that look alike."""
ODD_PROXY = "DISCORD_PROXY (or HTTPS_PROXY) must look like http://host:port. Correct it in .env."


def check(settings: DiscordSettings) -> None:
    """What would otherwise surface deep inside a library, or only when the engines have been loaded. Raises
    ConfigError."""
    if problem := token_fault(settings.token) or proxy_fault(settings.proxy):
        raise ConfigError(problem)


def token_fault(token: str) -> str:
    """Why `token` cannot be a bot's, as a sentence; empty when it can, which only Discord knows for sure."""
    if re.fullmatch(GENUINE, token, re.ASCII):
        return ""
    for form, meaning in MISTAKEN:
        if re.fullmatch(form, token, re.ASCII | re.IGNORECASE | re.DOTALL):
            return f"DISCORD_TOKEN {meaning}. {FRESH}"
    return f"DISCORD_TOKEN is no bot's token: those have three parts with dots between them and no spaces. {FRESH}"


def proxy_fault(url: str) -> str:
    try:
        proxy = urlsplit(url)
        usable = not url or (proxy.scheme in ("http", "https") and bool(proxy.hostname) and proxy.port != 0)
    except ValueError:
        # A port that is no number, or an IPv6 address with one bracket.
        usable = False
    return "" if usable else ODD_PROXY
