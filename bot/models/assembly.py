"""Builds one file under FILE.part out of its pieces; it gets its name only when size and hash are right."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from bot.models.archive import Damaged
from bot.models.manifest import File
from bot.models.store import CHUNK


class Stopped(Exception):
    """The fetch was cancelled while a piece was being written."""


class Assembly:
    """All methods block; one worker calls them in order. After each piece the state is written beside the part, so a
    fetch that was killed goes on with the next piece."""

    def __init__(self, target: Path, file: File, source: str) -> None:
        self._target = target
        self._file = file
        self._source = source
        self._part = target.with_name(target.name + ".part")
        self._notes = target.with_name(target.name + ".part.json")
        self._digest = hashlib.sha256()
        self._size = 0
        self._pieces = 0
        self.stopped = False
        """Set from another thread to end `append` at the next chunk."""

    def resume(self) -> int:
        """Looks at what an earlier run left. Returns how many pieces are in already. Writes nothing: until the first
        new piece arrives, what another source has brought stays."""
        try:
            notes = json.loads(self._notes.read_text(encoding="utf-8"))
            usable = notes["source"] == self._source and 0 < notes["size"] <= self._part.stat().st_size
            self._pieces, self._size = (int(notes["pieces"]), int(notes["size"])) if usable else (0, 0)
        except (OSError, ValueError, KeyError, TypeError):
            self._pieces = self._size = 0
        if self._pieces:
            with self._part.open("rb") as stream:
                self._hash(stream, self._size)
        return self._pieces

    def append(self, chunks: Iterable[bytes]) -> None:
        """Raises Damaged when the file gets longer than it may, Stopped when it was told to stop."""
        self._target.parent.mkdir(parents=True, exist_ok=True)
        with self._part.open("ab") as stream:
            # Cuts off what a killed run wrote after its last whole piece.
            stream.truncate(self._size)
            for chunk in chunks:
                if self.stopped:
                    raise Stopped
                self._size += len(chunk)
                if self._size > self._file.size:
                    raise Damaged(f"{self._source} gives more than the {self._file.size} bytes of {self._name}.")
                self._digest.update(chunk)
                stream.write(chunk)
        self._pieces += 1
        notes = {"source": self._source, "pieces": self._pieces, "size": self._size}
        self._notes.write_text(json.dumps(notes), encoding="utf-8")

    def adopt(self, whole: Path) -> None:
        """Takes a file that came in one piece and needs no unpacking: it is moved, then hashed."""
        self._target.parent.mkdir(parents=True, exist_ok=True)
        self._notes.unlink(missing_ok=True)
        whole.replace(self._part)
        self._size = self._part.stat().st_size
        with self._part.open("rb") as stream:
            self._hash(stream, self._size)

    def finish(self) -> str:
        """Checks, then gives the file its name. Returns the sha256. Raises Damaged when it is not the right file;
        what was collected is then gone."""
        found = self._digest.hexdigest()
        if (self._size, found) != (self._file.size, self._file.sha256):
            self.discard()
            raise Damaged(
                f"{self._source} gives a {self._name} of {self._size} bytes with the hash {found[:12]}..., "
                f"not the known one of {self._file.size} bytes with {self._file.sha256[:12]}...: it is not used."
            )
        with self._part.open("r+b") as stream:
            # Without this a power cut could leave a file of the right name and size that is full of zeros.
            os.fsync(stream.fileno())
        self._part.replace(self._target)
        self._notes.unlink(missing_ok=True)
        return found

    def discard(self) -> None:
        for path in (self._notes, self._part):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)

    def _hash(self, stream: BinaryIO, size: int) -> None:
        self._digest = hashlib.sha256()
        while size > 0 and (chunk := stream.read(min(CHUNK, size))):
            if self.stopped:
                raise Stopped
            self._digest.update(chunk)
            size -= len(chunk)

    @property
    def _name(self) -> str:
        return self._target.name
