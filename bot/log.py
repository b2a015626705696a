"""Logging for the console: one line each, no message text above DEBUG."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable

from bot.masking import Mask

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class MaskedFormatter(logging.Formatter):
    def __init__(self, secrets: Iterable[str]) -> None:
        super().__init__(FORMAT, "%H:%M:%S")
        self._mask = Mask(secrets)

    def format(self, record: logging.LogRecord) -> str:
        """With tracebacks, which may quote anything."""
        return self._mask(super().format(record))


def start(level: str, secrets: Iterable[str] = ()) -> None:
    """Called once, by `__main__`. Libraries are kept one level quieter than the bot."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(MaskedFormatter(secrets))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("bot").setLevel(level.upper())
    # py-cord shows a traceback for every voice connection that ends; `bot.chat.voice_link` says what it means.
    logging.getLogger("discord.voice").setLevel(logging.CRITICAL)
