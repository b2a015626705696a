"""Sources of bytes in, findings out: every source's stream, every process in it, and what has been found so far."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Sequence

from bot.findings import Finding, TraceFrame
from bot.sentinel import (
    c,
    compilers,
    dotnet,
    go,
    java,
    jest,
    node,
    packages,
    php,
    prefix,
    pytest,
    python,
    ruby,
    rust,
    shell,
)
from bot.sentinel.block import Draft, Grammar
from bot.sentinel.ledger import Ledger
from bot.sentinel.matchers import Matcher
from bot.sentinel.project import Project, fingerprint, top
from bot.sentinel.reader import Openers, Reader
from bot.sentinel.stream import Prefilter, Stream

GRAMMARS: tuple[Grammar, ...] = (
    pytest.GRAMMAR,
    python.GRAMMAR,
    jest.GRAMMAR,
    *compilers.GRAMMARS[:3],
    go.GRAMMAR,
    *compilers.GRAMMARS[3:],
    rust.GRAMMAR,
    php.GRAMMAR,
    ruby.GRAMMAR,
    c.GRAMMAR,
    java.GRAMMAR,
    dotnet.GRAMMAR,
    node.GRAMMAR,
    packages.GRAMMAR,
    shell.GRAMMAR,
)
"""In the order in which they may have a line: those that need more evidence first."""
MAX_SOURCES = 64
MAX_PROCESSES = 32
"""Of one source; the one that was silent longest is forgotten."""
MAX_TEXT = 6000
"""Characters of a finding's text: its beginning and, more of it, its end."""
QUIET_S = 2.0
REMEMBERED_LINES = 2000
_HUNK = re.compile(r"@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@")


class Hunk:
    """Lines of a diff are somebody's text. How many there are its heading says."""

    def __init__(self) -> None:
        self._old = self._new = 0

    def has(self, line: str) -> bool:
        if self._old > 0 or self._new > 0:
            first = line[:1] or " "
            if first in " +-\\":
                self._old -= first in " -"
                self._new -= first in " +"
                return True
            self._old = self._new = 0
        if line.startswith("@@ ") and (found := _HUNK.match(line)):
            self._old, self._new = int(found[1] or 1), int(found[2] or 1)
            return True
        return False


class Source:
    def __init__(self, prefilter: Prefilter, openers: Openers) -> None:
        self._stream = Stream(prefilter)
        self._openers = openers
        self._readers: OrderedDict[str, Reader] = OrderedDict()
        self._hunk = Hunk()
        self._since_error = REMEMBERED_LINES
        """Lines since the last error that said what is wrong."""
        self.pending = False
        self.fed_at = 0.0

    def feed(self, data: bytes) -> list[Draft]:
        self.pending = True
        found: list[Draft] = []
        for line in self._stream.feed(data):
            found += self._line(line)
        return found

    def flush(self) -> list[Draft]:
        self.pending = False
        found: list[Draft] = []
        for line in self._stream.flush():
            found += self._line(line)
        for reader in self._readers.values():
            found += self._told(reader.flush())
        self._stream.attentive = False
        return found

    def _line(self, line: str) -> list[Draft]:
        self._since_error += 1
        if self._hunk.has(line):
            return []
        process, line = prefix.split(line)
        reader = self._readers.get(process)
        if reader is None:
            reader = self._readers[process] = Reader(self._openers)
            if len(self._readers) > MAX_PROCESSES:
                self._readers.popitem(last=False)
        elif process:
            self._readers.move_to_end(process)
        if line[:1] == "{" and line[-1:] == "}" and '":' in line and not reader.busy:
            # A record for machines; what it quotes was told elsewhere.
            return []
        drafts = reader.line(line)
        self._stream.attentive = reader.busy or any(other.busy for other in self._readers.values())
        return self._told(drafts) if drafts else []

    def _told(self, drafts: Sequence[Draft]) -> list[Draft]:
        told = []
        for draft in drafts:
            if not draft.secondary:
                self._since_error = 0
                told.append(draft)
            elif self._since_error >= REMEMBERED_LINES:
                told.append(draft)
                # A summary names each failed test; a build that fails goes up through its callers.
                self._since_error = REMEMBERED_LINES if draft.language == "python" else 0
        return told


class Sentinel:
    """Implements ports.Detector."""

    def __init__(self, clock: Callable[[], float], roots: Sequence[str] = (), matchers: Sequence[Matcher] = ()) -> None:
        """`clock`: seconds since 1970 (UTC)."""
        self._clock = clock
        self._project = Project(roots)
        self._openers = Openers((*(m.grammar() for m in matchers), *GRAMMARS))
        self._prefilter = Prefilter(tuple(source for m in matchers for source in m.sources))
        self._sources: OrderedDict[str, Source] = OrderedDict()
        self._ledger = Ledger()
        self._listeners: list[Callable[[Finding], None]] = []

    def listen(self, listener: Callable[[Finding], None]) -> None:
        self._listeners.append(listener)

    def latest(self) -> Finding | None:
        return self._ledger.latest()

    def recent(self, count: int) -> tuple[Finding, ...]:
        return self._ledger.recent(count)

    def feed(self, source: str, data: bytes) -> tuple[Finding, ...]:
        known = self._sources.get(source)
        if known is None:
            known = self._sources[source] = Source(self._prefilter, self._openers)
        self._sources.move_to_end(source)
        known.fed_at = self._clock()
        found = self._found(source, known.feed(data))
        if len(self._sources) > MAX_SOURCES:
            oldest = next(iter(self._sources))
            found += self.flush(oldest)
            del self._sources[oldest]
        return found

    def flush(self, source: str) -> tuple[Finding, ...]:
        known = self._sources.get(source)
        return self._found(source, known.flush()) if known else ()

    def flush_quiet(self) -> tuple[Finding, ...]:
        now = self._clock()
        quiet = [name for name, source in self._sources.items() if source.pending and now - source.fed_at >= QUIET_S]
        return tuple(finding for name in quiet for finding in self.flush(name))

    def forget(self, source: str) -> None:
        self._sources.pop(source, None)

    def _found(self, source: str, drafts: Sequence[Draft]) -> tuple[Finding, ...]:
        found = []
        for draft in drafts:
            finding, new = self._ledger.add(self._finding(source, draft), self._clock())
            found.append(finding)
            if new:
                for listener in self._listeners:
                    listener(finding)
        return tuple(found)

    def _finding(self, source: str, draft: Draft) -> Finding:
        frames = self._project.frames(draft)
        first: TraceFrame | None = top(draft, frames)
        text = "\n".join(draft.text)
        if len(text) > MAX_TEXT:
            text = text[: MAX_TEXT // 3] + "\n[...]\n" + text[-(MAX_TEXT * 2 // 3) :]
        mark = fingerprint(draft, frames, self._project)
        return Finding(draft.language, draft.type, draft.message, frames, first, text, source, mark)
