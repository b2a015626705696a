"""Conversations on disk, one per channel and user. A thread is a channel of its own for Discord."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from bot.errors import DiskError
from bot.events import Exchange
from bot.worker import Worker

T = TypeVar("T")
log = logging.getLogger(__name__)

RECALLED = 20
"""Exchanges of a conversation that a model is told again after a restart."""
KEPT = 200
"""Exchanges kept of one conversation; older ones are removed."""
LOCKED_S = 2.0
"""How long somebody else may hold the file."""
NOT_KEPT = "Conversations cannot be kept"
TABLE = """
CREATE TABLE IF NOT EXISTS exchange (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    channel INTEGER NOT NULL,
    user INTEGER NOT NULL,
    question TEXT NOT NULL,
    answer TEXT NOT NULL,
    interrupted INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS model (
    channel INTEGER NOT NULL,
    user INTEGER NOT NULL,
    name TEXT NOT NULL,
    PRIMARY KEY (channel, user)
);
CREATE INDEX IF NOT EXISTS of_conversation ON exchange (channel, user, id);
"""
TRIM = """
DELETE FROM exchange WHERE channel = :channel AND user = :user AND id <= (
    SELECT id FROM exchange WHERE channel = :channel AND user = :user ORDER BY id DESC LIMIT 1 OFFSET :kept)
"""


class History:
    """Methods raise DiskError; the next call tries again, so a lock that goes away is forgotten."""

    def __init__(self, path: Path | None, tasks: asyncio.TaskGroup) -> None:
        """None keeps nothing."""
        self._path = path
        self._tasks = tasks
        self._worker = Worker("history")
        self._connection: sqlite3.Connection | None = None
        self._writes: set[asyncio.Task[None]] = set()

    @property
    def kept(self) -> bool:
        return self._path is not None

    async def problem(self) -> str:
        """Why conversations are not kept, as a sentence; empty when all is well, or none are to be kept."""
        try:
            await self._run(lambda db: db.execute("SELECT 1 FROM exchange LIMIT 1").fetchall())
        except DiskError as error:
            return str(error)
        return ""

    async def recall(self, channel: int, user: int, limit: int = RECALLED) -> list[Exchange]:
        """The last ones, oldest first."""
        sql = (
            "SELECT question, answer, interrupted FROM exchange WHERE channel = ? AND user = ? ORDER BY id DESC LIMIT ?"
        )
        rows = await self._run(lambda db: db.execute(sql, (channel, user, limit)).fetchall()) or []
        return [Exchange(question, answer, bool(interrupted)) for question, answer, interrupted in reversed(rows)]

    async def count(self, channel: int, user: int) -> int:
        sql = "SELECT count(*) FROM exchange WHERE channel = ? AND user = ?"
        row = await self._run(lambda db: db.execute(sql, (channel, user)).fetchone())
        return int(row[0]) if row else 0

    async def chosen_model(self, channel: int, user: int) -> str:
        """Empty when none was chosen."""
        sql = "SELECT name FROM model WHERE channel = ? AND user = ?"
        row = await self._run(lambda db: db.execute(sql, (channel, user)).fetchone())
        return str(row[0]) if row else ""

    async def choose_model(self, channel: int, user: int, name: str) -> None:
        sql = "INSERT OR REPLACE INTO model (channel, user, name) VALUES (?, ?, ?)"
        await self._run(lambda db: db.execute(sql, (channel, user, name)).fetchall())

    def keep(self, channel: int, user: int, exchange: Exchange) -> None:
        """In the background; what goes wrong is logged."""
        task = self._tasks.create_task(self._keep(channel, user, exchange))
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)

    async def forget(self, channel: int, user: int) -> int:
        """Removes the conversation, from the disk too. Returns how many exchanges there were."""
        if self._writes:
            await asyncio.wait(self._writes)
        sql = "DELETE FROM exchange WHERE channel = ? AND user = ?"

        def delete(db: sqlite3.Connection) -> int:
            count = db.execute(sql, (channel, user)).rowcount
            # What was deleted is overwritten in the file (secure_delete); its copies in the log go with the log.
            busy, _, _ = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            if busy:
                raise sqlite3.OperationalError("database is locked")
            return count

        return await self._run(delete) or 0

    async def close(self) -> None:
        if self._writes:
            await asyncio.wait(self._writes)
        await self._worker.run(self._disconnect)
        self._worker.close()

    async def _keep(self, channel: int, user: int, exchange: Exchange) -> None:
        sql = "INSERT INTO exchange (channel, user, question, answer, interrupted) VALUES (?, ?, ?, ?, ?)"

        # Half characters, which JSON lets through, are no text for SQLite.
        question, answer = (text.encode("utf-8", "replace").decode() for text in (exchange.question, exchange.answer))

        def insert(db: sqlite3.Connection) -> None:
            db.execute(sql, (channel, user, question, answer, exchange.interrupted))
            db.execute(TRIM, {"channel": channel, "user": user, "kept": KEPT})

        try:
            await self._run(insert)
        except DiskError as error:
            log.warning("an answer was not kept: %s", error)
        except Exception:
            log.exception("a defect while an answer was kept")

    async def _run(self, work: Callable[[sqlite3.Connection], T]) -> T | None:
        """None when nothing is kept."""
        return await self._worker.run(self._with_connection, self._path, work) if self._path else None

    def _with_connection(self, path: Path, work: Callable[[sqlite3.Connection], T]) -> T:
        """On the worker's thread."""
        try:
            if self._connection is None:
                self._connection = _connect(path)
            return work(self._connection)
        except (sqlite3.Error, OSError) as error:
            self._disconnect()
            raise DiskError(_sentence(path, error)) from error

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _connect(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    # What people ask is nobody else's business; the files that SQLite puts beside it take the same rights.
    path.touch(mode=0o600)
    connection = sqlite3.connect(path, timeout=LOCKED_S, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA secure_delete=ON")
        connection.executescript(TABLE)
    except BaseException:
        connection.close()
        raise
    return connection


def _sentence(path: Path, error: Exception) -> str:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) or "locked" in str(error):
        return f"{NOT_KEPT}: another program holds {path}. End it, or set DISCORD_HISTORY to another file."
    if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
        return f"{NOT_KEPT}: {path} is damaged. Move it away, and a new one is begun."
    return f"{NOT_KEPT} in {path} ({error}). Set DISCORD_HISTORY to a file that can be written, or to off."
