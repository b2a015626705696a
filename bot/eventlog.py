"""Writes the session's events as JSON lines, for programs and tests."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Callable
from pathlib import Path

from bot.errors import DiskError
from bot.events import Event, TurnMetrics

log = logging.getLogger(__name__)


def to_line(event: Event, t: float) -> str:
    """`t` is in seconds since the session began."""
    fields = dataclasses.asdict(event)
    turn = fields.pop("turn")
    if isinstance(event, TurnMetrics):
        fields = dict(event.spans)
    return json.dumps({"t": round(t, 4), "turn": turn, "event": event.name, **fields}, ensure_ascii=False)


class EventLog:
    """An EventSink. A disk that fills up is said once in the log; the session goes on without the file."""

    def __init__(self, path: Path, elapsed: Callable[[], float]) -> None:
        self._elapsed = elapsed
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Line-buffered, so that a reader sees each event at once.
            self._file = path.open("w", encoding="utf-8", buffering=1)
        except OSError as error:
            raise DiskError(f"The events cannot be written to {path} ({error.strerror}); name another file.") from error
        self._broken = False

    def __call__(self, event: Event) -> None:
        if self._broken:
            return
        try:
            self._file.write(to_line(event, self._elapsed()) + "\n")
        except OSError as error:
            self._broken = True
            log.error("No more events are written to %s: %s.", self._path, error.strerror)

    def close(self) -> None:
        try:
            self._file.close()
        except OSError:
            log.warning("The last events could not be written to %s.", self._path)
