"""How commands are answered, and events that come twice are told. Imports py-cord."""

from __future__ import annotations

import logging
import re
from collections import OrderedDict
from typing import Any

from discord.ext import bridge

from bot.chat.marks import State
from bot.chat.outlet import trouble
from bot.errors import SidetoneError

log = logging.getLogger(__name__)

FAILED = "Something unexpected went wrong in this command; the log has the details."
QUOTED = re.compile(r"`[^`]*`|\"[^\"]*\"|'[^']*'|\(.*", re.DOTALL)
"""What a sentence may repeat of what was written; that is not for the log."""
SEEN = 1000
"""Events that are told from their repetitions."""


class MessageContext(bridge.BridgeExtContext):
    """Of `!x`. What is said to nobody else is a refusal: it is logged, and marked on the user's message."""

    async def _respond(self, *given: Any, **options: Any) -> Any:
        if options.get("ephemeral"):
            _log(self, given)
            self.bot.marker.ended(self.message, State.REFUSED)
        return await super()._respond(*given, **options)


class SlashContext(bridge.BridgeApplicationContext):
    """Of `/x`."""

    async def _respond(self, *given: Any, **options: Any) -> Any:
        if options.get("ephemeral"):
            _log(self, given)
        return await super()._respond(*given, **options)


def _log(ctx: Any, given: tuple[Any, ...]) -> None:
    sentence = QUOTED.sub("…", str(given[0]) if given else "")
    log.warning("%s was refused: %s", ctx.command or "what is no command", sentence)


async def fail(ctx: Any, error: BaseException) -> None:
    """Says why a command came to nothing, if Discord lets the bot."""
    sentence = str(error) if isinstance(error, SidetoneError) else trouble(error)
    if sentence:
        log.warning("%s failed: %s", ctx.command, sentence)
    else:
        sentence = FAILED
        log.error("a defect in a command", exc_info=error)
    if isinstance(ctx, MessageContext):
        ctx.bot.marker.of(ctx.message).set(State.FAILED)
    try:
        await ctx.respond(sentence)
    except Exception as again:
        log.info("that could not be said: %s", trouble(again) or type(again).__name__)


class Repetitions:
    """Discord may repeat events when a connection is taken up again."""

    def __init__(self) -> None:
        self._seen: OrderedDict[int, None] = OrderedDict()

    def __call__(self, event: int) -> bool:
        """Whether it came before."""
        if event in self._seen:
            return True
        self._seen[event] = None
        if len(self._seen) > SEEN:
            self._seen.popitem(last=False)
        return False
