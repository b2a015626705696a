"""What the tool agent gives and takes, in the bot's own words; shared by those who use it and the one who asks it.

Points in time are seconds since 1970 (UTC), sizes are bytes.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FilePage:
    path: str
    """Absolute, on the agent's machine."""
    size: int
    binary: bool
    """Then there is no text."""
    text: str
    first_line: int
    """Number of the first line in `text`, from 1."""
    lines: int
    more: bool
    """Whether the file goes on after these lines."""
    cut: bool
    """Whether a line was too long for the page."""


@dataclass(frozen=True, slots=True)
class Hit:
    path: str
    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Hits:
    hits: tuple[Hit, ...]
    files: int
    """Files read."""
    skipped: int
    """Files left out: binary, too large, unreadable."""
    stopped: str
    """"" when all was searched, else "hits" or "time"."""


@dataclass(frozen=True, slots=True)
class Watched:
    path: str
    kind: str
    """"directory" or "log"."""
    reason: str
    """How it is watched and why so."""


@dataclass(frozen=True, slots=True)
class Change:
    time: float
    path: str
    kind: str
    """"created", "modified", "deleted", "moved", "lines"."""
    moved_from: str
    lines: tuple[str, ...]
    """What was appended to a log."""
    note: str


@dataclass(frozen=True, slots=True)
class Changes:
    cursor: str
    """Goes with the next question."""
    changes: tuple[Change, ...]
    lost: int
    """Changes that are not kept any more; -1 when the agent was restarted in between."""


@dataclass(frozen=True, slots=True)
class Command:
    """What is to be run: words, or one line for a shell."""

    words: tuple[str, ...]
    for_shell: bool = False

    @property
    def text(self) -> str:
        """As a shell would take it; for people, and for a shell."""
        return self.words[0] if self.for_shell else shlex.join(self.words)


@dataclass(frozen=True, slots=True)
class Job:
    job_id: str
    command: str
    """For people, quoted as a shell would."""
    cwd: str
    state: str
    """"queued", "running" or "done"."""
    started: float
    duration_s: float
    exit_code: int | None
    signal: str
    """"SIGKILL", ..., when one ended it."""
    ended_by: str
    """"exit", "signal", "timeout", "killed", "memory", "processes", "disk", "stopping"; empty while it runs."""


@dataclass(frozen=True, slots=True)
class Output:
    data: bytes
    next_offset: int
    skipped: int
    """Bytes before `data` that were not kept."""
    done: bool
    """The job has ended and there is nothing after this."""
