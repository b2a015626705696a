"""Programs in the background: one of each, with a pid file and a log; ended with all they started. Needs psutil."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
from child import SetupError, elapsed, say
from setup_env import locked

ALREADY, NOT_STARTED, STUBBORN = 22, 23, 24
"""Exit codes: it runs already; it ended while it started; it does not end."""
POLL_S = 0.1
SAME_START_S = 60.0
"""The system's clock may be set while a program runs, and its start is reckoned by that clock."""
LOG_BYTES = 5_000_000
"""A larger log is put aside when its program starts anew."""
SHOWN_LINES = 12
STARTED: list[subprocess.Popen[bytes]] = []
"""They are to outlive this script, which Python would complain about if it forgot them before its end."""
BREAK_SENDER = (
    "import ctypes, sys; k = ctypes.windll.kernel32; k.FreeConsole(); "
    "sys.exit(0 if k.AttachConsole(int(sys.argv[1])) and k.GenerateConsoleCtrlEvent(1, int(sys.argv[1])) else 1)"
)
"""Windows lets a program be asked to end only from its own console, so a helper goes there."""


@dataclass(frozen=True)
class Service:
    name: str
    title: str
    """As it stands in sentences."""
    command: Sequence[str]
    ready: str
    """What its log says when it is up."""
    patience_s: float
    """How long a start may take before it is left to itself."""
    stop_s: float
    """How long an orderly end may take."""
    ask: Sequence[str] = ()
    """A command that asks it to end, where a signal does not reach it."""


@dataclass(frozen=True)
class Record:
    """What the pid file says."""

    pid: int
    started: float
    """By the system's account, seconds since 1970."""
    command: list[str]
    log_start: int
    """Bytes of the log that were there before."""


class Files:
    """Where a service's pid and log lie."""

    def __init__(self, folder: Path, name: str) -> None:
        self.pid = folder / f"{name}.pid"
        self.log = folder / f"{name}.log"
        self.lock = folder / f"{name}.lock"

    def read(self) -> Record | None:
        try:
            found = json.loads(self.pid.read_text(encoding="utf-8"))
            return Record(int(found["pid"]), float(found["started"]), list(found["command"]), int(found["log_start"]))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError):
            # A file that was cut off belongs to nobody.
            return Record(0, 0.0, [], 0)

    def write(self, record: Record) -> None:
        unfinished = self.pid.with_suffix(".part")
        unfinished.write_text(json.dumps(asdict(record)), encoding="utf-8")
        unfinished.replace(self.pid)

    def text_since(self, start: int) -> str:
        with contextlib.suppress(OSError), self.log.open("rb") as source:
            source.seek(start)
            return source.read().decode("utf-8", "replace")
        return ""


