"""The calls of the wire, their results and limits. Standard library only; the bot imports this file.

All paths are absolute paths of the agent's machine, or relative to the first allowed directory. Times are seconds;
points in time are seconds since 1970 (UTC). Sizes are bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any

from agent_wsl.codec import Range, Size
from agent_wsl.envelope import MAX_CHUNK, MAX_WAIT_S, VERSION, Call

Path = Annotated[str, Size(4096, 1)]
JobId = Annotated[str, Size(40, 1)]
Wait = Annotated[float, Range(0, MAX_WAIT_S)]
Argv = Annotated[tuple[Annotated[str, Size(65536)], ...], Size(1024, 1)]


# --- hello ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Limits:
    max_file_size: int
    rate_per_minute: int
    """Calls that read, watch or run, per user."""
    jobs_at_once: int
    job_timeout_s: float
    """The longest that may be asked for."""
    job_output: int
    """Bytes of output kept per job."""
    job_memory: int
    job_processes: int


@dataclass(frozen=True, slots=True)
class SandboxState:
    works: bool
    detail: str
    """What confines commands, or why they are refused and what to do."""
    network: bool
    """Whether commands have one."""


@dataclass(frozen=True, slots=True)
class HelloResult:
    version: int
    roots: tuple[str, ...]
    """Allowed directories; relative paths start at the first."""
    limits: Limits
    sandbox: SandboxState
    allowed_commands: tuple[str, ...]
    """Commands, as one line each, that need no approval; longer ones that begin so need none either."""
    uptime_s: float


@dataclass(frozen=True, slots=True)
class Hello(Call[HelloResult]):
    """The version is compared first: VERSION_MISMATCH."""

    NAME = "hello"
    RESULT = HelloResult
    version: int = VERSION


# --- files ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FileText:
    path: str
    """The path as it is known to the agent, absolute."""
    size: int
    modified: float
    binary: bool
    """Then `text` is empty."""
    encoding: str
    """"utf-8", "utf-16-le", "utf-16-be"; empty for binary."""
    text: str
    """Whole lines, ends as in the file; a line longer than the page is cut, and `cut` says so."""
    offset: int
    """Lines before the first one in `text`."""
    lines: int
    """Lines in `text`."""
    next_offset: int | None
    """None at the end of the file."""
    cut: bool = False


@dataclass(frozen=True, slots=True)
class ReadFile(Call[FileText]):
    """DENIED, NOT_FOUND, WRONG_TYPE, TOO_LARGE (over `max_file_size`), UNREADABLE (names the first wrong byte)."""

    NAME = "read_file"
    RESULT = FileText
    path: Path
    offset: Annotated[int, Range(0, 1e12)] = 0
    """Lines to skip."""
    limit: Annotated[int, Range(1, 100_000)] = 2000
    """Lines at most."""


@dataclass(frozen=True, slots=True)
class Entry:
    name: str
    kind: str
    """"file", "directory", "symlink" or "other"."""
    size: int
    modified: float


@dataclass(frozen=True, slots=True)
class Listing:
    path: str
    entries: tuple[Entry, ...]
    """Directories first, then by name."""
    truncated: int
    """Entries left out."""


@dataclass(frozen=True, slots=True)
class ListDir(Call[Listing]):
    """DENIED, NOT_FOUND, WRONG_TYPE, UNREADABLE."""

    NAME = "list_dir"
    RESULT = Listing
    path: Path
    limit: Annotated[int, Range(1, 10_000)] = 1000


@dataclass(frozen=True, slots=True)
class Hit:
    path: str
    line: int
    """From 1."""
    column: int
    """From 1, in characters."""
    text: str
    """The line, at most 500 characters of it, around the hit."""


@dataclass(frozen=True, slots=True)
class SearchResult:
    hits: tuple[Hit, ...]
    files: int
    """Files read."""
    skipped: int
    """Files left out: binary, too large, unreadable."""
    stopped: str
    """"" when all was searched, else "hits" or "time"."""


@dataclass(frozen=True, slots=True)
class Search(Call[SearchResult]):
    """DENIED, NOT_FOUND, BAD_PATTERN. Honours .gitignore. `path` is a directory or a file."""

    NAME = "search"
    RESULT = SearchResult
    pattern: Annotated[str, Size(1000, 1)]
    path: Path = "."
    glob: Annotated[str, Size(400)] = ""
    """"*.py" (any depth) or "src/**/*.ts"; empty for all files."""
    regex: bool = False
    """RE2 syntax (no look-around, no back-references); else literal."""
    ignore_case: bool = False
    limit: Annotated[int, Range(1, 2000)] = 200


# --- watching ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Watch:
    path: str
    kind: str
    """"directory" or "log" (a file whose appended lines are reported)."""
    method: str
    """"inotify" or "polling"."""
    reason: str
    """Why this method: "ext4", "9p does not report changes made on the Windows side", "inotify is exhausted"."""


@dataclass(frozen=True, slots=True)
class WatchAdd(Call[Watch]):
    """A directory (with all below it) or a log file. Twice is once. DENIED, NOT_FOUND, WRONG_TYPE, BUSY."""

    NAME = "watch_add"
    RESULT = Watch
    path: Path


@dataclass(frozen=True, slots=True)
class Done:
    pass


@dataclass(frozen=True, slots=True)
class WatchRemove(Call[Done]):
    """NOT_FOUND when it is not watched."""

    NAME = "watch_remove"
    RESULT = Done
    path: Path


@dataclass(frozen=True, slots=True)
class WatchList:
    watches: tuple[Watch, ...]


@dataclass(frozen=True, slots=True)
class Watches(Call[WatchList]):
    NAME = "watches"
    RESULT = WatchList


@dataclass(frozen=True, slots=True)
class Change:
    time: float
    path: str
    kind: str
    """"created", "modified", "deleted", "moved" (then `path` is the new name), "lines" (appended to a log)."""
    moved_from: str = ""
    lines: tuple[str, ...] = ()
    """Whole lines without their ends, for "lines"; undecodable bytes as U+FFFD."""
    note: str = ""
    """"rotated", "truncated", "N bytes skipped", "rescan" (events were lost; the tree was compared anew)."""


@dataclass(frozen=True, slots=True)
class ChangeList:
    cursor: str
    """Send it with the next call."""
    changes: tuple[Change, ...]
    lost: int
    """Changes after the given cursor that fell out of the history; -1 when the agent was restarted in between."""


@dataclass(frozen=True, slots=True)
class Changes(Call[ChangeList]):
    """Long poll: returns at once when there is something after the cursor, else within `wait_s`."""

    NAME = "changes"
    RESULT = ChangeList
    cursor: Annotated[str, Size(80)] = ""
    """Empty: from the oldest change that is kept. "now": from now on (returns at once, with the cursor)."""
    wait_s: Wait = 0.0
    limit: Annotated[int, Range(1, 1000)] = 500


# --- jobs -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class JobStatus:
    job_id: str
    command: str
    """For people, quoted as a shell would."""
    cwd: str
    state: str
    """"queued", "running" or "done"."""
    started: float
    duration_s: float
    cpu_s: float
    """User and system time of all its processes that have been waited for."""
    peak_memory: int
    """The largest resident set of any one of its processes, as far as seen."""
    output: int
    """Bytes written so far, kept or not."""
    gap: tuple[int, ...]
    """() or (from, to): the offsets of output that was not kept."""
    exit_code: int | None = None
    """As a shell would report it: 128 + signal when a signal ended it (a command that itself exits with 137 cannot be
    told from one that SIGKILL ended)."""
    signal: str = ""
    """"SIGKILL", ..., when one ended it."""
    ended_by: str = ""
    """"exit", "signal", "timeout", "killed" (by job_kill), "memory", "processes", "disk", "stopping"."""


@dataclass(frozen=True, slots=True)
class Run(Call[JobStatus]):
    """Exactly one of `argv` and `shell`. APPROVAL_NEEDED, APPROVAL_INVALID, SANDBOX_UNAVAILABLE, BUSY, DENIED (cwd),
    NOT_FOUND (cwd). A program that does not exist ends as a shell reports it: exit code 127."""

    NAME = "run"
    RESULT = JobStatus
    argv: Argv | None = None
    shell: Annotated[str, Size(65536, 1)] | None = None
    """One line for `bash -c`. Never allow-listed."""
    cwd: Path = "."
    timeout_s: Annotated[float, Range(0.1, 86400)] | None = None
    """None takes the agent's default; more than its maximum is BAD_REQUEST."""
    approval: Annotated[str, Size(200)] | None = None
    wait_s: Wait = 0.0
    """For its end, before the answer: saves a call for what is quick."""


