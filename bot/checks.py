"""One line of `python -m bot doctor`, for the rooms that look at something of their own."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Check:
    what: str
    state: str
    """"ok", "warn" (works without it) or "fail"."""
    found: str
    fix: str = ""
    link: str = ""
    """For the fix; printed below the table, where it can be copied."""