def alive(process: psutil.Process) -> bool:
    """A program that has ended stays listed until its parent asks; in containers nobody may."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def find(record: Record | None) -> psutil.Process | None:
    """The program that the pid file means; None when it has ended, though another may have its number by now."""
    if record is None or record.pid <= 0:
        return None
    try:
        process = psutil.Process(record.pid)
        if not alive(process) or abs(process.create_time() - record.started) > SAME_START_S:
            return None
        return process if process.cmdline() == record.command else None
    except psutil.AccessDenied:
        # Somebody else's: ours could be looked at.
        return None
    except psutil.NoSuchProcess:
        return None


def stale(record: Record) -> str:
    if record.pid <= 0:
        return "the pid file is damaged"
    words = f"the pid file names process {record.pid}, which has ended"
    try:
        found = psutil.Process(record.pid)
        return f"{words}, and {_name(found)} has its number now" if alive(found) else words
    except psutil.NoSuchProcess:
        return words


def _name(process: psutil.Process) -> str:
    with contextlib.suppress(psutil.Error, OSError):
        return str(process.name())
    return "another program"


@contextlib.contextmanager
def one_at_a_time(files: Files) -> Iterator[None]:
    files.lock.parent.mkdir(parents=True, exist_ok=True)
    with files.lock.open("ab") as lock:
        while not locked(lock):
            time.sleep(POLL_S)
        yield


def start(service: Service, folder: Path, environment: Mapping[str, str], cwd: Path) -> None:
    """Returns when it is up. Raises SetupError when it runs already, or ends at once."""
    files = Files(folder, service.name)
    with one_at_a_time(files):
        record = files.read()
        if process := find(record):
            age = elapsed(max(0.0, time.time() - process.create_time()))
            raise SetupError(
                f"The {service.title} runs already: process {process.pid}, for {age}. Nothing was started.", ALREADY
            )
        if record:
            say(f"{service.name}: {stale(record)}; starting anew.")
        child, record = _launch(service, files, environment, cwd)
    _follow(service, files, child, record)


def _launch(
    service: Service, files: Files, environment: Mapping[str, str], cwd: Path
) -> tuple[subprocess.Popen[bytes], Record]:
    with contextlib.suppress(OSError):
        if files.log.stat().st_size > LOG_BYTES:
            files.log.replace(files.log.with_suffix(".log.1"))
    flags = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0) | getattr(subprocess, "CREATE_NO_WINDOW", 0)
    with files.log.open("ab") as log:
        log_start = log.tell()
        try:
            child = subprocess.Popen(
                service.command,
                cwd=cwd,
                env={**environment, "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8:replace"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=os.name != "nt",
                creationflags=flags,
            )
        except OSError as error:
            raise SetupError(
                f"The {service.title} cannot be started: {service.command[0]}: {error.strerror}.", NOT_STARTED
            ) from error
    STARTED.append(child)
    started, command = time.time(), list(service.command)
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(child.pid)
        started, command = process.create_time(), process.cmdline() or command
    record = Record(child.pid, started, command, log_start)
    files.write(record)
    return child, record


def _follow(service: Service, files: Files, child: subprocess.Popen[bytes], record: Record) -> None:
    """Until it says that it is up."""
    began = time.monotonic()
    say(f"{service.name}: process {child.pid} is starting; its log is {files.log}")
    while time.monotonic() - began < service.patience_s:
        code = child.poll()
        text = files.text_since(record.log_start)
        if code is not None:
            files.pid.unlink(missing_ok=True)
            last = "\n".join(f"  {line}" for line in text.strip().splitlines()[-SHOWN_LINES:])
            raise SetupError(
                f"The {service.title} ended while it started, with code {code}. Its last words:\n{last}", NOT_STARTED
            )
        if service.ready in text:
            line = next(line for line in text.splitlines() if service.ready in line)
            say(f"{service.name}: up after {elapsed(time.monotonic() - began)}. {line}")
            return
        time.sleep(POLL_S)
    say(f"{service.name}: still starting after {service.patience_s:.0f} s; `just status` shows how it goes.")


def stop(service: Service, folder: Path) -> None:
    """Ends it and all that it started, and waits. Nothing to do when it does not run. Raises SetupError."""
    files = Files(folder, service.name)
    with one_at_a_time(files):
        record = files.read()
        process = find(record)
        if process is None:
            files.pid.unlink(missing_ok=True)
            say(f"{service.name}: not running" + (f"; {stale(record)}" if record else "") + ".")
            return
        began = time.monotonic()
        how = "ended in order" if _end(service, process) else "killed"
        files.pid.unlink(missing_ok=True)
        say(f"{service.name}: process {process.pid} {how} ({time.monotonic() - began:.1f} s).")


def _end(service: Service, head: psutil.Process) -> bool:
    """Whether it ended by itself when it was asked to."""
    family = tree(head)
    _ask(service, head)
    orderly = _wait(lambda: not alive(head), service.stop_s)
    # What it started just now is found by its session, which is the head's number.
    left = [process for process in {*family, *tree(head)} if alive(process)]
    for process in left:
        with contextlib.suppress(psutil.Error):
            process.kill()
    if not _wait(lambda: not any(map(alive, left)), service.stop_s):
        numbers = ", ".join(str(process.pid) for process in left if alive(process))
        raise SetupError(f"The {service.title} does not end: process {numbers} is still there.", STUBBORN)
    return orderly


def _ask(service: Service, head: psutil.Process) -> None:
    if service.ask:
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            subprocess.run(service.ask, capture_output=True, timeout=service.stop_s, check=False)
    elif os.name == "nt":
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            sender = [sys.executable, "-c", BREAK_SENDER, str(head.pid)]
            subprocess.run(sender, capture_output=True, timeout=5, check=False)
    else:
        with contextlib.suppress(psutil.Error):
            head.send_signal(signal.SIGTERM)


def tree(head: psutil.Process) -> set[psutil.Process]:
    """It, and all that it started and that is still there."""
    found = {head}
    with contextlib.suppress(psutil.Error):
        found.update(head.children(recursive=True))
    if os.name != "nt":
        for process in psutil.process_iter():
            with contextlib.suppress(OSError):
                if os.getsid(process.pid) == head.pid:
                    found.add(process)
    return found


def _wait(over: Callable[[], bool], limit_s: float) -> bool:
    end = time.monotonic() + limit_s
    while not over():
        if time.monotonic() > end:
            return False
        time.sleep(POLL_S)
    return True