@dataclass(frozen=True, slots=True)
class GetJob(Call[JobStatus]):
    """NOT_FOUND also for another user's job. `wait_s` waits for the end of the job."""

    NAME = "job_status"
    RESULT = JobStatus
    job_id: JobId
    wait_s: Wait = 0.0


@dataclass(frozen=True, slots=True)
class OutputChunk:
    offset: int
    """Of the first byte of `data`: later than asked for when what was asked for is in the gap."""
    data: str
    """Base64 of the bytes; standard output and standard error as they came."""
    next_offset: int
    skipped: int
    """Bytes between the offset asked for and `offset`: they fell into the gap."""
    done: bool
    """The job has ended and there is nothing after this."""


@dataclass(frozen=True, slots=True)
class JobOutput(Call[OutputChunk]):
    """Long poll, for any number of readers. NOT_FOUND."""

    NAME = "job_output"
    RESULT = OutputChunk
    job_id: JobId
    offset: Annotated[int, Range(0, 2**62)] = 0
    wait_s: Wait = 0.0
    limit: Annotated[int, Range(1, MAX_CHUNK)] = 64 << 10


@dataclass(frozen=True, slots=True)
class JobKill(Call[JobStatus]):
    """SIGTERM, two seconds later SIGKILL, for the whole tree. Of an ended job: its status. NOT_FOUND."""

    NAME = "job_kill"
    RESULT = JobStatus
    job_id: JobId


@dataclass(frozen=True, slots=True)
class JobList:
    jobs: tuple[JobStatus, ...]
    """The user's, newest first."""


@dataclass(frozen=True, slots=True)
class Jobs(Call[JobList]):
    NAME = "jobs"
    RESULT = JobList


# --- selftest ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Attempt:
    name: str
    held: bool
    detail: str
    """What the attempt met, or what it got."""


@dataclass(frozen=True, slots=True)
class SelftestResult:
    attempts: tuple[Attempt, ...] = field(default=())
    works: bool = False
    """All held."""


@dataclass(frozen=True, slots=True)
class Selftest(Call[SelftestResult]):
    """Tries to break out of the sandbox, on this machine. Takes up to a minute."""

    NAME = "selftest"
    RESULT = SelftestResult


CALLS: dict[str, type[Call[Any]]] = {
    call.NAME: call
    for call in (
        Hello, ReadFile, ListDir, Search, WatchAdd, WatchRemove, Watches, Changes,
        Run, GetJob, JobOutput, JobKill, Jobs, Selftest,
    )
}  # fmt: skip
