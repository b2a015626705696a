"""Shows how far a fetch is: a bar on a terminal, else a line for every tenth."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from bot.console import make_console, size


class FetchProgress:
    """Bytes of finished files and of downloads under way, each under a key of its own."""

    def __init__(self, console: Console | None = None, doing: str = "fetching", *, lines: bool = True) -> None:
        self._console = console or make_console()
        self._doing = doing
        self._lines = lines and not self._console.is_terminal
        self._done: dict[str, float] = {}
        self._total = 0
        self._tenth = 0
        self._bar = Progress(
            TextColumn(doing),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
            transient=True,
        )
        self._task = self._bar.add_task("fetch", total=None)

    def __enter__(self) -> FetchProgress:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def total(self, count: int) -> None:
        """Bytes that are to be fetched in all."""
        self._total = count
        self._done.clear()
        self._tenth = 0
        self._bar.update(self._task, total=count)

    def at(self, key: str, count: float) -> None:
        """`count` bytes of what is called `key` are there. A source that fails sets its keys back to 0."""
        self._done[key] = count
        done = min(self._total, int(sum(self._done.values())))
        self._bar.update(self._task, completed=done)
        tenth = done * 10 // max(1, self._total)
        if self._lines and tenth > self._tenth:
            self._tenth = tenth
            self._console.print(f"{self._doing}: {size(done)} of {size(self._total)}")

    def say(self, text: str) -> None:
        self._console.print(text)
