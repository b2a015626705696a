"""Runs a long command: its output goes to a log, the screen shows that it lives, Ctrl-C ends all of it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import BinaryIO

INTERRUPTED = 130
POLL_S = 0.2
SAY_EVERY_S = 20.0
"""Between two lines in a log, where there is no terminal to redraw a line on."""
TAIL = 200_000
"""Bytes of a command's output that are read again to explain a failure."""


class SetupError(Exception):
    """One sentence for the user, and the exit code."""

    def __init__(self, sentence: str, code: int) -> None:
        super().__init__(sentence)
        self.code = code


class Failed(Exception):
    """The command ended with an error; `output` is the end of what it printed."""

    def __init__(self, code: int, output: str) -> None:
        super().__init__(code)
        self.code = code
        self.output = output


class LiveLine:
    """What is being done and for how long: one changing line on a terminal, a line now and then in a log."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._began = self._said = time.monotonic()
        self._terminal = sys.stdout.isatty()
        if not self._terminal:
            say(f"{title} ...")

    def show(self, doing: str) -> None:
        now = time.monotonic()
        if self._terminal:
            self._redraw(f"{self._title} ... {elapsed(now - self._began)}  {doing}")
        elif now - self._said >= SAY_EVERY_S:
            self._said = now
            say(f"  {elapsed(now - self._began)}  {doing}")

    def end(self, result: str) -> None:
        took = elapsed(time.monotonic() - self._began)
        if self._terminal:
            self._redraw(f"{self._title}: {result} ({took})")
            say("")
        else:
            say(f"  {result} ({took})")

    def _redraw(self, text: str) -> None:
        width = shutil.get_terminal_size().columns - 1
        sys.stdout.write("\r" + text[:width].ljust(width))
        sys.stdout.flush()


def say(text: str) -> None:
    print(text, flush=True)


def elapsed(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def run(
    title: str,
    command: Sequence[str],
    log: BinaryIO,
    env: Mapping[str, str] | None = None,
    describe: Callable[[str], str | None] | None = None,
) -> None:
    """Raises Failed. `describe` makes a line of output into what is shown; None keeps what was shown before."""
    line = LiveLine(title)
    log.write(f"\n$ {' '.join(command)}\n".encode())
    log.flush()
    path, start = Path(log.name), os.fstat(log.fileno()).st_size
    child = start_group(command, env, log.fileno())
    try:
        code = follow(child, path, start, line, describe)
    except BaseException:
        stop(child)
        line.end("interrupted")
        raise
    if code:
        line.end("failed")
        raise Failed(code, tail(path, start))
    line.end("done")


def start_group(command: Sequence[str], env: Mapping[str, str] | None, output: int) -> subprocess.Popen[bytes]:
    """In a group of its own: Ctrl-C reaches us alone, and we end the compiler's whole family, not just its head."""
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        env=env,
        start_new_session=os.name != "nt",
        creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
    )


def follow(
    child: subprocess.Popen[bytes],
    log: Path,
    start: int,
    line: LiveLine,
    describe: Callable[[str], str | None] | None,
) -> int:
    """Reads what the log grows by until the child ends. The exit code."""
    doing, rest = "", b""
    with log.open("rb") as source:
        source.seek(start)
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                return child.wait(POLL_S)
            *lines, rest = (rest + source.read()).replace(b"\r", b"\n").split(b"\n")
            for text in lines:
                doing = (describe and describe(text.decode("utf-8", "replace"))) or doing
            line.show(doing)


def tail(log: Path, start: int) -> str:
    with log.open("rb") as source:
        size = source.seek(0, os.SEEK_END)
        source.seek(max(start, size - TAIL))
        return source.read().decode("utf-8", "replace")


def stop(child: subprocess.Popen[bytes]) -> None:
    """Asks, then asks harder, then kills; the children's children too."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        if os.name == "nt":
            subprocess.run(["taskkill", "/T", "/F", "/PID", str(child.pid)], capture_output=True, check=False)
            child.wait()
            return
        for number, patience_s in ((signal.SIGINT, 5.0), (signal.SIGTERM, 3.0), (signal.SIGKILL, 3.0)):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(child.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(patience_s)
                break
        # The head is gone; what it started may have been deaf to the first request.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
    finally:
        signal.signal(signal.SIGINT, before)


def in_foreground(command: Sequence[str], env: Mapping[str, str]) -> int:
    """A command that shows its own progress. Its exit code; Ctrl-C reaches it by itself and is waited for."""
    child = subprocess.Popen(command, env=env)
    try:
        return child.wait()
    except KeyboardInterrupt:
        for number in (None, signal.SIGTERM, getattr(signal, "SIGKILL", signal.SIGTERM)):
            if number is not None:
                child.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(2.0)
                break
        raise


@contextlib.contextmanager
def reporting() -> Iterator[None]:
    """Around a whole script: failures and interruptions end in one sentence and an exit code."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    for name in ("SIGTERM", "SIGHUP", "SIGBREAK"):
        # One that is ignored already (nohup) stays so.
        if hasattr(signal, name) and signal.getsignal(getattr(signal, name)) == signal.SIG_DFL:
            signal.signal(getattr(signal, name), interrupt)
    for stream in (sys.stdout, sys.stderr):
        # A piped Windows console is cp1252: an odd character becomes "?" instead of an exception.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    try:
        yield
    except SetupError as error:
        sys.stdout.flush()
        print(f"sidetone: {error}", file=sys.stderr)
        sys.exit(error.code)
    except KeyboardInterrupt:
        sys.stdout.flush()
        print("\nsidetone: interrupted. Run the same command again to go on from here.", file=sys.stderr)
        sys.exit(INTERRUPTED)
