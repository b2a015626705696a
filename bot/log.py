"""Logging for the console: one line each, no message text above DEBUG."""

from __future__ import annotations

import logging
import sys

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def start(level: str) -> None:
    """Called once, by `__main__`. Libraries are kept one level quieter than the bot."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(FORMAT, "%H:%M:%S"))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("bot").setLevel(level.upper())
    # py-cord shows a traceback for every voice connection that ends; `bot.chat.voice_link` says what it means.
    logging.getLogger("discord.voice").setLevel(logging.CRITICAL)
