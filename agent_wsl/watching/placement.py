"""Which kernel watch serves which target: a directory that several targets cover is watched once."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import partial
from typing import Generic, TypeVar

from agent_wsl.watching.inotify import Inotify
from agent_wsl.watching.mounts import within

T = TypeVar("T", bound=Hashable)


class Placement(Generic[T]):
    def __init__(self) -> None:
        self.kernel: Inotify | None = None
        self._directories: dict[T, dict[str, int]] = {}
        """For each target: directory -> kernel watch."""
        self._owners: dict[int, dict[T, str]] = {}
        """For each kernel watch: the targets that it serves, and the directory's path in each."""

    @property
    def targets(self) -> list[T]:
        return list(self._directories)

    def enter(self, target: T) -> None:
        self._directories.setdefault(target, {})

    def drop(self, target: T) -> None:
        self.leave_below(target, "/")
        self._directories.pop(target, None)

    def directories(self, target: T) -> list[str]:
        return list(self._directories.get(target, {}))

    def served_by(self, watch: int) -> list[tuple[T, str]]:
        return list(self._owners.get(watch, {}).items())

    def place(self, target: T, directory: str, descriptor: int) -> None:
        """Raises Exhausted or OSError."""
        if self.kernel is None:
            return
        watch = self.kernel.add(descriptor)
        known = self._directories[target]
        if known.get(directory, watch) != watch:
            self.leave(target, directory)
        owners = self._owners.setdefault(watch, {})
        if owners.get(target, directory) != directory:
            known.pop(owners[target], None)
        owners[target] = directory
        known[directory] = watch

    def placer(self, target: T) -> Callable[[str, int], None]:
        return partial(self.place, target)

    def leave_below(self, target: T, path: str) -> None:
        for directory in self.directories(target):
            if within(directory, path):
                self.leave(target, directory)

    def leave(self, target: T, directory: str) -> None:
        watch = self._directories.get(target, {}).pop(directory, None)
        if watch is None:
            return
        owners = self._owners.get(watch, {})
        owners.pop(target, None)
        if not owners:
            self._owners.pop(watch, None)
            if self.kernel is not None:
                self.kernel.remove(watch)
