"""Searching a tree by descriptors beneath its root: never through a symbolic link, bounded in time and hits."""

from __future__ import annotations

import codecs
import os
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from agent_wsl.envelope import MAX_REPLY, ErrorCode
from agent_wsl.errors import Refusal
from agent_wsl.files.beneath import READING
from agent_wsl.files.ignore import Ignore
from agent_wsl.files.names import shown
from agent_wsl.files.pattern import Glob, LinePattern, windows
from agent_wsl.files.root import Opened, Roots
from agent_wsl.files.text import HEAD, PIECE, encoding_of, json_length, pieces
from agent_wsl.protocol import Hit, Search, SearchResult

TIME_S = 10.0
ANSWERED = MAX_REPLY // 2
"""Bytes of JSON that the hits may take."""
HIT_COST = 80
"""Bytes of JSON of a hit without its path and text."""


class _Stopped(Exception):
    """`args[0]` is what SearchResult.stopped says."""


@dataclass(slots=True)
class _Run:
    """One search and what it has found so far."""

    pattern: LinePattern
    glob: Glob
    limit: int
    over: Callable[[], bool]
    """Whether the time is up."""
    hits: list[Hit] = field(default_factory=list)
    cost: int = 0
    files: int = 0
    skipped: int = 0

    def keep_going(self) -> None:
        if self.over():
            raise _Stopped("time")

    def add(self, hit: Hit) -> None:
        self.cost += HIT_COST + json_length(hit.path) + json_length(hit.text)
        if len(self.hits) >= self.limit or self.cost > ANSWERED:
            raise _Stopped("hits")
        self.hits.append(hit)


class Searcher:
    def __init__(
        self,
        roots: Roots,
        max_file_size: int,
        clock: Callable[[], float] = time.monotonic,
        time_limit_s: float = TIME_S,
    ) -> None:
        self._roots = roots
        self._max = max_file_size
        self._clock = clock
        self._time_limit_s = time_limit_s

    def search(self, call: Search) -> SearchResult:
        until = self._clock() + self._time_limit_s
        pattern, glob = LinePattern(call.pattern, call.regex, call.ignore_case), Glob(call.glob)
        run = _Run(pattern, glob, call.limit, lambda: self._clock() >= until)
        stopped = ""
        with self._roots.open(call.path) as start:
            try:
                if start.is_dir:
                    self._tree(run, start)
                else:
                    self._file(run, start.fd, start.path)
            except _Stopped as reason:
                stopped = reason.args[0]
            except OSError as error:
                message = f"{shown(call.path)} cannot be searched: {os.strerror(error.errno or 0)}."
                raise Refusal(ErrorCode.UNREADABLE, message) from None
        return SearchResult(tuple(run.hits), run.files, run.skipped, stopped)

    def _tree(self, run: _Run, start: Opened) -> None:
        ignored = self._ignored(start)
        waiting = [""]
        while waiting:
            place = waiting.pop()
            try:
                directory = self._roots.opener.open(
                    start.fd, os.fsencode(place or "."), READING | os.O_DIRECTORY, links=False
                )
            except OSError:
                run.skipped += 1
                continue
            try:
                names, below = _contents(run, directory)
                for name in names:
                    path = f"{place}{name}"
                    whole = f"{start.path}/{path}"
                    if run.glob.matches(path) and not ignored(path, False) and not self._hidden(run, whole, start.root):
                        self._entry(run, directory, name, whole)
            finally:
                os.close(directory)
            waiting += [f"{place}{name}/" for name in reversed(below) if not ignored(f"{place}{name}", True)]

    def _hidden(self, run: _Run, path: str, root: int) -> bool:
        hidden = self._roots.hides(path, root)
        run.skipped += hidden
        return hidden

    def _ignored(self, start: Opened) -> Callable[[str, bool], bool]:
        """By the rules from the root down; by those below `start` alone when `start` itself is ignored, since who
        names an ignored directory wants to see into it."""
        root = os.fspath(self._roots.paths[start.root])
        below = start.path.removeprefix(root).strip("/")
        whole = Ignore(Path(f"/proc/self/fd/{self._roots.fds[start.root]}"))
        if start.path.startswith(root) and not whole.ignored(below, True):
            return lambda path, is_dir: whole.ignored(os.path.join(below, path), is_dir)
        return Ignore(Path(f"/proc/self/fd/{start.fd}")).ignored

    def _entry(self, run: _Run, directory: int, name: str, path: str) -> None:
        run.keep_going()
        try:
            descriptor = self._roots.opener.open(directory, os.fsencode(name), READING, links=False)
        except OSError:
            run.skipped += 1
            return
        try:
            self._file(run, descriptor, path)
        except OSError:
            run.skipped += 1
        finally:
            os.close(descriptor)

    def _file(self, run: _Run, descriptor: int, path: str) -> None:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1 or status.st_size > self._max:
            run.skipped += 1
            return
        first = os.pread(descriptor, PIECE, 0)
        encoding, mark = encoding_of(first[:HEAD])
        if not encoding:
            run.skipped += 1
            return
        rest = pieces(descriptor, len(first), self._max) if len(first) != status.st_size else iter(())
        parts = chain((first[mark:],), rest)
        try:
            _search_text(run, parts if encoding == "utf-8" else _as_utf8(parts, encoding), path)
        except Refusal:
            # It grew over the limit meanwhile.
            run.skipped += 1
            return
        run.files += 1


def _contents(run: _Run, directory: int) -> tuple[list[str], list[str]]:
    """Names of the regular files and of the directories, sorted."""
    files, directories = [], []
    with os.scandir(directory) as entries:
        for entry in entries:
            run.keep_going()
            if entry.is_dir(follow_symlinks=False):
                directories.append(entry.name)
            elif entry.is_file(follow_symlinks=False):
                files.append(entry.name)
    return sorted(files), sorted(directories)


def _as_utf8(parts: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    for part in parts:
        yield decoder.decode(part).encode("utf-8")


def _search_text(run: _Run, parts: Iterator[bytes], path: str) -> None:
    line, column = 1, 1
    for window in windows(parts, run.pattern.window, run.pattern.longest):
        run.keep_going()
        # As `$` means the end of what one sees of a line.
        data = window.replace(b"\r\n", b"\n")
        for found in run.pattern.found(data):
            run.add(Hit(path, line + found.line, found.column + (1 if found.line else column), found.text))
            run.keep_going()
        ends = data.count(b"\n")
        tail = len(data[data.rfind(b"\n") + 1 :].decode("utf-8", "replace"))
        line, column = line + ends, (1 if ends else column) + tail
