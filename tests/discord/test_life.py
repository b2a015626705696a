"""Start and end of the real bot process: each failure is one sentence and exit code 15, each stop is orderly."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from tests.discord.conftest import LAUNCH, BotProcess, log_in
from tests.discord.hearing import direct, hears, say
from tests.discord.loopback import Loopback
from tests.discord.world import FRIEND, OWNER, TOKEN, VOICE

pytestmark = pytest.mark.slow

WRONG, IMPOSSIBLE = "MTIz.not-the.token", "töken"
CONFIG, PACKAGE, DISCORD = 2, 11, 15
UNTIDY = ("Traceback", "ResourceWarning", "never retrieved", "was destroyed", "Unclosed")


def sentence(bot: BotProcess, exit_code: int) -> str:
    """The one line that the bot ends with."""
    try:
        assert bot.wait(15) == exit_code, bot.output
    finally:
        bot.kill()
    assert TOKEN not in bot.output
    assert not any(word in bot.output for word in UNTIDY), bot.output
    lines = [line for line in bot.lines if line.startswith("sidetone: ")]
    assert len(lines) == 1, bot.output
    return lines[0]


def test_wrong_token(loopback: Loopback) -> None:
    said = sentence(BotProcess(loopback, DISCORD_TOKEN=WRONG), DISCORD)
    assert "Discord refused DISCORD_TOKEN" in said
    assert WRONG not in said


def test_a_token_that_cannot_be_one(loopback: Loopback) -> None:
    said = sentence(BotProcess(loopback, DISCORD_TOKEN=IMPOSSIBLE), CONFIG)
    assert "DISCORD_TOKEN is no bot's token" in said
    assert IMPOSSIBLE not in said


@pytest.mark.parametrize(
    ("code", "expected"),
    [(4014, '"Message Content Intent"'), (4004, "Discord refused DISCORD_TOKEN"), (4013, "code 4013")],
)
def test_the_gateway_refuses(loopback: Loopback, code: int, expected: str) -> None:
    loopback.gateway.close_after_identify = code
    try:
        assert expected in sentence(BotProcess(loopback), DISCORD)
    finally:
        loopback.gateway.close_after_identify = 0


def test_discord_cannot_be_reached(loopback: Loopback) -> None:
    said = sentence(BotProcess(loopback, DISCORD_PROXY="http://user:secret@127.0.0.1:1"), DISCORD)
    assert "The proxy of DISCORD_PROXY or HTTPS_PROXY does not answer" in said
    assert "secret" not in said


@pytest.mark.parametrize("name", ["DISCORD_PROXY", "HTTPS_PROXY"])
def test_everything_goes_through_the_proxy_of_either_name(loopback: Loopback, name: str) -> None:
    loopback.proxy.led_to.clear()
    loopback.voice.present = {OWNER: VOICE}
    proxies = {"DISCORD_PROXY": "", "HTTPS_PROXY": "", name: f"http://127.0.0.1:{loopback.proxy_port}"}
    bot = log_in(loopback, *LAUNCH, "--voice", **proxies)
    try:
        direct(loopback)
        hears(loopback, say(loopback, "tone 0.3"))
        # Nothing but the proxy knows the way from these names to the loopback.
        assert set(loopback.proxy.led_to) == {"discord.com", "gateway.discord.gg", loopback.gateway.region}
    finally:
        bot.kill()
        loopback.voice.present = {}


def test_a_certificate_that_nobody_signed(loopback: Loopback, tmp_path: Path) -> None:
    nobody = tmp_path / "none.pem"
    nobody.touch()
    assert "certificate of discord.com" in sentence(BotProcess(loopback, SSL_CERT_FILE=str(nobody)), DISCORD)


def test_wrong_settings(loopback: Loopback) -> None:
    assert "DISCORD_PROXY" in sentence(BotProcess(loopback, DISCORD_PROXY="socks5://127.0.0.1:1"), CONFIG)
    users = sentence(BotProcess(loopback, DISCORD_ALLOWED_USERS="ada, grace"), CONFIG)
    assert "DISCORD_ALLOWED_USERS is 'ada, grace'" in users


def test_the_library_is_missing(loopback: Loopback, tmp_path: Path) -> None:
    broken = tmp_path / "discord"
    broken.mkdir()
    (broken / "__init__.py").write_text("raise ImportError('not here')\n", encoding="utf-8")
    said = sentence(BotProcess(loopback, PYTHONPATH=str(tmp_path)), PACKAGE)
    assert 'pip install "py-cord[voice]>=2.8.1,<2.9"' in said


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot send these signals to another process")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_an_orderly_stop_in_mid_answer(loopback: Loopback, number: int) -> None:
    before = len(loopback.messages)
    bot = log_in(loopback, DISCORD_ALLOWED_USERS=f"{FRIEND}")
    try:
        # With a list, the list decides, and the owner is not on it.
        loopback.say(OWNER, "!ask forever")
        loopback.wait_for_text("You are not on my list", after=before)
        loopback.say(FRIEND, "!ask forever")
        loopback.wait_for_text("more more", after=before)
        asked = time.monotonic()
        bot.signal(number)
        assert bot.wait(5) == 0, bot.output
        assert time.monotonic() - asked < 3.0
    finally:
        bot.kill()
    assert "The bot is being shut down, so this answer ends here." in loopback.messages[-1].text
    assert "left behind: []" in bot.lines, bot.output
    assert "model stopped" in bot.output
    assert not any(word in bot.output for word in (*UNTIDY, TOKEN)), bot.output
    assert loopback.gateway.closed_with == 1000


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot send these signals to another process")
def test_without_a_server_there_is_a_link_and_a_stop_that_discord_does_not_confirm(loopback: Loopback) -> None:
    loopback.gateway.silent_goodbye, loopback.gateway.invited = True, False
    bot = log_in(loopback)
    try:
        assert "in no server yet. Invite the bot: https://discord.com/oauth2/authorize?client_id=" in bot.output
        asked = time.monotonic()
        bot.signal(signal.SIGTERM)
        assert bot.wait(5) == 0, bot.output
        assert time.monotonic() - asked < 3.0
    finally:
        bot.kill()
        loopback.gateway.silent_goodbye, loopback.gateway.invited = False, True
    assert "left behind: []" in bot.lines, bot.output
