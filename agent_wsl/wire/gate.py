"""Wrong keys slow an address down. Pure."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

FREE_TRIES = 3
FIRST_DELAY_S = 1.0
LONGEST_DELAY_S = 8.0
FORGET_S = 120.0
"""Without a wrong try, after which an address is as good as new."""
ADDRESSES = 4096
"""Remembered at most; the oldest is forgotten."""


@dataclass(slots=True)
class _Record:
    failures: int
    last: float


class Gate:
    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._records: dict[str, _Record] = {}

    def delay(self, address: str) -> float:
        """Seconds that the next handshake from there has to wait: 0, then 1, 2, 4, 8 after three wrong keys."""
        with self._lock:
            record = self._records.get(address)
            if record and self._clock() - record.last > FORGET_S:
                del self._records[address]
                record = None
            failures = record.failures if record else 0
        if failures < FREE_TRIES:
            return 0.0
        return float(min(LONGEST_DELAY_S, FIRST_DELAY_S * 2 ** min(failures - FREE_TRIES, 10)))

    def failed(self, address: str) -> None:
        with self._lock:
            record = self._records.pop(address, _Record(0, 0.0))
            record.failures += 1
            record.last = self._clock()
            # Put in anew, so that the dict's order is that of the last failure.
            self._records[address] = record
            if len(self._records) > ADDRESSES:
                del self._records[next(iter(self._records))]

    def passed(self, address: str) -> None:
        with self._lock:
            self._records.pop(address, None)
