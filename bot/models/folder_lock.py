"""One fetch at a time in a model folder. The operating system drops the lock when its holder dies, so none is stale."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import BinaryIO

FAR = 1 << 30
"""The locked byte. On Windows a locked byte cannot be read, and the holder's number at the start should be."""
ASK_AGAIN_S = 0.5


@asynccontextmanager
async def locked(path: Path, waiting: Callable[[str], None]) -> AsyncIterator[None]:
    """Waits for another holder; `waiting` is then told once who it is."""
    told = False
    with path.open("a+b") as stream:
        while not _try(stream):
            if not told:
                told = True
                waiting(_holder(path))
            await asyncio.sleep(ASK_AGAIN_S)
        try:
            stream.truncate(0)
            stream.write(str(os.getpid()).encode())
            stream.flush()
            yield
        finally:
            _release(stream)


def _holder(path: Path) -> str:
    with contextlib.suppress(OSError):
        number = path.read_bytes()[:20].decode(errors="replace").strip()
        if number.isdigit():
            return f"process {number}"
    return "another process"


if sys.platform == "win32":
    import msvcrt

    def _try(stream: BinaryIO) -> bool:
        stream.seek(FAR)
        try:
            msvcrt.locking(stream.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _release(stream: BinaryIO) -> None:
        stream.seek(FAR)
        msvcrt.locking(stream.fileno(), msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _try(stream: BinaryIO) -> bool:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _release(stream: BinaryIO) -> None:
        fcntl.flock(stream, fcntl.LOCK_UN)
