"""Token and proxy before Discord is asked, and what Discord's refusals mean to people."""

from __future__ import annotations

import aiohttp
import discord
import pytest
from aiohttp.client_reqrep import ConnectionKey
from yarl import URL

from bot.chat.failures import explain
from bot.chat.given import check, proxy_fault, token_fault
from bot.config import DiscordSettings
from bot.errors import ConfigError

GENUINE = "MTIzNDU2Nzg5MDEyMzQ1Njc4.GloopB.a-token_of-the-right-form"


@pytest.mark.parametrize(
    ("token", "says"),
    [
        (f"Bot {GENUINE}", 'begins with the word "Bot"'),
        (f'"{GENUINE}', "quotation mark"),
        ("1100000000000000001", "the application's ID"),
        ("0123456789abcdef" * 4, "the application's public key"),
        ("aB3-" * 8, "the application's client secret"),
        (GENUINE.replace(".", "", 1), "three parts"),
        (GENUINE + " ", "three parts"),
        ("töken.of.letters", "three parts"),
        ("x\n.y.z", "three parts"),
        ("", "three parts"),
    ],
)
def test_what_is_no_token_is_named(token: str, says: str) -> None:
    said = token_fault(token)
    assert says in said
    assert "Reset Token" in said
    assert not token.strip() or token.strip() not in said


def test_what_has_the_form_of_a_token_is_left_to_discord() -> None:
    assert token_fault(GENUINE) == ""
    assert token_fault("MTIz.not-the.token") == ""


@pytest.mark.parametrize("url", ["", "http://10.0.0.1:8080", "https://user:secret@proxy.example", "http://[::1]:3128"])
def test_proxies(url: str) -> None:
    assert proxy_fault(url) == ""


@pytest.mark.parametrize(
    "url",
    ["10.0.0.1:8080", "proxy.example", "socks5://a:1", "http://:1", "http://a:b", "http://a:70000", "http://[::1"],
)
def test_what_is_no_proxy(url: str) -> None:
    with pytest.raises(ConfigError, match="must look like http://host:port"):
        check(DiscordSettings(GENUINE, url))


INFO = aiohttp.RequestInfo(URL("http://user:secret@proxy"), "CONNECT", None, URL("http://proxy"))  # type: ignore[arg-type]
KEY = ConnectionKey("discord.com", 443, True, True, None, None, None)


@pytest.mark.parametrize(
    ("error", "proxy", "says"),
    [
        (discord.LoginFailure("no"), False, "Discord refused DISCORD_TOKEN"),
        (discord.PrivilegedIntentsRequired(None), False, '"Message Content Intent"'),
        (aiohttp.ClientHttpProxyError(INFO, (), status=407), True, "wants a user and a password"),
        (aiohttp.ClientHttpProxyError(INFO, (), status=403), True, "through to Discord (HTTP 403)"),
        (aiohttp.ClientProxyConnectionError(KEY, OSError("secret")), True, "HTTPS_PROXY does not answer"),
        (aiohttp.ClientConnectorDNSError(KEY, OSError("secret")), False, "cannot be reached from this computer"),
        (TimeoutError(), False, "cannot be reached from this computer"),
        (aiohttp.ServerDisconnectedError("secret"), True, "cannot be reached through the proxy of DISCORD_PROXY"),
    ],
)
def test_what_ends_a_log_in_is_a_sentence_without_secrets(error: Exception, proxy: bool, says: str) -> None:
    said = str(explain(error, proxy=proxy))
    assert says in said
    assert "secret" not in said
    assert said.endswith(".")
