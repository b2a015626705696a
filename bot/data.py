"""`python -m bot data`: what Sidetone keeps on this machine, where and how large; `--erase` removes it."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from bot.config import PROJECT, Settings
from bot.console import make_console, size
from bot.errors import ConfigError, DiskError

WORD = "erase"
KEPT = 1
"""Exit code when nothing was removed because nobody confirmed."""
LOGS = ("*.log", "*.log.*", "*.jsonl", "*.jsonl.*", "*.lock", "agent.wsl.pid")


@dataclass(frozen=True, slots=True)
class Kept:
    what: str
    where: Path
    paths: tuple[Path, ...]
    """Files and folders that belong to it; nothing else is ever removed."""

    @property
    def bytes(self) -> int:
        return sum(_bytes(path) for path in self.paths)


def run(settings: Settings, models: Sequence[Path], *, erase: bool) -> int:
    """`models`: the files and folders that fetching may have made in the model folder. Raises ConfigError while the bot
    or the agent runs in the background, and DiskError for what cannot be removed."""
    console = make_console()
    places = kept(settings, models)
    table = Table(title="What Sidetone keeps on this machine", title_justify="left")
    for heading in ("what", "where"):
        table.add_column(heading, overflow="fold")
    table.add_column("size", justify="right", no_wrap=True)
    for place in places:
        table.add_row(place.what, str(place.where), size(place.bytes))
    table.add_section()
    table.add_row("together", "", size(sum(place.bytes for place in places)))
    console.print(table)
    console.print(
        f"Not among them: .env with your keys, and the installed packages (.venv, .venv-agent), in {PROJECT}; "
        "what --debug-audio recorded, where you put it. Remove them by hand.",
        markup=False,
    )
    if not erase:
        return 0
    if running := [name for name in ("bot", "agent") if (settings.data / f"{name}.pid").exists()]:
        raise ConfigError(f"The {' and the '.join(running)} may be running: first `just stop-all`, then erase again.")
    console.print(f'All of this is removed for good. Type "{WORD}" to go on: ', end="")
    console.file.flush()
    if sys.stdin.readline().strip() != WORD:
        console.print("Nothing was removed.")
        return KEPT
    freed = sum(place.bytes for place in places)
    remove(path for place in places for path in place.paths)
    console.print(f"Removed: {size(freed)}.")
    return 0


def kept(settings: Settings, models: Sequence[Path]) -> list[Kept]:
    history, data = settings.discord.history, settings.data
    conversations = [Path(f"{history}{suffix}") for suffix in ("", "-wal", "-shm", "-journal")] if history else []
    logs = [path for pattern in LOGS for path in data.glob(pattern)]
    folder = settings.models.folder
    return [
        Kept("conversations", history or data, _own(conversations)),
        Kept("logs", data, _own([*logs, *_setup_logs(data)])),
        Kept("the agent's audit log and output", data / "agent", _own([data / "agent"])),
        Kept("spoken replies of run.py", PROJECT / "replies", _own([PROJECT / "replies"])),
        Kept("models", folder, _own(path for path in models if not _through_a_link(path, folder))),
    ]


def remove(paths: Iterable[Path]) -> None:
    """What is gone already is fine. Folders that are left empty go as well. Raises DiskError."""
    for path in paths:
        try:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        except OSError as error:
            raise DiskError(
                f"{error.filename or path} cannot be removed ({error.strerror}). End what uses it, then erase again."
            ) from error
        with suppress(OSError):
            # Refuses unless it is empty.
            path.parent.rmdir()


def _setup_logs(data: Path) -> list[Path]:
    """run.py keeps its log in the project, whatever DATA_DIR says."""
    return [] if data == PROJECT / "logs" else [PROJECT / "logs" / "setup.log"]


def _own(paths: Iterable[Path]) -> tuple[Path, ...]:
    return tuple(dict.fromkeys(path for path in paths if path.exists() or path.is_symlink()))


def _through_a_link(path: Path, folder: Path) -> bool:
    """Whether it lies elsewhere in truth, and may belong to others as well."""
    return any(each.is_symlink() for each in (path, *path.parents) if each == folder or folder in each.parents)


def _bytes(path: Path) -> int:
    with suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            return sum(_bytes(each) for each in path.iterdir())
        return path.lstat().st_size
    return 0
