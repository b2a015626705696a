"""Which entries of a watched directory do not count. Thread-safe."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from agent_wsl.ignore import Ignore

ALWAYS = frozenset({".git", "node_modules", "__pycache__", ".venv", "target"})
"""Directories that programs fill, whether a .gitignore names them or not."""


class Rules:
    """Those of the whole allowed directory, unless they leave out the very directory that is to be watched."""

    def __init__(self, watched: str, root: str) -> None:
        self._watched = watched.rstrip("/")
        self._base = root.rstrip("/")
        self._lock = threading.Lock()
        self._ignore = Ignore(Path(root))
        if watched != root and self._ignore.ignored(os.path.relpath(watched, root), True):
            self._base = self._watched
            self._ignore = Ignore(Path(watched))

    def ignored(self, path: str, is_directory: bool) -> bool:
        """Of an absolute path below the watched directory."""
        names = path[len(self._watched) + 1 :].split("/")
        if not ALWAYS.isdisjoint(names if is_directory else names[:-1]):
            return True
        with self._lock:
            return self._ignore.ignored(path[len(self._base) + 1 :], is_directory)

    def refresh(self) -> None:
        """For when a .gitignore changed."""
        with self._lock:
            self._ignore.refresh()
