"""Runs a program, hands on its lines as they come, and leaves none of its processes behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

LINE_LIMIT = 1 << 20
KEPT_LINES = 200


@dataclass(frozen=True, slots=True)
class Ended:
    code: int
    output: str
    """The last lines of stdout and stderr together."""


async def run(
    arguments: Sequence[str],
    *,
    folder: Path,
    extra: Mapping[str, str] | None = None,
    line: Callable[[str], None] = lambda text: None,
) -> Ended:
    """Runs in `folder`, with `extra` added to the environment. A cancelled run kills the program and its children.
    Raises OSError when it cannot be started."""
    process = await asyncio.create_subprocess_exec(
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=folder,
        env={**os.environ.copy(), "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8", **(extra or {})},
        limit=LINE_LIMIT,
    )
    assert process.stdout is not None  # noqa: S101  (it was asked for above)
    kept: deque[str] = deque(maxlen=KEPT_LINES)
    try:
        async for raw in process.stdout:
            text = raw.decode("utf-8", errors="replace").rstrip()
            kept.append(text)
            line(text)
        code = await process.wait()
    finally:
        if process.returncode is None:
            _kill(process.pid)
            await process.wait()
    return Ended(code, "\n".join(kept))


def _kill(pid: int) -> None:
    """With all below it: npm is a script that starts node."""
    import psutil

    with contextlib.suppress(psutil.Error):
        top = psutil.Process(pid)
        for process in [*top.children(recursive=True), top]:
            with contextlib.suppress(psutil.Error):
                process.kill()
