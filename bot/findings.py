"""What the sentinel finds in logs, command output and pasted text; shared by it and those who show or explain it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TraceFrame:
    """One place that an error names."""

    path: str
    """As the error names it."""
    line: int | None
    """From 1."""
    column: int | None = None
    """From 1."""
    function: str = ""
    in_project: bool = True
    """Whether it is the project's own code, not the standard library's or a dependency's."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One error, however often it came."""

    language: str
    """"python", "node", "typescript", "java", "go", "rust", "c", "dotnet", "ruby", "php", "shell", or a tool's name."""
    type: str
    """"ZeroDivisionError", "TS2322", "error[E0308]"; empty when the error has none."""
    message: str
    frames: tuple[TraceFrame, ...]
    """As the error lists them."""
    top: TraceFrame | None
    """Where to look first: the project's own frame nearest to the error."""
    text: str
    """The lines it was found in, without colours, at most some kilobytes."""
    source: str
    """A log's path, "job 12", "pasted"."""
    fingerprint: str
    """Equal for the same error at the same place, whatever the numbers and addresses in it."""
    count: int = 1
    first_seen: float = 0.0
    """Seconds since 1970 (UTC)."""
    last_seen: float = 0.0
    """Seconds since 1970 (UTC)."""
