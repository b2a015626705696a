"""The limits, and what they are measured by: on figures, and on real processes of this machine."""

from __future__ import annotations

import mmap
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent_wsl.jobs import usage
from agent_wsl.jobs.supervise import Record, has_room, verdict
from agent_wsl.jobs.usage import Usage
from tests.agent.board import MIB, SETTINGS

QUIET = Usage(threads=2, memory=MIB, largest=MIB, written=0, cpu_s=0.1)


@pytest.fixture
def procfs() -> Iterator[int]:
    folder = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY)
    yield folder
    os.close(folder)


LIMITS = {
    "nothing": (QUIET, MIB, 0, ""),
    "at the limits": (Usage(64, 0, 0, 0, 0.0), SETTINGS.memory, SETTINGS.written, ""),
    "threads": (Usage(65, 0, 0, 0, 0.0), 0, 0, "processes"),
    "memory": (QUIET, SETTINGS.memory + 1, 0, "memory"),
    "written": (QUIET, 0, SETTINGS.written + 1, "disk"),
}


@pytest.mark.parametrize(("seen", "memory", "written", "expected"), LIMITS.values(), ids=LIMITS)
def test_verdict(seen: Usage, memory: int, written: int, expected: str) -> None:
    assert verdict(SETTINGS, seen, memory, written) == expected


def test_what_ended_children_wrote_is_not_forgotten() -> None:
    record = Record(job=None, shared_before=0)  # type: ignore[arg-type]
    assert [record.written(now) for now in (0, 10, 30, 5, 25, 25, 0)] == [0, 10, 30, 30, 50, 50, 50]


def test_room(tmp_path: Path) -> None:
    assert has_room([tmp_path], 0)
    assert not has_room([tmp_path], 1 << 60)
    assert has_room([tmp_path / "gone"], 1 << 60), "a directory that is gone is another room's matter"


def test_measured_on_a_real_process(procfs: int) -> None:
    code = (
        "import threading, time, sys\nx = b'x' * (64 << 20)\n"
        "for _ in range(3): threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"
        "end = time.process_time() + 0.2\nwhile time.process_time() < end: pass\nprint(flush=True); sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        seen = usage.measure(procfs, [str(process.pid), "999999999"])
        process.communicate()
    assert seen.threads == 4
    assert 64 * MIB < seen.memory < 100 * MIB
    assert seen.memory < seen.largest < 120 * MIB
    assert seen.cpu_s >= 0.2


def test_bytes_written_are_counted(procfs: int, tmp_path: Path) -> None:
    before = usage.measure(procfs, [str(os.getpid())]).written
    with open(tmp_path / "file", "wb") as file:
        file.write(b"x" * (8 << 20))
    grown = usage.measure(procfs, [str(os.getpid())]).written - before
    assert grown >= 8 << 20


def test_shared_memory_is_found_wherever_it_is(procfs: int) -> None:
    own = [str(os.getpid())]
    before = usage.shared_memory(procfs, own)
    descriptor = os.memfd_create("here")
    os.write(descriptor, b"x" * (8 << 20))
    with mmap.mmap(-1, 4 << 20) as mapping:
        mapping.write(b"x" * (4 << 20))
        assert usage.shared_memory(procfs, own) - before >= 11 << 20
    os.close(descriptor)


def test_the_machine() -> None:
    machine = usage.machine()
    assert 0 < machine.available < machine.memory
    assert machine.shared >= 0
    assert machine.memory == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def test_the_init_is_not_one_of_the_processes(procfs: int) -> None:
    names = usage.pids(procfs)
    assert str(os.getpid()) in names
    assert "1" not in names
