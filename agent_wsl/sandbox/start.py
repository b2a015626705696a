"""Starts bubblewrap and holds the command back until its limits are set, which bubblewrap cannot do itself."""

from __future__ import annotations

import os
import re
import resource
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from agent_wsl.config import JobSettings

CPU_GRACE_S = 5
"""Between SIGXCPU and SIGKILL."""
OPEN_FILES = 8192
"""The soft limit stays at 1024, as programs with select() expect."""
INIT = re.compile(rb'"child-pid": (\d+)\s*[,}]')
EXECUTED = b'"exit-code"'

Limits = Mapping[int, tuple[int, int]]
"""From a `resource.RLIMIT_...` to the soft limit and the hard one."""


@dataclass(frozen=True, slots=True)
class Line:
    """A bubblewrap to be started."""

    bwrap: str
    words: tuple[str, ...]
    """Its options, and the command."""
    pass_fds: tuple[int, ...]
    limits: Limits


class Started:
    """Made by starting. bubblewrap dies with the *thread* that did it: that thread must live as long as the job.

    The command itself is not run before `let_go`: until then bubblewrap makes the sandbox and then waits. If the agent
    dies meanwhile, bubblewrap does as well.
    """

    def __init__(self, line: Line, output: int, errors: int) -> None:
        """Output goes to these descriptors. Raises OSError or ValueError."""
        self.status, status = os.pipe()
        """Where bubblewrap reports, as JSON. To be closed by the caller."""
        hold, self._go = os.pipe()
        try:
            self.process = subprocess.Popen(  # noqa: S603 - the whole point, and confined
                [line.bwrap, "--json-status-fd", str(status), "--block-fd", str(hold), *line.words],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                env={},
                cwd="/",
                pass_fds=(*line.pass_fds, status, hold),
                start_new_session=True,
            )
        except (OSError, ValueError):
            os.close(self.status)
            os.close(self._go)
            raise
        finally:
            os.close(status)
            os.close(hold)
        self._limits = line.limits
        self._said = b""

    def find_init(self) -> int | None:
        """The first process inside, by its pid outside. Waits until there is one; None when bubblewrap has ended."""
        while not (found := INIT.search(self._said)):
            part = os.read(self.status, 4096)
            if not part:
                self.abandon()
                return None
            self._said += part
        return int(found[1])

    def executed(self) -> bool:
        """After its end: whether the command could be started at all."""
        os.set_blocking(self.status, False)
        with suppress(BlockingIOError):
            self._said += os.read(self.status, 4096)
        return EXECUTED in self._said

    def let_go(self, init: int) -> None:
        """Once, with what `find_init` found. Without its limits no command is run: then all is killed."""
        try:
            for limit, values in self._limits.items():
                resource.prlimit(init, limit, values)
        except (OSError, ValueError):
            self.give_up(init)
            return
        with suppress(BrokenPipeError):
            os.write(self._go, b"\0")
        os.close(self._go)

    def give_up(self, init: int) -> None:
        """In the place of `let_go`."""
        with suppress(ProcessLookupError):
            os.kill(init, signal.SIGKILL)
        # Only now: bubblewrap would take the end of the pipe for a yes.
        self.abandon()

    def abandon(self) -> None:
        """In the place of `let_go`, when nothing is left."""
        os.close(self._go)


def limits_of(jobs: JobSettings) -> Limits:
    """No limit of the address space: node, Java, Go and sanitizers reserve far more than they use. The limit of
    processes counts inside the sandbox alone (Linux 5.14), and never for root."""
    return {
        resource.RLIMIT_CPU: _at_most(resource.RLIMIT_CPU, jobs.cpu_s, jobs.cpu_s + CPU_GRACE_S),
        resource.RLIMIT_FSIZE: _at_most(resource.RLIMIT_FSIZE, jobs.file_size, jobs.file_size),
        resource.RLIMIT_NPROC: _at_most(resource.RLIMIT_NPROC, jobs.processes, jobs.processes),
        resource.RLIMIT_CORE: (0, 0),
        resource.RLIMIT_NOFILE: _at_most(resource.RLIMIT_NOFILE, 1024, OPEN_FILES),
    }


def _at_most(limit: int, soft: int, hard: int) -> tuple[int, int]:
    """Lowered to the machine's own limit."""
    highest = resource.getrlimit(limit)[1]
    return (soft, hard) if highest == resource.RLIM_INFINITY else (min(soft, highest), min(hard, highest))


@contextmanager
def running(started: Started) -> Iterator[subprocess.Popen[bytes]]:
    """Lets the command go, where nobody but the block looks after it."""
    try:
        init = started.find_init()
        if init is not None:
            started.let_go(init)
        yield started.process
    finally:
        # Not before its end: bubblewrap would be killed by its last report.
        os.close(started.status)
