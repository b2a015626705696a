"""How far a request is, shown on the message that made it. Knows no py-cord."""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol


class State(StrEnum):
    WORKING = "\N{HOURGLASS WITH FLOWING SAND}"
    DONE = "\N{WHITE HEAVY CHECK MARK}"
    REFUSED = "\N{NO ENTRY}"
    FAILED = "\N{CROSS MARK}"


class Mark(Protocol):
    def set(self, state: State) -> None:
        """Takes the place of the state before. Never waits, never fails."""


class NoMark:
    """For what cannot be marked: slash commands have no message."""

    def set(self, state: State) -> None:
        return
