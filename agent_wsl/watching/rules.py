"""Which entries of a watched directory do not count. Thread-safe."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from agent_wsl.files.ignore import Ignore

ALWAYS = frozenset({".git", "node_modules", "__pycache__", ".venv", "target"})
"""Directories that programs fill, whether a .gitignore names them or not."""


class Rules:
    """Those of the whole allowed directory, unless they leave out the very directory that is to be watched."""

    def __init__(self, watched: str, root: str) -> None:
        self._watched = watched.rstrip("/")
        self._base = root
        self._lock = threading.Lock()
        self._ignore = Ignore(Path(root))
        if watched != root and self._ignore.ignored(os.path.relpath(watched, root), True):
            self._base = watched
            self._ignore = Ignore(Path(watched))
        self._before: Ignore | None = None

    def ignored(self, path: str, is_directory: bool) -> bool:
        """Of an absolute path below the watched directory."""
        names = path[len(self._watched) + 1 :].split("/")
        if not ALWAYS.isdisjoint(names if is_directory else names[:-1]):
            return True
        with self._lock:
            return self._ignore.ignored(self._relative(path), is_directory)

    def refresh(self) -> None:
        """For when a .gitignore changed."""
        with self._lock:
            self._before = self._before or self._ignore
            self._ignore = Ignore(Path(self._base))

    def was_ignored(self, path: str, is_directory: bool) -> bool:
        """Before `refresh`: it is no news then that the file is there."""
        with self._lock:
            return self._before is not None and self._before.ignored(self._relative(path), is_directory)

    def forget_before(self) -> None:
        with self._lock:
            self._before = None

    def _relative(self, path: str) -> str:
        return path[len(self._base.rstrip("/")) + 1 :]
