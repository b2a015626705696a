"""Commands that want to stay, to take all, or to confuse: each ends, for the reason named, and the next one runs."""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent_wsl.errors import Refusal
from agent_wsl.protocol import GetJob, JobKill
from tests.agent.board import MIB, USER, Bench, bench, processes_with


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with bench(tmp_path_factory.mktemp("jobs")) as ready:
        yield ready


@dataclass(frozen=True)
class Bomb:
    code: str
    """Python; MARKER is in its command line."""
    ended_by: tuple[str, ...]
    timeout_s: float = 20.0


FORKS = """
import os
while True:
    try: os.fork()
    except OSError: pass
"""
FORKS_THAT_END = """
import os
for _ in range(3):
    os.fork()
while True:
    try:
        if os.fork() and os.fork(): os._exit(0)
    except OSError: pass
"""
FORKS_WITH_SESSIONS = """
import os
while True:
    try: os.fork() or os.setsid()
    except OSError: pass
"""
THREADS = """
import threading, time
while True:
    try: threading.Thread(target=time.sleep, args=(60,)).start()
    except RuntimeError: time.sleep(0.1)
"""
MEMORY = """
kept = []
while True: kept.append(b"x" * (8 << 20))
"""
MEMORY_OF_FIFTY = """
import os, time
for _ in range(50):
    if not os.fork():
        kept = b"x" * (12 << 20)
        time.sleep(60)
time.sleep(60)
"""
MEMFD = """
import os
while True:
    held = os.memfd_create("x")
    for _ in range(12): os.write(held, b"x" * (8 << 20))
"""
SHARED_MAPPING = """
import mmap
kept = []
while True:
    kept.append(mmap.mmap(-1, 32 << 20))
    kept[-1].write(b"x" * (32 << 20))
"""
TMPFS = """
import time
number = 0
while True:
    for folder in ("/tmp", "/dev/shm", "/sandbox"):
        try:
            with open(f"{folder}/{number}", "wb") as file: file.write(b"x" * (8 << 20))
        except OSError: time.sleep(0.01)
    number += 1
"""
ONE_FILE = """
import time
with open("filler", "wb") as file:
    while True: file.write(b"x" * (1 << 20))
"""
MANY_FILES = """
import itertools
for number in itertools.count():
    with open(f"filler-{number}", "wb") as file: file.write(b"x" * (4 << 20))
"""
FILES_BY_ORPHANS = """
import itertools, os, signal, time
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for number in itertools.count():
    child = os.fork()
    if not child:
        with open(f"filler-{number}", "wb") as file:
            for _ in range(16):
                file.write(b"x" * (1 << 20))
                time.sleep(0.005)
        os._exit(0)
    try: os.waitpid(child, 0)
    except ChildProcessError: pass
"""
SPARSE = """
for number in range(100):
    with open(f"filler-{number}", "wb") as file: file.truncate(100 << 20)
"""
IGNORES_TERM = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
while True: time.sleep(1)
"""
DOUBLE_FORK = """
import os, signal, time
if not os.fork():
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if os.fork(): os._exit(0)
time.sleep(600)
"""
STOPPED = """
import os, signal
if os.fork(): os.kill(os.getpid(), signal.SIGSTOP)
os.kill(os.getpid(), signal.SIGSTOP)
"""
STOPS_OTHERS = """
import os, signal
if not os.fork(): signal.pause()
signal.signal(signal.SIGTERM, signal.SIG_IGN)
while True: os.kill(-1, signal.SIGSTOP)
"""
SPINS = """
while True: pass
"""
ROOT = os.getuid() == 0
AT_THE_LIMIT = ("processes", "memory") if ROOT else ("processes", "memory", "timeout")
"""The kernel counts the processes of a normal user itself: then there are never too many, and time ends them."""
BOMBS = {
    "forks": Bomb(FORKS, AT_THE_LIMIT, 8),
    "forks whose parents end": Bomb(FORKS_THAT_END, (*AT_THE_LIMIT, "exit"), 8),
    "forks, each with a session of its own": Bomb(FORKS_WITH_SESSIONS, AT_THE_LIMIT, 8),
    "threads": Bomb(THREADS, AT_THE_LIMIT, 8),
    "memory of one process": Bomb(MEMORY, ("memory",)),
    "memory of fifty processes": Bomb(MEMORY_OF_FIFTY, ("memory",)),
    "memory in memfds": Bomb(MEMFD, ("memory",)),
    "memory in shared mappings": Bomb(SHARED_MAPPING, ("memory",)),
    "memory in tmpfs": Bomb(TMPFS, ("memory", "timeout"), 3),
    "disk by one file": Bomb(ONE_FILE, ("exit", "signal", "disk")),
    "disk by many files": Bomb(MANY_FILES, ("disk",)),
    "disk by children nobody waits for": Bomb(FILES_BY_ORPHANS, ("disk",)),
    "sparse files": Bomb(SPARSE, ("exit",)),
    "ignores SIGTERM": Bomb(IGNORES_TERM, ("timeout",), 0.5),
    "double fork, session of its own": Bomb(DOUBLE_FORK, ("timeout",), 0.5),
    "stopped": Bomb(STOPPED, ("timeout",), 0.5),
    "stops all others": Bomb(STOPS_OTHERS, ("timeout",), 0.5),
    "spins": Bomb(SPINS, ("timeout",), 0.5),
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_a_bomb_ends_with_all_it_made(board: Bench, bomb: Bomb) -> None:
    marker = f"marker-{secrets.token_hex(8)}"
    folder = board.root / marker
    folder.mkdir()
    before = time.monotonic()
    status = board.run("python3", "-c", bomb.code, marker, cwd=marker, timeout_s=bomb.timeout_s)
    assert status.ended_by in bomb.ended_by, board.output(status)[-2000:]
    assert time.monotonic() - before < bomb.timeout_s + 6
    assert not processes_with(marker)
    used = sum(file.stat().st_blocks * 512 for file in folder.iterdir())
    shutil.rmtree(folder)
    assert used < 1024 * MIB
    assert board.works()


def test_shell_fork_bomb(board: Bench) -> None:
    marker = f"marker-{secrets.token_hex(8)}"
    status = board.run("bash", "-c", ":(){ :|:& };: ; sleep 60", marker, timeout_s=8.0)
    assert status.ended_by in AT_THE_LIMIT
    assert not processes_with(marker)
    assert board.works()


def test_memory_hidden_in_unattached_segments_does_not_outlive_the_job(board: Bench) -> None:
    code = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
libc.shmat.restype = ctypes.c_void_p
for _ in range(8):
    held = libc.shmget(0, 16 << 20, 0o1600)
    if held < 0: break
    at = libc.shmat(held, None, 0)
    ctypes.memset(at, 1, 16 << 20)
    libc.shmdt(ctypes.c_void_p(at))
"""
    before = shared_kib()
    assert board.run("python3", "-c", code).ended_by in ("exit", "memory", "signal")
    deadline = time.monotonic() + 10
    while shared_kib() - before > 32 << 10 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert shared_kib() - before < 32 << 10, "the kernel frees the segments with the job's IPC namespace"
    assert board.works()


