"""What a job uses right now, read from /proc. The caller gives the /proc of the job's own PID namespace."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass

PAGE = os.sysconf("SC_PAGE_SIZE")
TICK_S = 1 / os.sysconf("SC_CLK_TCK")
INIT = "1"
"""bwrap's own process inside: no part of the command, but what its ended children wrote is counted with it."""


@dataclass(frozen=True, slots=True)
class Usage:
    threads: int
    """Of all processes together."""
    memory: int
    """Bytes that belong to one process alone, of all processes together."""
    largest: int
    """Resident bytes of the largest process."""
    written: int
    """Bytes to disk, of the living and of those that were waited for."""
    cpu_s: float


@dataclass(frozen=True, slots=True)
class Machine:
    memory: int
    available: int
    shared: int
    """Bytes of tmpfs, memfd and shared mappings, which no process's own memory shows."""


def pids(procfs: int) -> list[str]:
    """Of the job, as it sees them itself, the init left out."""
    return [name for name in os.listdir(procfs) if name.isdecimal() and name != INIT]


def measure(procfs: int, names: list[str]) -> Usage:
    threads = memory = largest = written = 0
    cpu = 0.0
    for name in [*names, INIT]:
        try:
            stat = _read(procfs, f"{name}/stat").rpartition(b")")[2].split()
            resident, shared = map(int, _read(procfs, f"{name}/statm").split()[1:3])
            io = _read(procfs, f"{name}/io")
        except (OSError, ValueError):
            continue  # it has ended in between
        cpu += sum(map(int, stat[11:15])) * TICK_S
        written += int(io.partition(b"\nwrite_bytes: ")[2].split(b"\n")[0] or b"0")
        if name != INIT:
            threads += int(stat[17])
            memory += (resident - shared) * PAGE
            largest = max(largest, resident * PAGE)
    return Usage(threads, memory, largest, written, cpu)


def shared_memory(procfs: int, names: list[str]) -> int:
    """Bytes of shared mappings, memfds and tmpfs that the job can have filled; more than once what several map."""
    files: dict[tuple[int, int], int] = {}
    mapped = 0
    for name in names:
        with contextlib.suppress(OSError, ValueError):
            status = _read(procfs, f"{name}/status")
            mapped += int(status.partition(b"\nRssShmem:")[2].split()[0]) << 10
            _add_files(procfs, name, files)
    with contextlib.suppress(OSError):
        mapped += _file_systems(procfs)
    return mapped + sum(files.values())


def machine() -> Machine:
    with open("/proc/meminfo", "rb") as file:
        text = file.read()

    def kib(field: bytes) -> int:
        return int(text.partition(b"\n" + field + b":")[2].split(None, 1)[0])

    return Machine(int(text.split(None, 2)[1]) << 10, kib(b"MemAvailable") << 10, kib(b"Shmem") << 10)


def _add_files(procfs: int, name: str, files: dict[tuple[int, int], int]) -> None:
    """The memfds among its open files: their size in memory, once each."""
    with opened(f"{name}/fd", os.O_RDONLY | os.O_DIRECTORY, procfs) as folder:
        for number in os.listdir(folder):
            with contextlib.suppress(OSError):
                if os.readlink(number, dir_fd=folder).startswith("/memfd:"):
                    found = os.stat(number, dir_fd=folder)
                    files[found.st_dev, found.st_ino] = found.st_blocks * 512


def _file_systems(procfs: int) -> int:
    """Bytes in the tmpfs of the sandbox, each counted once."""
    used = {}
    with opened(f"{INIT}/mountinfo", os.O_RDONLY, procfs) as descriptor, open(descriptor, "rb", closefd=False) as file:
        mounts = [line.split() for line in file]
    for fields in mounts:
        if fields[fields.index(b"-") + 1] == b"tmpfs":
            with contextlib.suppress(OSError), opened(b"1/root" + fields[4], os.O_PATH, procfs) as place:
                found = os.statvfs(place)
                used[fields[2]] = (found.f_blocks - found.f_bfree) * found.f_frsize
    return sum(used.values())


def _read(procfs: int, path: str) -> bytes:
    with opened(path, os.O_RDONLY, procfs) as descriptor:
        return os.read(descriptor, 8192)


@contextlib.contextmanager
def opened(path: str | bytes, flags: int, folder: int) -> Iterator[int]:
    descriptor = os.open(path, flags, dir_fd=folder)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
