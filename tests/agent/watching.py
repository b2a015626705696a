"""A watcher on a real directory, and what it reported, in tests."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent_wsl.config import WatchSettings
from agent_wsl.files.root import Roots
from agent_wsl.protocol import Change, Changes
from agent_wsl.watching.mounts import Method
from agent_wsl.watching.watcher import Watcher

PROJECT = Path(__file__).parents[2]
Row = tuple[str, ...]
"""Kind, path below the root, and for a move the old path."""


class Watched:
    """`root` is the allowed directory; `code` in it is watched."""

    def __init__(self, root: Path, watcher: Watcher) -> None:
        self.root = root
        self.code = root / "code"
        self.watcher = watcher
        self.cursor = ""
        self.seen: list[Change] = []
        self._sentinels = 0

    def from_now(self) -> None:
        self.cursor = self.watcher.changes(Changes("now")).cursor
        self.seen = []

    def until(self, enough: Callable[[list[Change]], object], timeout_s: float = 20) -> list[Change]:
        """Reads until `enough` says so of all changes since the last `from_now`."""
        deadline = time.monotonic() + timeout_s
        while not enough(self.seen):
            left = deadline - time.monotonic()
            assert left > 0, f"did not come; seen: {[self.row(change) for change in self.seen]}"
            answer = self.watcher.changes(Changes(self.cursor, wait_s=min(1.0, left)))
            assert answer.lost == 0
            self.cursor = answer.cursor
            self.seen += answer.changes
        return self.seen

    def rows(self) -> list[Row]:
        """What is reported before a file that is made now; that one comes to rest after all others."""
        time.sleep(0.005)
        self._sentinels += 1
        sentinel = self.code / f"sentinel-{self._sentinels}"
        sentinel.write_text(str(self._sentinels), encoding="utf-8")
        found = self.until(lambda seen: any(change.path == str(sentinel) for change in seen))
        rows = [self.row(change) for change in found if change.path != str(sentinel)]
        self.seen = []
        return rows

    def row(self, change: Change) -> Row:
        names = [os.path.relpath(path, self.root) for path in (change.path, change.moved_from) if path]
        return (change.kind, *names)

    def lines(self) -> list[str]:
        return [line for change in self.seen for line in change.lines]

    def notes(self) -> list[str]:
        return [change.note for change in self.seen if change.note]

    def until_lines(self, *expected: str) -> None:
        self.until(lambda seen: len(self.lines()) >= len(expected))
        assert self.lines() == list(expected)


@contextmanager
def watched(
    root: Path, monkeypatch: pytest.MonkeyPatch, method: str = "inotify", add: bool = True, history: int = 100_000
) -> Iterator[Watched]:
    """`method` is forced; "real" leaves the choice to the mount table."""
    root = root.resolve()
    (root / "code").mkdir(exist_ok=True)
    if method != "real":
        monkeypatch.setattr(Watcher, "_method", lambda self, path: Method(method, "forced"))
    roots = Roots([root])
    watcher = Watcher(roots, WatchSettings((), 0.1, history))
    try:
        state = Watched(root, watcher)
        if add:
            assert watcher.add("code").method == method or method == "real"
        state.from_now()
        yield state
    finally:
        began = time.monotonic()
        watcher.close()
        roots.close()
        assert time.monotonic() - began < 2


def in_namespace(script: str, root: Path, *options: str, user: str = "--map-root-user") -> None:
    """Runs a script as root of its own user namespace, where limits and mounts are nobody else's; or with
    `--map-user=1000` as a user without privileges. In the script: `root`, `watched(...)`, `limit(name, number)`."""
    command = ["unshare", "--user", user, *options]
    if subprocess.run([*command, "true"], check=False, capture_output=True).returncode:
        pytest.skip("this machine allows no user namespaces")
    head = (
        "import os, subprocess, sys, time, pytest\nfrom pathlib import Path\n"
        "from tests.agent.watching import *\n"
        "root, monkeypatch = Path(sys.argv[1]), pytest.MonkeyPatch()\n"
        "def limit(name, number): Path('/proc/sys/user', name).write_text(str(number), encoding='ascii')\n"
    )
    done = subprocess.run(
        [*command, sys.executable, "-c", head + script, str(root)],
        cwd=PROJECT, check=False, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