def test_a_gibibyte_of_output(board: Bench) -> None:
    status = board.run("bash", "-c", "head -c 1G /dev/zero")
    assert (status.exit_code, status.output, status.ended_by) == (0, 1 << 30, "exit")
    assert status.gap == (MIB // 2, (1 << 30) - MIB // 2)
    assert board.output(status) == bytes(MIB)
    assert board.works()


def test_a_background_child_that_keeps_the_pipe_does_not_keep_the_job(board: Bench) -> None:
    marker = f"marker-{secrets.token_hex(8)}"
    line = f"(trap '' TERM HUP; setsid bash -c 'sleep 600; echo {marker}' &) ; echo started"
    before = time.monotonic()
    status = board.run("bash", "-c", line)
    assert (status.exit_code, status.ended_by) == (0, "exit")
    assert time.monotonic() - before < 5
    assert board.output(status) == b"started\n"
    assert not processes_with(marker)
    assert board.works()


def test_closed_standard_output_is_not_the_end(board: Bench) -> None:
    status = board.run("bash", "-c", "echo one; exec >&- 2>&-; sleep 0.5; exit 7")
    assert (status.exit_code, status.ended_by) == (7, "exit")
    assert status.duration_s >= 0.5
    assert board.output(status) == b"one\n"
    assert board.works()


def test_one_byte_at_a_time(board: Bench) -> None:
    status = board.run("python3", "-c", "import os\nfor n in range(50_000): os.write(1, bytes([n % 251]))")
    assert board.output(status) == bytes(n % 251 for n in range(50_000))
    assert board.works()


def test_bytes_that_are_no_text(board: Bench) -> None:
    data = bytes(range(256)) + b"\xff\xfe\x00\xc3\x28"
    status = board.run("python3", "-c", f"import os; os.write(1, {data!r})")
    assert board.output(status) == data
    assert board.works()


ODD = {
    "spaces and quotes": "a \"b\" 'c' `id` $(id) $HOME ; | & > < * ? [x] {a,b} ~ ! # \\",
    "newlines and tabs": "a\nb\tc\rd\x0b",
    "option of bubblewrap": "--bind",
    "end of options": "--",
    "control characters": "\x01\x1b[31m\x7f",
    "right to left": "\u202eabc\u200b",
    "astral": "\U0001f600",
    "raw bytes": "a\udcff\udc80",
    "empty": "",
    "100 kB": "x" * 100_000,
}


@pytest.mark.parametrize("word", ODD.values(), ids=ODD)
def test_an_odd_argument_arrives_as_it_is(board: Bench, word: str) -> None:
    status = board.run("python3", "-c", "import os,sys; os.write(1, os.fsencode(sys.argv[1]))", word)
    assert status.exit_code == 0, board.output(status)
    assert board.output(status) == os.fsencode(word)
    assert board.works()


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (("bash", "-c", "exec no-such-program"), 127),
        (("bash", "-c", "exec /dev/null"), 126),
        (("bash", "-c", "kill -SEGV $$"), 139),
    ],
    ids=["no program", "not executable", "crash"],
)
def test_codes_are_those_of_a_shell(board: Bench, argv: tuple[str, ...], code: int) -> None:
    status = board.run(*argv)
    assert status.exit_code == code
    assert (status.signal, status.ended_by) == (("SIGSEGV", "signal") if code == 139 else ("", "exit"))
    assert board.works()


