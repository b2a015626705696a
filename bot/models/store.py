"""What lies in the model folder, and whether it is whole. A hash is computed once and remembered with a stamp."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable
from enum import Enum
from pathlib import Path

from bot.models.manifest import File

CHUNK = 1 << 20
"""Bytes read at a time."""
WORK = ".fetch"
"""Folder for all that is temporary, beside the models: on the same disk, so that a rename is enough at the end."""


class State(Enum):
    WHOLE = "whole"
    """Hashed on this machine, and unchanged since by size and time."""
    UNCHECKED = "unchecked"
    """Has its size, but was never hashed here."""
    DAMAGED = "damaged"
    MISSING = "missing"


class Store:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.work = folder / WORK
        self._stamps_file = self.work / "stamps.json"
        self._stamps = self._read_stamps()

    def path(self, file: File) -> Path:
        return self.folder / file.path

    def state(self, file: File) -> State:
        """Without reading the file."""
        try:
            found = self.path(file).stat()
        except OSError:
            return State.MISSING
        if found.st_size != file.size:
            return State.DAMAGED
        size, time_ns, sha256 = self._stamps.get(file.path, (0, 0, ""))
        if (size, time_ns) != (found.st_size, found.st_mtime_ns):
            return State.UNCHECKED
        return State.WHOLE if sha256 == file.sha256 else State.DAMAGED

    def verify(self, file: File, seen: Callable[[int], None] = lambda count: None) -> State:
        """Reads and hashes the whole file. Blocks for up to seconds; `seen` gets the bytes of each chunk."""
        state = self.state(file)
        if state is State.MISSING:
            return state
        self.stamp(file, sha256(self.path(file), seen))
        return self.state(file)

    def stamp(self, file: File, digest: str) -> None:
        """Remembers what the file at its place hashed to."""
        found = self.path(file).stat()
        self._stamps = self._read_stamps() | {file.path: (found.st_size, found.st_mtime_ns, digest)}
        # A folder that cannot be written costs only the memory: the next check hashes again.
        with contextlib.suppress(OSError):
            self.work.mkdir(parents=True, exist_ok=True)
            new = self._stamps_file.with_name(f"stamps-{os.getpid()}.json")
            new.write_text(json.dumps(self._stamps, indent=1), encoding="utf-8")
            new.replace(self._stamps_file)

    def _read_stamps(self) -> dict[str, tuple[int, int, str]]:
        try:
            found = json.loads(self._stamps_file.read_text(encoding="utf-8"))
            return {path: (int(size), int(time_ns), str(sha)) for path, (size, time_ns, sha) in found.items()}
        except (OSError, ValueError, AttributeError, TypeError):
            return {}


def sha256(path: Path, seen: Callable[[int], None] = lambda count: None) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
            seen(len(chunk))
    return digest.hexdigest()
