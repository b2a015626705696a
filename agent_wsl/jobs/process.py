"""One confined process tree: bwrap, the init of its PID namespace, and all that runs in there."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import select
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from agent_wsl.jobs.usage import opened, pids
from agent_wsl.sandbox.start import Started

T = TypeVar("T")

PR_SET_CHILD_SUBREAPER = 36
LARGEST_PIPE = 1 << 20
KILL_ROUNDS = 20


def adopt_orphans() -> None:
    """Makes this process the parent of the init of a namespace whose bwrap has ended.

    That way its pid stays its own until it is reaped here, its end is the end of everything inside, and its resource
    usage is that of the command: bwrap itself ends without waiting for it.
    """
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Ended:
    exit_code: int
    """As a shell reports it."""
    executed: bool
    """False: the program could not be started, or the sandbox could not be set up."""
    cpu_s: float
    peak_memory: int
    """Bytes."""


class ConfinedProcess:
    """Starts on construction, in the calling thread, which must live until `wait` returns: bwrap dies with it.

    `output` is the reading end of the pipe with standard output and standard error; it does not block.
    """

    def __init__(self, start: Callable[[int, int], Started]) -> None:
        """`start` gets the descriptors for standard output and standard error. Raises OSError or ValueError."""
        self._lock = threading.Lock()
        self._doomed = False
        self._init: int | None = None
        self._init_handle = -1
        self._procfs = -1
        self.output, output = os.pipe()
        try:
            with contextlib.suppress(OSError):
                _widen(self.output)
            self._started = start(output, output)
        except (OSError, ValueError):
            os.close(self.output)
            raise
        finally:
            os.close(output)
        os.set_blocking(self.output, False)

    def let_go(self) -> None:
        """Waits until bwrap has made the namespace, or has ended; then the command may run."""
        init = self._started.find_init()
        if init is None:
            return
        try:
            handle = os.pidfd_open(init)
        except ProcessLookupError:
            self._started.abandon()
            return
        except OSError:
            # No descriptor is free: nobody could end it later.
            self._started.give_up(init)
            return
        # It was bwrap's child and, should bwrap be gone, is ours: otherwise it ended and the pid is another's.
        try:
            ours = _parent(init) in (self._started.process.pid, os.getpid())
        except OSError:
            os.close(handle)
            self._started.give_up(init)
            return
        if not ours:
            os.close(handle)
            self._started.abandon()
            return
        with self._lock:
            self._init, self._init_handle = init, handle
        _prefer_to_the_agent_when_memory_ends(init)
        if self._doomed:
            self.kill()
        self._started.let_go(init)

    def read_until_end(self, buffer: bytearray) -> Iterator[memoryview]:
        """What is written, as it comes, until the last process inside has ended.

        The end is that of the init, not of the pipe alone: nobody outside can keep a job from ending.
        """
        poll = select.poll()
        poll.register(self.output, select.POLLIN)
        if self._init is not None:
            poll.register(self._init_handle, select.POLLIN)
        view = memoryview(buffer)
        while True:
            ready = dict(poll.poll())
            try:
                size = os.readv(self.output, [buffer])
            except BlockingIOError:
                if self._init_handle in ready:
                    return
                continue
            if not size:
                return
            yield view[:size]

    def inspect(self, look: Callable[[int], T]) -> T | None:
        """Calls `look` with a descriptor of the /proc that shows what runs inside and nothing else.

        None when there is none, yet or any more. While it looks, the descriptor stays what it is.
        """
        with self._lock:
            if self._procfs < 0 and self._init is not None:
                self._procfs = _procfs_of(self._init)
            return look(self._procfs) if self._procfs >= 0 else None

    def terminate(self) -> None:
        """SIGTERM to everything inside; what was stopped is woken for it. SIGKILL when it is still being set up."""
        if self.inspect(_terminate) is None:
            self.kill()

    def kill(self) -> None:
        """SIGKILL to everything inside. May be called again, and is to be while there is something left.

        The end of the init is the end of all, but a fork bomb can hold it up for minutes: on its way out the init
        waits for locks that every fork takes. So first its process group, which the kernel signals in one go, and
        then whatever has left the group, one by one; who has a SIGKILL pending does not fork.
        """
        with self._lock:
            # Never bwrap itself: at the wrong moment that would leave an init behind that waits for it for ever.
            self._doomed = True
            if self._init is None:
                return
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._init, signal.SIGKILL)
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._init_handle, signal.SIGKILL)
        self.inspect(_kill)

    def wait(self) -> Ended:
        """Returns when nothing is left of it. To be called once, after `read_until_end`."""
        bwrap = self._started.process
        _, status, usage = os.wait4(bwrap.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        bwrap.returncode = code
        self.kill()
        init, peak = self._init, 0
        if init is not None:
            # Its pid cannot be another's: it is reaped only here.
            with contextlib.suppress(ChildProcessError):
                _, _, usage = os.wait4(init, 0)
                peak = usage.ru_maxrss << 10
        executed = self._started.executed()
        self._release()
        shell_code = code if code >= 0 else 128 - code
        return Ended(shell_code, executed, usage.ru_utime + usage.ru_stime, peak)

    def _release(self) -> None:
        with self._lock:
            for descriptor in (self.output, self._started.status, self._init_handle, self._procfs):
                if descriptor >= 0:
                    os.close(descriptor)
            self._init_handle = self._procfs = -1
            self._init = None


def _widen(pipe: int) -> None:
    fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, LARGEST_PIPE)


def _parent(pid: int) -> int:
    with open(f"/proc/{pid}/stat", "rb") as file:
        return int(file.read().rpartition(b")")[2].split()[1])


def _prefer_to_the_agent_when_memory_ends(init: int) -> None:
    with contextlib.suppress(OSError), open(f"/proc/{init}/oom_score_adj", "w", encoding="ascii") as file:
        file.write("800")


def _procfs_of(init: int) -> int:
    """-1 as long as the sandbox is being set up: until then the root, and so its /proc, is the machine's."""
    try:
        folder = os.open(f"/proc/{init}/root/proc", os.O_RDONLY | os.O_DIRECTORY)
        try:
            if os.readlink("1/ns/pid", dir_fd=folder) == os.readlink(f"/proc/{init}/ns/pid"):
                return folder
        except OSError:
            pass
        os.close(folder)
    except OSError:
        pass
    return -1


def _terminate(procfs: int) -> bool:
    for name in pids(procfs):
        _signal(procfs, name, signal.SIGTERM, signal.SIGCONT)
    return True


def _kill(procfs: int) -> None:
    done: set[str] = set()
    for _ in range(KILL_ROUNDS):
        left = set(pids(procfs)) - done
        if not left:
            return
        for name in left:
            _signal(procfs, name, signal.SIGKILL)
        done |= left


def _signal(procfs: int, name: str, *numbers: signal.Signals) -> None:
    """By its folder in /proc, which the kernel takes for a handle of the process: there is no pid to mistake."""
    with contextlib.suppress(OSError), opened(name, os.O_RDONLY | os.O_DIRECTORY, procfs) as handle:
        for number in numbers:
            signal.pidfd_send_signal(handle, number)
