"""An event that py-cord cannot read costs that event, and not the connection and with it the bot. Imports py-cord."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

import discord

log = logging.getLogger(__name__)

Parser = Callable[[Any], None]


def guard_events(bot: discord.Client) -> None:
    """Before the log-in. In place: the gateway's connection takes its parsers from the same mapping."""
    parsers: dict[str, Parser] = bot._connection.parsers
    for name, parse in parsers.items():
        parsers[name] = partial(_guarded, name, parse)


def _guarded(name: str, parse: Parser, data: Any) -> None:
    try:
        parse(data)
    except Exception as error:
        log.warning("an event of Discord's was not understood and is left out: %s (%s)", name, type(error).__name__)
