"""Which engine took how much memory, when several load at the same time in one process. Approximate by nature."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from threading import Lock


@dataclass(frozen=True, slots=True)
class Sample:
    """Memory of the whole process at a moment."""

    t: float
    """Seconds on any clock."""
    rss: int
    """Bytes."""


@dataclass(frozen=True, slots=True)
class Load:
    """The time during which one engine was loading."""

    name: str
    start: float
    """Seconds on the clock of the samples."""
    end: float


def share(samples: Sequence[Sample], loads: Sequence[Load]) -> dict[str, int]:
    """Bytes per engine: the growth between two samples is split equally among the engines loading in between.

    Approximate: growth that happens in a shared interval cannot be told apart, and memory that is mapped or touched
    after loading is not seen. Within those limits nothing is invented: the shares add up to the growth while anything
    was loading. Memory given back counts against whoever was loading then, but no engine ends below zero.
    """
    taken = dict.fromkeys((load.name for load in loads), 0.0)
    ordered = sorted(samples, key=lambda sample: sample.t)
    for before, after in pairwise(ordered):
        middle = (before.t + after.t) / 2
        active = [load.name for load in loads if load.start <= middle <= load.end]
        for name in active:
            taken[name] += (after.rss - before.rss) / len(active)
    return {name: max(0, round(size)) for name, size in taken.items()}


def process_rss() -> int:
    """Bytes of this process in physical memory."""
    import psutil

    return int(psutil.Process().memory_info().rss)


def free_memory() -> int:
    """Bytes that could be had without swapping."""
    import psutil

    return int(psutil.virtual_memory().available)


class MemoryLedger:
    """Takes a sample at every start and end of a load. `track` may be used from several tasks and threads at once.

    `measure` is what is counted: the process by default, a GPU's own counter for engines that live there.
    """

    def __init__(self, measure: Callable[[], int] = process_rss) -> None:
        self._measure = measure
        self._samples: list[Sample] = []
        self._loads: list[Load] = []
        self._lock = Lock()

    @contextmanager
    def track(self, name: str) -> Iterator[None]:
        with self._lock:
            started = self._sample()
            index = len(self._loads)
            self._loads.append(Load(name, started, float("inf")))
        try:
            yield
        finally:
            with self._lock:
                self._loads[index] = replace(self._loads[index], end=self._sample())

    def taken(self) -> dict[str, int]:
        """Bytes per engine so far; loads in progress count up to their neighbours' last start or end."""
        with self._lock:
            return share(self._samples, self._loads)

    def _sample(self) -> float:
        # Only the order counts, so the number of the sample is clock enough.
        now = float(len(self._samples))
        self._samples.append(Sample(now, self._measure()))
        return now
