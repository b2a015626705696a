"""`python -m bot doctor` asks Discord, here the loopback one, and names what is wrong with the fix for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.discord import world
from tests.discord.conftest import BotProcess
from tests.discord.loopback import Loopback
from tests.discord.portal import Portal

pytestmark = pytest.mark.slow

WIDE = "400"
"""Columns: each row is one line."""
OWN_ROLE = "1100000000000000030"
VIEW, SEND, CONNECT, SPEAK = 1 << 10, 1 << 11, 1 << 20, 1 << 21
NEEDED = sum(1 << bit for bit in (6, 10, 11, 14, 15, 16, 20, 21, 35, 38))
"""As Discord's documents number the permissions that are to be asked for, and no other."""
INVITE = f"Invite the bot: https://discord.com/oauth2/authorize?client_id={world.APPLICATION}&scope=bot+applications"


@pytest.fixture
def portal(loopback: Loopback) -> Iterator[Portal]:
    """All is well until a test changes it."""
    fresh = Portal()
    found = loopback.rest.portal
    found.__dict__.update(fresh.__dict__)
    found.bot_roles = [OWN_ROLE]
    own = {**found.servers[0]["roles"][0], "id": OWN_ROLE, "name": "Sidetone", "permissions": str(NEEDED)}
    everyone = {**found.servers[0]["roles"][0], "permissions": "0"}
    found.servers[0]["roles"] = [everyone, {**own, "tags": {"bot_id": str(world.BOT)}, "managed": True}]
    yield found
    found.__dict__.update(fresh.__dict__)


def doctor(loopback: Loopback, **environment: str) -> dict[str, str]:
    """What it says, by the name of the row; "" for what stands below the table."""
    process = BotProcess(loopback, "-m", "bot", "doctor", COLUMNS=WIDE, **environment)
    try:
        code = process.wait(30)
    finally:
        process.kill()
    assert world.TOKEN not in process.output
    assert not any(word in process.output for word in ("Traceback", "Unclosed", "ResourceWarning")), process.output
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in process.lines if line.startswith("│")]
    assert code == any(row[0] == "fail" for row in rows)
    below = process.lines[max(n for n, line in enumerate(process.lines) if line.startswith("└")) :]
    return {row[1]: " | ".join(row) for row in rows} | {"": "\n".join(below)}


def overwrite(role: str, *, deny: int) -> dict[str, str | int]:
    return {"id": role, "type": 0, "allow": "0", "deny": str(deny)}


def test_all_is_well(loopback: Loopback, portal: Portal) -> None:
    rows = doctor(loopback)
    assert rows["Discord token"].startswith("ok | Discord token | logged in as sidetone")
    assert rows["Discord intent"].startswith("ok")
    assert rows["Discord servers"].startswith("ok | Discord servers | The loopback")
    assert rows["The loopback: permissions"].startswith("ok")
    assert "2 of 2 usable" in rows["The loopback: text channels"]
    assert "2 of 2 usable" in rows["The loopback: voice channels"]
    assert rows["Discord voice: Opus"].startswith("ok")
    assert rows["Discord voice: DAVE"].startswith("ok")
    assert "oauth2" not in rows[""]


def test_a_token_that_discord_refuses(loopback: Loopback, portal: Portal) -> None:
    row = doctor(loopback, DISCORD_TOKEN="MTIz.not-the.token")["Discord token"]  # noqa: S106
    assert row.startswith("fail | Discord token | no log-in | Discord refused DISCORD_TOKEN. Copy a fresh token")


def test_values_that_cannot_be_right_are_not_sent(loopback: Loopback, portal: Portal) -> None:
    row = doctor(loopback, DISCORD_TOKEN=str(world.APPLICATION))["Discord token"]
    assert "DISCORD_TOKEN is the application's ID" in row
    row = doctor(loopback, DISCORD_PROXY="127.0.0.1:8080")["Discord proxy"]
    assert row.startswith("fail")
    assert "must look like http://host:port" in row


def test_without_network(loopback: Loopback, portal: Portal) -> None:
    row = doctor(loopback, DISCORD_PROXY="http://user:secret@127.0.0.1:1")["Discord token"]
    assert row.startswith("fail | Discord token | no log-in | The proxy of DISCORD_PROXY or HTTPS_PROXY does not")
    assert "secret" not in row


def test_the_intent_is_off_and_the_bot_is_in_no_server(loopback: Loopback, portal: Portal) -> None:
    portal.flags, portal.servers = 0, []
    rows = doctor(loopback)
    assert rows["Discord intent"].startswith("fail")
    assert 'switch on "Message Content Intent"' in rows["Discord intent"]
    assert rows["Discord servers"].startswith("fail")
    assert INVITE in rows[""]
    assert f"permissions={NEEDED}" in rows[""]


def test_permissions_that_are_missing(loopback: Loopback, portal: Portal) -> None:
    server = portal.servers[0]
    role = server["roles"][1]
    role["permissions"] = str(int(role["permissions"]) & ~SPEAK)
    text, other, _, voice = server["channels"]
    text["permission_overwrites"] = [overwrite(OWN_ROLE, deny=SEND)]
    voice["permission_overwrites"] = [overwrite(OWN_ROLE, deny=CONNECT)]
    other["permission_overwrites"] = [overwrite(str(world.GUILD), deny=VIEW), overwrite(OWN_ROLE, deny=VIEW)]
    rows = doctor(loopback)
    missing = rows["The loopback: permissions"]
    assert missing.startswith("fail")
    assert "give the role Sidetone: Speak." in missing
    assert INVITE in rows[""]
    channels = rows["The loopback: text channels"]
    assert channels.startswith("fail")
    assert "0 of 2 usable; 1 hidden from it" in channels
    assert f"Edit Channel, Permissions, Sidetone, and allow Send Messages in #{text['name']}." in channels
    speaking = rows["The loopback: voice channels"]
    assert speaking.startswith("warn | The loopback: voice channels | 1 of 2 usable | ")
    assert f"allow Connect in #{voice['name']}." in speaking
