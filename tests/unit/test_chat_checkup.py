"""What the doctor makes of the answers that Discord gives."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import discord

from bot.chat.checkup import Place, Server, Standing, judge
from bot.chat.invitation import FOR_ALL, FOR_TEXT, link, missing
from bot.checks import Check

ALL = discord.Permissions(**dict.fromkeys(FOR_ALL, True))
NONE = discord.Permissions.none()
HOME = Server("Home", "Sidetone", ALL, (Place("general", False, ALL), Place("talk", True, ALL)))
WELL = Standing("sidetone", 17, True, (HOME,))


def without(*names: str) -> discord.Permissions:
    found = discord.Permissions(ALL.value)
    found.update(**dict.fromkeys(names, False))
    return found


def rows(standing: Standing) -> dict[str, Check]:
    return {check.what: check for check in judge(standing)}


def test_the_link_asks_for_what_is_needed_and_for_nothing_else() -> None:
    query = parse_qs(urlsplit(link(17)).query)
    asked = discord.Permissions(int(query["permissions"][0]))
    assert {name for name, given in asked if given} == {*FOR_ALL}
    assert (query["client_id"], query["scope"]) == (["17"], ["bot applications.commands"])


def test_what_follows_from_something_missing_is_not_listed_beside_it() -> None:
    assert missing(ALL, FOR_ALL) == []
    assert missing(NONE, FOR_TEXT) == ["View Channel"]
    assert missing(without("send_messages", "embed_links", "attach_files"), FOR_TEXT) == ["Send Messages"]
    assert missing(without("add_reactions", "speak"), FOR_ALL) == ["Add Reactions", "Speak"]


def test_all_is_well() -> None:
    assert {check.state for check in judge(WELL)} == {"ok"}


def test_no_server_and_no_intent() -> None:
    found = rows(replace(WELL, servers=(), reads_messages=False))
    assert found["Discord servers"].state == found["Discord intent"].state == "fail"
    assert found["Discord servers"].link == link(17)


def test_what_the_server_lacks_is_not_said_again_for_each_channel() -> None:
    less = without("speak")
    places = (Place("general", False, less), Place("talk", True, less))
    found = rows(replace(WELL, servers=(replace(HOME, allowed=less, places=places),)))
    assert found["Home: permissions"].state == "fail"
    assert found["Home: voice channels"].state == "ok"


def test_channels_with_the_same_fault_are_named_together_and_not_without_end() -> None:
    mute = without("send_messages", "embed_links", "attach_files")
    places = tuple(Place(f"c{n}", False, mute) for n in range(6))
    hidden = Place("hidden", False, NONE)
    found = rows(replace(WELL, servers=(replace(HOME, places=(*places, hidden, *HOME.places)),)))
    check = found["Home: text channels"]
    assert (check.state, check.found) == ("warn", "1 of 8 usable; 1 hidden from it")
    assert "allow Send Messages in #c0, #c1, #c2, #c3 and 2 more." in check.fix


def test_a_server_in_which_the_bot_sees_nothing() -> None:
    blind = replace(HOME, places=(Place("general", False, NONE),))
    check = rows(replace(WELL, servers=(blind,)))["Home: text channels"]
    assert check.state == "fail"
    assert "allow View Channel." in check.fix
