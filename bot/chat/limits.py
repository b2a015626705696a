"""How much one person may ask for in a minute. py-cord's cooldowns on the loop's clock."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from discord.ext.commands import CooldownMapping

MINUTE_S = 60.0


@dataclass(frozen=True, slots=True)
class TooMany:
    sentence: str
    """For the user, with the seconds to wait."""
    said: bool
    """They have been told already, and are told no more until the time is over."""


class Limits:
    """Each method counts one, and gives nothing when that is within the limit."""

    def __init__(self, *, commands: int, questions: int) -> None:
        """Per user and minute; 0 for no limit. A question counts as a command as well."""
        self._commands = _Limit(commands, "commands")
        self._questions = _Limit(questions, "questions")

    def command(self, user: int) -> TooMany | None:
        return self._commands.take(user)

    def question(self, user: int) -> TooMany | None:
        return self._questions.take(user)


class _Limit:
    def __init__(self, per_minute: int, what: str) -> None:
        self._what = what
        self._per_minute = per_minute
        by_user: Callable[[Any], int] = lambda user: user  # noqa: E731 - the library asks for a key function
        self._used: CooldownMapping = CooldownMapping.from_cooldown(per_minute, MINUTE_S, by_user)
        self._told: dict[int, float] = {}
        """Until when a user knows, in the loop's time."""

    def take(self, user: int) -> TooMany | None:
        if not self._per_minute:
            return None
        now = asyncio.get_running_loop().time()
        wait = self._used.update_rate_limit(cast("Any", user), now)
        if wait is None:
            return None
        self._told = {each: until for each, until in self._told.items() if until > now}
        said = user in self._told
        self._told[user] = now + wait
        seconds = max(1, math.ceil(wait))
        sentence = f"I take {self._per_minute} {self._what} a minute from one person. Try again in {seconds} s."
        return TooMany(sentence, said)
