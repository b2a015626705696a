"""Commands in bubblewrap: nothing but the allowed directories, no network, no privileges, no way to talk to the host.

Fails closed: without a bubblewrap that passes the probe, with the filter loaded, every command is refused.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from agent_wsl.config import JobSettings, SandboxSettings
from agent_wsl.envelope import ErrorCode
from agent_wsl.errors import Refusal
from agent_wsl.protocol import SandboxState
from agent_wsl.sandbox import bwrap, skeleton
from agent_wsl.sandbox.binds import Descriptors, options, set_aside
from agent_wsl.sandbox.guarded import DIRECTORIES, Guard, arranged, find
from agent_wsl.sandbox.seccomp import FilterUnavailable, build_filter
from agent_wsl.sandbox.start import Line, Started, limits_of, running

PROBE_TIMEOUT_S = 20.0
MOUNTS = 400
TOO_MANY = (
    f"The allowed directories hold more than {MOUNTS} places that must be guarded from commands "
    "(repositories, .env, .vscode and the like): allow smaller directories, or delete what a command has made."
)
TOO_LARGE = (
    f"The allowed directory holds more than {DIRECTORIES} directories, too many to look for repositories and keys in: "
    "allow a smaller one, or delete what a command has made."
)
FRESH = 20.0
"""What was found counts for so many times as long as the search took."""
PROOF = ("Seccomp:\t2", "NoNewPrivs:\t1", "CapEff:\t0000000000000000", "CapBnd:\t0000000000000000")
"""What /proc/self/status must say inside."""


class Prepared:
    """One command, to be started once, inside `with`, which may end as soon as `start` has returned.

    Call `finish` when it has ended.
    """

    def __init__(self, line: Line, opened: Descriptors, absent: list[Path]) -> None:
        self._line = line
        self._opened = opened
        self._absent = absent

    def __enter__(self) -> Prepared:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._opened.close()

    def start(self, output: int, errors: int) -> Started:
        """Output goes to these descriptors. Raises OSError or ValueError."""
        return Started(self._line, output, errors)

    def finish(self) -> tuple[str, ...]:
        """To be called when the job has ended. Sets aside what it made of the places that others would run
        (`guarded`); the new names. A second call does nothing."""
        moved = []
        while self._absent:
            path = self._absent.pop()
            if os.path.lexists(path):
                with suppress(OSError):
                    moved.append(str(path.with_name(set_aside(path))))
        return tuple(moved)


class Finder:
    """Remembers what was found, while the search would cost more than it is worth."""

    def __init__(
        self,
        roots: Sequence[Path],
        read_only: Sequence[Path],
        hidden: Sequence[Path],
        clock: Callable[[], float],
    ) -> None:
        self._what = roots, read_only, hidden
        self._clock = clock
        self._guard: Guard | None = None
        self._until = 0.0

    def guard(self) -> Guard:
        now = self._clock()
        if self._guard is None or now >= self._until or not self._guard.unchanged():
            self._guard = find(*self._what)
            end = self._clock()
            self._until = end + FRESH * (end - now)
        return self._guard

    def forget(self) -> None:
        self._guard = None


class Sandbox:
    def __init__(
        self,
        roots: Sequence[Path],
        settings: SandboxSettings,
        jobs: JobSettings,
        hidden: Sequence[Path] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Probes at once: runs real commands, for a second at most on a machine that works.

        `roots` are resolved. `hidden`: what commands must not see where it lies in a root (the audit log).
        """
        self._roots = tuple(roots)
        self._read_only = tuple(dict.fromkeys(path.resolve() for path in settings.read_only))
        own = (Path(__file__).resolve().parents[1], Path(sys.prefix).resolve())
        concealed = [path.resolve() for path in hidden]
        self._finders = {root: Finder([root], (*self._read_only, *own), concealed, clock) for root in self._roots}
        self._settings = settings
        self._jobs = jobs
        self._ids = _ids()
        self._remove: Callable[[], object] = lambda: None
        self._fixed: list[str] = []
        self._limits = limits_of(jobs)
        self._bwrap = ""
        self._filter = b""
        self._state = SandboxState(False, "The sandbox has not been tried yet.", settings.network)
        self.probe()

    @property
    def state(self) -> SandboxState:
        return self._state

    @property
    def visible(self) -> tuple[Path, ...]:
        """Directories of the machine that commands see, beside /usr; the roots first."""
        return (*self._roots, *self._read_only)

    def close(self) -> None:
        self._remove()

    def probe(self) -> SandboxState:
        """Takes the first bubblewrap that runs a command under all options and the filter."""
        works, detail = self._try_all()
        self._state = SandboxState(works, detail, self._settings.network)
        return self._state

    def prepare(self, argv: Sequence[str], cwd: str) -> Prepared:
        """`cwd` lies inside a root: the command sees that one, and no other. Raises Refusal(SANDBOX_UNAVAILABLE)."""
        if not self._state.works:
            raise Refusal(ErrorCode.SANDBOX_UNAVAILABLE, self._state.detail)
        return self._prepare(argv, cwd)

    def _try_all(self) -> tuple[bool, str]:
        found = bwrap.candidates()
        if not found:
            return False, bwrap.missing()
        try:
            self._filter = self._filter or build_filter()
            self._fixed = self._fixed or self._fixed_options()
        except FilterUnavailable as error:
            return False, str(error)
        except OSError as error:
            return False, f"The folder for temporary files cannot be written ({error.strerror}): free some room there."
        complaints = []
        for candidate in found:
            self._bwrap = str(candidate)
            complaint = self._try()
            if not complaint:
                version = self._version()
                return True, f"bubblewrap {version} with a system call filter."
            complaints.append(complaint)
        self._bwrap = ""
        return False, bwrap.diagnosis(complaints[-1])

    def _try(self) -> str:
        """Empty when a command ran and saw itself confined, else what bubblewrap said."""
        try:
            with self._prepare(["/bin/cat", "/proc/self/status"], str(self._roots[0])) as prepared:
                started = prepared.start(subprocess.PIPE, subprocess.PIPE)
            with running(started) as process:
                output, errors = _communicate(process)
            prepared.finish()
        except Refusal as refusal:
            return refusal.message
        except OSError as error:
            return f"{error.strerror}"
        except subprocess.TimeoutExpired:
            return f"no answer within {PROBE_TIMEOUT_S:g} s"
        if process.returncode != 0:
            return errors or f"exit code {process.returncode}"
        missing = [line for line in PROOF if line not in output]
        return f"{bwrap.NOT_CONFINED} ({missing[0].split(':')[0]})" if missing else ""

    def _version(self) -> str:
        done = subprocess.run(  # noqa: S603 - our own command line
            [self._bwrap, "--version"], env={}, capture_output=True, timeout=PROBE_TIMEOUT_S, check=False, text=True
        )
        return done.stdout.strip().removeprefix("bubblewrap ")

    def _prepare(self, argv: Sequence[str], cwd: str) -> Prepared:
        if "\0" in cwd:
            # It would end the word, and what follows would be taken as options.
            raise Refusal(ErrorCode.BAD_REQUEST, "The name of a directory cannot hold a NUL character.")
        holding = [root for root in self._roots if Path(cwd).is_relative_to(root)]
        if not holding:
            raise Refusal(ErrorCode.DENIED, "The directory to work in is outside the allowed ones.")
        root = max(holding, key=lambda path: len(path.parts))
        opened = Descriptors()
        try:
            absent, words = self._guarded(root, opened)
        except OSError:
            # What was found a moment ago is gone: look anew.
            opened.close()
            self._finders[root].forget()
            try:
                absent, words = self._guarded(root, opened)
            except OSError as error:
                opened.close()
                raise Refusal(
                    ErrorCode.SANDBOX_UNAVAILABLE,
                    f"An allowed directory cannot be opened ({error.strerror}): restart the agent if it was moved.",
                ) from None
        try:
            words = [*self._fixed, *words, "--chdir", cwd, "--seccomp", opened.data(self._filter, "seccomp")]
            arguments = opened.data("\0".join([*words, ""]).encode("utf-8", "surrogateescape"), "bwrap")
        except OSError:
            opened.close()
            raise
        line = Line(self._bwrap, ("--args", arguments, "--", *argv), tuple(opened.numbers), self._limits)
        return Prepared(line, opened, absent)

    def _guarded(self, root: Path, opened: Descriptors) -> tuple[list[Path], list[str]]:
        """What is missing and must not be made, and the options for what is there. Raises OSError, Refusal."""
        guard = self._finders[root].guard()
        if not guard.complete:
            raise Refusal(ErrorCode.SANDBOX_UNAVAILABLE, TOO_LARGE)
        mounts = arranged([root], self._read_only, guard)
        if len(mounts) > MOUNTS:
            raise Refusal(ErrorCode.SANDBOX_UNAVAILABLE, TOO_MANY)
        return list(guard.absent), options(mounts, opened)

    def _fixed_options(self) -> list[str]:
        """Those that are the same for every command; makes the bare tree that they begin with."""
        folder = Path(tempfile.mkdtemp(prefix="sidetone-sandbox-"))
        self._remove = weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        top = folder / "root"
        top.mkdir()
        skeleton.build(top, [*self._roots, *self._read_only], self._ids)
        uid, gid = self._ids
        words = ["--unshare-all", "--unshare-user", "--uid", f"{uid}", "--gid", f"{gid}", "--cap-drop", "ALL"]
        words += ["--share-net"] if self._settings.network else []
        words += ["--die-with-parent", "--new-session", "--hostname", "sandbox", "--clearenv"]
        for name, value in self._environment().items():
            words += ["--setenv", name, value]
        words += ["--ro-bind", str(top), "/", "--ro-bind", "/usr", "/usr"]
        for path in skeleton.own_directories():
            words += ["--ro-bind", path, path]
        if self._settings.network:
            words += ["--ro-bind", os.path.realpath("/etc/resolv.conf"), "/etc/resolv.conf"]
        share = max(16 << 20, self._jobs.memory // 8)
        words += ["--proc", "/proc", "--dev", "/dev"]
        for path, size in (("/dev/shm", share), ("/tmp", 2 * share), (skeleton.HOME, 2 * share)):  # noqa: S108
            words += ["--size", f"{size}", "--perms", "1777", "--tmpfs", path]
        return [*words, "--remount-ro", "/dev", "--remount-ro", "/proc"]

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": skeleton.search_path(self._settings.path, self.visible, self._read_only),
            "HOME": skeleton.HOME, "USER": skeleton.USER, "LOGNAME": skeleton.USER, "SHELL": "/bin/bash",
            "LANG": "C.UTF-8", "TERM": "dumb", "TMPDIR": "/tmp",  # noqa: S108
            # Looking for leaks is done by tracing, which the filter refuses.
            "ASAN_OPTIONS": "detect_leaks=0",
            **self._settings.environment,
        }  # fmt: skip


def _ids() -> tuple[int, int]:
    """As whom commands run, in their own eyes. Not as root: tar and npm would try what only root can do."""
    uid = os.getuid()
    return (uid, os.getgid()) if uid else (skeleton.FIRST_ID, skeleton.FIRST_ID)


def _communicate(process: subprocess.Popen[bytes]) -> tuple[str, str]:
    """Raises TimeoutExpired when it has been ended for taking too long."""
    try:
        output, errors = process.communicate(timeout=PROBE_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return output.decode("utf-8", "replace"), errors.decode("utf-8", "replace")
