"""Who asked for what, when, with what result: JSON lines, rotated. Never contents of files, output or keys."""

from __future__ import annotations

import json
import logging
import os
import re
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path

from agent_wsl.errors import StateError

BYTES = 10 << 20
"""Of one file; five older ones are kept."""
LONGEST = 2000
"""Characters of a path or command."""
CHEAP = frozenset({"bad_request", "rate_limited"})
"""Refusals that nothing else limits: any number of them could be had, to push everything else out of the log."""
CHEAP_PER_MINUTE = 120
"""Of those, in all; the next entry says how many were left out before it."""
SECRET = re.compile(
    r"""(?ix)
    (?: (?<![a-z0-9]) (?: sk-[\w-]{8,} | gh[pousr]_\w{8,} | github_pat_\w{8,} | xox[abprs]-[\w-]{8,} | AKIA[A-Z0-9]{12,}
        | [\w-]{23,28}\.[\w-]{6,7}\.[\w-]{27,} ) )
    | (?<= bearer\s) \S+ | (?<= basic\s) \S+
    | (?<= ://) [^/\s@]+ (?= @)
    | (?P<name>
        (?: password | passwd | passphrase | token | secret | key | authorization ) ["']? \s? [=:] (?!:) \s? ["']?
            (?: (?: bearer | basic | token ) \s )?
        | -- [\w-]{0,40} (?: password | passwd | passphrase | token | secret | key ) \s ["']?
        | \s (?: -u | --user ) [\s=] [^\s:]{1,64} :
      ) [^\s"']+
    """
)
"""What looks like a key in a command line, whoever typed it."""
log = logging.getLogger(__name__)


class _Handler(RotatingFileHandler):
    def handleError(self, record: logging.LogRecord) -> None:
        raise  # called from emit's except clause

    def _open(self):  # type: ignore[no-untyped-def]
        return open(self.baseFilename, "a", encoding="utf-8", opener=lambda p, f: os.open(p, f | os.O_CLOEXEC, 0o600))


class Audit:
    def __init__(self, path: Path, secrets: Sequence[str], now: Callable[[], datetime] = lambda: datetime.now(UTC)):
        self._now = now
        # As it is, and as a shell's quotes would show it.
        self._secrets = [form for secret in secrets if secret for form in (secret, secret.replace("'", "'\"'\"'"))]
        self._lock = threading.Lock()
        self._broken = False
        self._minute = self._cheap = self._left_out = 0
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._handler = _Handler(path, maxBytes=BYTES, backupCount=5, encoding="utf-8")
        except OSError as error:
            raise StateError(
                f"The audit log {path} cannot be written ({error.strerror}): "
                "set AGENT_STATE_DIR to a folder of yours with room on its disk."
            ) from None

    def write(self, user: str, call: str, target: str, result: str, duration_s: float) -> bool:
        """Whether the entry is on disk (or with the operating system at least)."""
        now = self._now()
        left_out = self._counted(now, result)
        if left_out is None:
            return True
        entry = {
            "time": now.isoformat(timespec="milliseconds"),
            "user": user,
            "call": call,
            "target": self._clean(target),
            "result": result,
            "ms": round(duration_s * 1000, 1),
            **({"left_out": left_out} if left_out else {}),
        }
        record = logging.makeLogRecord({"msg": json.dumps(entry)})
        with self._lock:
            try:
                self._handler.emit(record)
            except OSError as error:
                if not self._broken:
                    log.error("The audit log cannot be written (%s): commands are refused until it can.", error)
                self._broken = True
                return False
            self._broken = False
        return True

    def _counted(self, now: datetime, result: str) -> int | None:
        """How many entries were left out before this one; None when it is to be left out itself."""
        minute = int(now.timestamp()) // 60
        with self._lock:
            if minute != self._minute:
                self._minute, self._cheap = minute, 0
            if result in CHEAP:
                self._cheap += 1
                if self._cheap > CHEAP_PER_MINUTE:
                    self._left_out += 1
                    return None
            left_out, self._left_out = self._left_out, 0
        return left_out

    def _clean(self, target: str) -> str:
        for secret in self._secrets:
            target = target.replace(secret, "***")
        target = SECRET.sub(lambda found: f"{found['name'] or ''}***", target)
        return target if len(target) <= LONGEST else f"{target[:LONGEST]} ... ({len(target)} characters)"

    def close(self) -> None:
        self._handler.close()
