"""Logging: lines for people on stderr, JSON lines for programs in a rotating file. No secrets in either, and no text of
a message above DEBUG, which is for those who log."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path
from urllib.parse import quote

from bot.masking import HIDDEN, Mask

FILE_BYTES = 5_000_000
FILES_KEPT = 4
"""Beside the one that is written."""
SHORTEST_SECRET = 4
"""What is shorter would mask parts of ordinary words."""
_turn: ContextVar[str] = ContextVar("turn", default="")


@contextmanager
def turn_named(name: str) -> Iterator[None]:
    """Every line in here, in tasks and workers that begin in here too, bears `name`: "voice-3", "text-12"."""
    token = _turn.set(name)
    try:
        yield
    finally:
        _turn.reset(token)


def masking(secrets: Sequence[str]) -> Callable[[str], str]:
    """Takes the secrets out of a text, also as they stand in URLs, and pieces of the longer ones."""
    pieces = Mask(secrets)
    known = [secret for secret in secrets if len(secret) >= SHORTEST_SECRET]
    # The longest first, for one may be a part of another.
    forms = sorted({form for secret in known for form in (secret, quote(secret, safe=""))}, key=len, reverse=True)

    def mask(text: str) -> str:
        for form in forms:
            text = text.replace(form, HIDDEN)
        return pieces(text)

    return mask


class PlainLines(logging.Formatter):
    """For a terminal or a pipe. The mask goes over all of it, tracebacks included."""

    def __init__(self, mask: Callable[[str], str], *, bare: bool = False) -> None:
        """`bare`: without time and level, which rich's handler shows by itself."""
        super().__init__("%(name)s: %(message)s" if bare else "%(asctime)s %(levelname)s %(name)s: %(message)s", "%X")
        self._mask = mask

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        return self._mask(f"[{name}] {text}" if (name := _turn.get()) else text)


class JsonLines(logging.Formatter):
    def __init__(self, mask: Callable[[str], str]) -> None:
        super().__init__()
        self._mask = mask

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "t": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "turn": _turn.get(),
            "thread": record.threadName,
            "message": self._mask(record.getMessage()),
        }
        if record.exc_info:
            line["error"] = self._mask(self.formatException(record.exc_info))
        return json.dumps({name: value for name, value in line.items() if value}, ensure_ascii=False)


class JsonFile(RotatingFileHandler):
    """A disk that fills up costs lines, never the bot; it is said once."""

    _failed = False

    def handleError(self, record: logging.LogRecord) -> None:
        if not self._failed:
            self._failed = True
            sys.stderr.write(f"sidetone: the log {self.baseFilename} cannot be written: {sys.exc_info()[1]}\n")


def start(level: str, *, secrets: Sequence[str] = (), file: Path | None = None) -> None:
    """Called once, by `__main__`. `level` is for the console; the file takes INFO as well. Libraries are kept quieter
    than the bot."""
    mask = masking(secrets)
    wanted = logging.getLevelNamesMapping()[level.upper()]
    console = _console(mask)
    console.setLevel(wanted)
    root = logging.getLogger()
    root.handlers = [console]
    root.setLevel(logging.WARNING)
    if file:
        try:
            root.addHandler(_json_file(file, mask))
        except OSError as error:
            logging.getLogger(__name__).warning("No log is kept in %s: %s.", file, error.strerror)
    logging.getLogger("bot").setLevel(min(wanted, logging.INFO) if file else wanted)
    # py-cord shows a traceback for every voice connection that ends; `bot.chat.voice_link` says what it means.
    logging.getLogger("discord.voice").setLevel(logging.CRITICAL)


def _console(mask: Callable[[str], str]) -> logging.Handler:
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.logging import RichHandler

        # Markup and highlighting would colour what others wrote.
        rich = RichHandler(console=Console(stderr=True, soft_wrap=True), show_path=False, log_time_format="%X")
        rich.highlighter = None  # type: ignore[assignment]
        rich.setFormatter(PlainLines(mask, bare=True))
        return rich
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(PlainLines(mask))
    return handler


def _json_file(path: Path, mask: Callable[[str], str]) -> logging.Handler:
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = JsonFile(path, maxBytes=FILE_BYTES, backupCount=FILES_KEPT, encoding="utf-8", errors="replace")
    handler.setFormatter(JsonLines(mask))
    return handler
