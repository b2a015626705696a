"""What `talk` and `ask` show in a terminal: the start-up table, a level meter, the conversation as it goes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bot.events import (
    EngineInfo,
    Event,
    Failed,
    Interrupted,
    Ready,
    ReplyDelta,
    ReplyDone,
    SoundRecorded,
    SpeechStarted,
    Transcribed,
    TurnMetrics,
    Waiting,
)

METER_STEPS = 20
METER_FLOOR_DB = -60.0


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """rich would end the process in the middle of things; `__main__` ends it in order."""
        raise BrokenPipeError("nobody reads the output any more")


def make_console() -> Console:
    """Never fails on a character that the terminal's code page lacks (a piped Windows console is cp1252)."""
    console = _Console(highlight=False, soft_wrap=True)
    stream = console.file
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="replace")
    return console


def size(count: int) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def engines_table(engines: Sequence[EngineInfo], seconds: float) -> Table:
    table = Table(title=f"Engines, loaded and warmed up in {seconds:.1f} s", title_justify="left")
    for heading in ("stage", "file", "device"):
        table.add_column(heading, overflow="fold")
    vram = any(e.vram_bytes for e in engines)
    for heading in ("size", "load", "memory", *(["VRAM"] * vram)):
        table.add_column(heading, justify="right", no_wrap=True)
    for e in engines:
        figures = (size(e.size_bytes), f"{e.load_s:.2f} s", size(e.memory_bytes), *([size(e.vram_bytes)] * vram))
        table.add_row(e.stage.upper(), Path(e.file).name, e.device, *figures)
    table.add_section()
    total = (size(sum(e.size_bytes for e in engines)), "", size(sum(e.memory_bytes for e in engines)))
    table.add_row("", "together", "", *total, *([size(sum(e.vram_bytes for e in engines))] * vram))
    # They load side by side, so what each took is told apart by when it was taken: about right, and right in sum.
    return table


def meter(dbfs: float) -> str:
    """A bar for a level of -60 dBFS (empty) to 0 dBFS (full)."""
    filled = round(METER_STEPS * max(0.0, min(1.0, 1 - dbfs / METER_FLOOR_DB)))
    return "#" * filled + "-" * (METER_STEPS - filled)


class TalkConsole:
    """An EventSink that prints. On a terminal the last line shows the input level while nobody is answering."""

    def __init__(self, console: Console, *, spoken_to: str) -> None:
        self._console = console
        self._spoken_to = spoken_to
        self._mid_line = False
        self._meter_shown = False
        self._answering = False

    def __call__(self, event: Event) -> None:
        match event:
            case Ready():
                self._line(f"Speak now ({self._spoken_to}). Ctrl-C ends.", "bold green")
            case SoundRecorded(folder=folder):
                self._line(f"This conversation's sound is recorded in {folder} (--debug-audio).", "bold yellow")
            case SpeechStarted():
                self._level_off()
            case Transcribed(text=text, dropped=dropped):
                self._heard(text, dropped)
            case ReplyDelta(text=text):
                self._delta(text)
            case ReplyDone():
                self._end_line()
            case Interrupted(heard=heard):
                said = f"(you cut in; heard up to: {heard!r})" if heard else "(you spoke on; answering anew)"
                self._line(said, "yellow")
            case Waiting(message=message) | Failed(message=message):
                self._line(message, "red" if isinstance(event, Failed) else "yellow")
            case TurnMetrics(spans=spans) if "total_ms" in spans:
                self._line(f"(first sound {spans['total_ms'] / 1000:.2f} s after your last word)", "dim")

    def level(self, dbfs: float) -> None:
        """Redraws the meter; called a few times a second."""
        if self._console.is_terminal and not self._mid_line:
            self._console.file.write(f"\r  mic [{meter(dbfs)}] {dbfs:6.1f} dBFS ")
            self._console.file.flush()
            self._meter_shown = True

    def note(self, text: str) -> None:
        self._line(text, "yellow")

    def _heard(self, text: str, dropped: str) -> None:
        if text:
            self._line(f"You: {text}", "bold cyan")
        else:
            self._line(f"(not answered: {dropped})", "dim")

    def _delta(self, text: str) -> None:
        self._level_off()
        if not self._mid_line:
            self._console.print(Text("Sidetone: ", "bold magenta"), end="")
            self._mid_line = True
        self._console.print(Text(text), end="")

    def _line(self, text: str, style: str) -> None:
        self._end_line()
        self._console.print(Text(text, style))

    def _end_line(self) -> None:
        self._level_off()
        if self._mid_line:
            self._console.print()
            self._mid_line = False

    def _level_off(self) -> None:
        if self._meter_shown:
            self._console.file.write("\r" + " " * 50 + "\r")
            self._meter_shown = False


def written(console: Console, path: Path) -> None:
    console.print(f"What was played is in {path}.", markup=False)
