"""Takes off what runners put before each line: whose line it is, and when it came."""

from __future__ import annotations

import re

_TIME = re.compile(
    r"\[?(?:\d{4}[-/]\d\d[-/]\d\d[T ])?\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?: ?Z|[+-]\d\d:?\d\d)?\]?(?: |(?=\t)|$)"
)
_UPTIME = re.compile(r"\[ *\d{1,9}\.\d{1,9}\] ")
_PIPE = re.compile(r"([A-Za-z][\w./:@-]{0,60}?) {0,30}\|(?: |(?=\t)|$)")
"""docker compose, foreman, honcho, overmind. A number before the bar is a source line of a compiler's."""
_BRACKET = re.compile(r"\[(\d{1,3}|[a-z][\w.:@/-]{0,60})\](?: |$)")
"""concurrently, npm-run-all, stern, kubectl --prefix."""
_SYSLOG = re.compile(r"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \S{1,60} ([\w./@-]{1,60}(?:\[\d{1,9}\])?): ")
_BUILDKIT = re.compile(r"#(\d{1,4}) \d{1,6}\.\d{1,6} ")
_LEVELS = frozenset({"error", "info", "warn", "warning", "debug", "trace", "notice", "fatal", "critical", "eval"})


def split(line: str) -> tuple[str, str]:
    """The process ("" when the line does not say) and the line without it. Spaces after the prefix are the line's."""
    process = ""
    timed = False
    for _ in range(4):
        first = line[:1]
        if not first or first in " \t{<>(\"'":
            break
        if not timed and (first.isdigit() or first == "["):
            found = _TIME.match(line) or _UPTIME.match(line)
            if found:
                line, timed = line[found.end() :], True
                continue
        found = None if process else _process(line, first, timed)
        if not found:
            break
        process, line = found[1], line[found.end() :]
    return process, line


def _process(line: str, first: str, timed: bool) -> re.Match[str] | None:
    if first == "#":
        return _BUILDKIT.match(line)
    if first == "[":
        # After a time it is a thread's name or a logger's, and what follows is not told apart by it.
        found = None if timed else _BRACKET.match(line)
        return None if found and found[1] in _LEVELS else found
    if "|" in line[:100]:
        found = _PIPE.match(line)
        if found:
            return found
    return _SYSLOG.match(line) if line[3:4] == " " and line[6:7] == " " else None
