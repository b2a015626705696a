"""Who may do what, and how often."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from bot.chat.access import Person, may, no_approver, no_runner, no_talker
from bot.chat.limits import Limits, TooMany
from tests.virtual_clock import run_virtual

OWNER, SOMEBODY, ROLE = 1, 2, 9


def person(user: int, *roles: int, owner: int | None = OWNER) -> Person:
    return Person(user, roles, owner)


def test_an_empty_list_is_the_owner() -> None:
    assert may(person(OWNER), frozenset())
    assert not may(person(SOMEBODY, ROLE), frozenset())
    assert not may(person(0, owner=None), frozenset()), "in a private chat there is no owner"


def test_a_list_names_users_and_roles_and_nobody_else() -> None:
    assert may(person(SOMEBODY), {SOMEBODY})
    assert may(person(SOMEBODY, 5, ROLE), {ROLE})
    assert not may(person(OWNER), {SOMEBODY})
    assert may(person(SOMEBODY, owner=None), {SOMEBODY})
    assert not may(person(SOMEBODY, owner=None), {ROLE}), "nobody has roles in a private chat"


@pytest.mark.parametrize(
    ("why_not", "name"),
    [(no_talker, "DISCORD_ALLOWED_USERS"), (no_runner, "DISCORD_RUNNERS"), (no_approver, "DISCORD_APPROVERS")],
)
def test_a_refusal_says_who_is_to_be_added_where(why_not: Callable[[Person, frozenset[int]], str], name: str) -> None:
    assert why_not(person(OWNER), frozenset()) == ""
    for listed in (frozenset[int](), frozenset({ROLE})):
        assert f"can add {SOMEBODY}, or one of your roles, to {name}." in why_not(person(SOMEBODY), listed)


def test_a_private_chat_is_named_and_no_role_promised() -> None:
    said = no_talker(person(SOMEBODY, owner=None), frozenset())
    assert said.startswith("In private chats")
    assert "role" not in said


def test_a_minute_holds_so_many_and_a_refusal_is_said_once() -> None:
    async def scenario() -> list[TooMany | None]:
        limits = Limits(commands=3, questions=0)
        await asyncio.sleep(100)
        found = [limits.command(1) for _ in range(3)]
        assert limits.command(2) is None, "one user's haste is another's hindrance"
        assert all(limits.question(1) is None for _ in range(50)), "there is no limit"
        await asyncio.sleep(20)
        found += [limits.command(1), limits.command(1)]
        await asyncio.sleep(41)
        found += [limits.command(1) for _ in range(4)]
        return found

    first = TooMany("I take 3 commands a minute from one person. Try again in 40 s.", False)
    found = run_virtual(scenario())
    assert found[:4] == [None, None, None, first]
    assert found[4] == TooMany(first.sentence, True)
    assert found[5:8] == [None, None, None]
    assert found[8] is not None and not found[8].said, "the next minute's refusal is a new one"
