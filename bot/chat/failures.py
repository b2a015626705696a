"""Why Discord cannot be used, as sentences for people. Imports py-cord."""

from __future__ import annotations

import logging

import aiohttp
import discord

from bot.chat.given import FRESH, PORTAL
from bot.errors import DiscordError

log = logging.getLogger(__name__)

EXPECTED = (
    discord.LoginFailure,
    discord.PrivilegedIntentsRequired,
    discord.ConnectionClosed,
    discord.HTTPException,
    discord.GatewayNotFound,
    aiohttp.ClientError,
    OSError,
)
"""What ends a log-in without being a defect of ours."""

TOKEN_REFUSED = f"Discord refused DISCORD_TOKEN. {FRESH}"
SWITCH_ON = (
    f'Open {PORTAL}, your application, Bot, and switch on "Message Content Intent" under "Privileged Gateway Intents"'
)
NO_INTENT = f"Discord does not let the bot read messages. {SWITCH_ON}; then start again."
NOT_AS_IT_SHOULD = "Discord does not answer as it should. See https://discordstatus.com, then start again."
NO_CERTIFICATE = (
    "The certificate of discord.com cannot be verified. Set this computer's clock, install its root "
    "certificates (Linux: ca-certificates), or let SSL_CERT_FILE name the one of your company's proxy."
)
PROXY = "proxy of DISCORD_PROXY or HTTPS_PROXY"


def explain(error: BaseException, *, proxy: bool) -> DiscordError:
    """Of one of EXPECTED. Shows nothing of what the libraries say: addresses of proxies hold passwords."""
    log.info("log-in failed: %s", error if isinstance(error, discord.HTTPException) else type(error).__name__)
    return DiscordError(_sentence(error, proxy))


def _sentence(error: BaseException, proxy: bool) -> str:
    match error:
        case discord.LoginFailure() | discord.ConnectionClosed(code=4004):
            return TOKEN_REFUSED
        case discord.PrivilegedIntentsRequired():
            return NO_INTENT
        case discord.ConnectionClosed():
            return f"Discord closed the connection (code {error.code}). Start again in a minute."
        case discord.HTTPException() | discord.GatewayNotFound():
            return NOT_AS_IT_SHOULD
        case aiohttp.ClientConnectorCertificateError():
            return NO_CERTIFICATE
        case aiohttp.ClientHttpProxyError(status=407):
            return f"The {PROXY} wants a user and a password: write http://USER:PASSWORD@HOST:PORT in .env."
        case aiohttp.ClientHttpProxyError():
            return f"The {PROXY} does not let the bot through to Discord (HTTP {error.status}). Correct it."
        case aiohttp.ClientProxyConnectionError():
            return f"The {PROXY} does not answer, so Discord cannot be reached. Correct it in .env."
    way = f"through the {PROXY}" if proxy else "from this computer"
    return f"Discord cannot be reached {way}. Check the network connection, then start again."