UNSTARTABLE = {"no such program": "no-such-program", "empty name": "", "option": "--version", "directory": "/usr"}


@pytest.mark.parametrize("program", UNSTARTABLE.values(), ids=UNSTARTABLE)
def test_what_cannot_be_started(tmp_path: Path, program: str) -> None:
    with bench(tmp_path, allowed=((program,), ("true",))) as board:
        status = board.run(program)
        assert status.exit_code in ((126,) if program == "/usr" else (126, 127) if not program else (127,))
        assert (status.signal, status.ended_by) == ("", "exit")
        assert board.output(status)
        assert board.works()


@pytest.mark.parametrize(
    "words",
    [("bash", "a\0b"), ("bash", "\ud800"), ("bash", "\u20ac" * 50_000)],
    ids=["NUL", "half a character", "150 kB argument"],
)
def test_what_no_program_can_be_given_is_refused(board: Bench, words: tuple[str, ...]) -> None:
    with pytest.raises(Refusal) as caught:
        board.start(*words)
    assert caught.value.code == "bad_request"
    assert caught.value.message.endswith(".")
    assert board.works()


@pytest.mark.parametrize("change", ["deleted", "a link now"])
def test_the_directory_changes_while_the_job_waits(board: Bench, change: str) -> None:
    place, other = board.root / "place", board.root / "other"
    place.mkdir()
    other.mkdir(exist_ok=True)
    holders = [board.start("sleep", "20") for _ in range(3)]
    waiting = board.start("bash", "-c", "pwd", cwd="place")
    assert waiting.state == "queued"
    place.rmdir()
    if change == "a link now":
        place.symlink_to(other)
    for holder in holders:
        board.board.kill(USER, JobKill(holder.job_id))
    status = board.finished(waiting)
    assert status.exit_code == 126
    assert str(other).encode() not in board.output(status)
    assert board.output(status).endswith(b".\n")
    place.unlink(missing_ok=True)
    for holder in holders:
        board.finished(holder)
    assert board.works()


def test_standard_input_is_at_its_end_and_there_is_no_terminal(board: Bench) -> None:
    status = board.run("bash", "-c", "cat; read x; echo $?; tty; exec 3<>/dev/tty")
    assert board.output(status).startswith(b"1\nnot a tty\n")
    assert status.duration_s < 5
    assert board.works()


def test_descriptors_threads_and_memory_do_not_grow(board: Bench) -> None:
    def count() -> int:
        return len(os.listdir("/proc/self/fd"))

    assert board.works()
    before = count()
    for _ in range(60):
        job = board.start("bash", "-c", "(sleep 60 &); true")
        assert board.board.status(USER, GetJob(job.job_id, 20)).state == "done"
    assert count() - before <= 2, "a job without output leaves no descriptor behind"


def shared_kib() -> int:
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("Shmem:"):
            return int(line.split()[1])
    raise AssertionError
