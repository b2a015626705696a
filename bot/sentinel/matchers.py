"""The user's own patterns: problem matchers as VS Code has them in .vscode/tasks.json.

They run on RE2, which has no pattern that takes for ever; what JavaScript has and RE2 has not is refused by name.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import re2

from bot.sentinel.block import Block, Draft, Grammar, RawFrame, Reading, number

MAX_PATTERN = 2000
LONGEST = 1000
"""Characters of a line that user patterns are tried on."""
_COMMENT = re.compile(r'"(?:[^"\\]|\\.)*"|//[^\n]*|/\*.*?\*/|,(?=\s*(?:(?://[^\n]*\n|/\*.*?\*/)\s*)*[}\]])', re.DOTALL)
_FIELDS = ("file", "line", "column", "severity", "code", "message", "location")


@dataclass(frozen=True, slots=True)
class Pattern:
    search: Any
    fields: dict[str, int]
    """Which group holds which."""
    loop: bool
    whole_file: bool


@dataclass(frozen=True, slots=True)
class Matcher:
    owner: str
    severity: str
    directory: str
    """Put before relative paths."""
    patterns: tuple[Pattern, ...]
    sources: tuple[str, ...]

    def grammar(self) -> Grammar:
        return Grammar(f"matcher {self.owner}", ("",), self._open)

    def _open(self, line: str, _before: str) -> Block | None:
        found = self.patterns[0].search(line[:LONGEST])
        return Matched(line, self, _groups(self.patterns[0], found)) if found else None


class Matched(Block):
    patience = 50

    def __init__(self, first: str, matcher: Matcher, groups: dict[str, str]) -> None:
        super().__init__(first)
        self.matcher = matcher
        self.heading = groups
        self.step = 1
        self.problems: list[tuple[dict[str, str], str]] = []
        if len(matcher.patterns) == 1:
            self.problems.append((groups, first))

    def follows(self, line: str) -> bool:
        patterns = self.matcher.patterns
        if self.step >= len(patterns):
            return False
        pattern = patterns[self.step]
        found = pattern.search(line[:LONGEST])
        if not found:
            return False
        groups = {**self.heading, **_groups(pattern, found)}
        if self.step < len(patterns) - 1:
            self.heading, self.step = groups, self.step + 1
            return True
        self.problems.append((groups, line))
        self.sure = True
        if not pattern.loop:
            self.step += 1
        return True

    def close(self) -> Reading:
        drafts = [d for groups, line in self.problems if (d := _draft(self.matcher, groups, (self.lines[0], line)))]
        if not drafts and self.problems:
            # Only warnings: nobody else is to read them either.
            return Reading(harmless=True)
        return Reading(drafts)


def _groups(pattern: Pattern, found: Any) -> dict[str, str]:
    groups = {}
    for name, index in pattern.fields.items():
        value = found.group(index) if index <= found.re.groups else None
        if value is not None:
            groups[name] = value.strip()
    return groups


def _draft(matcher: Matcher, groups: dict[str, str], text: tuple[str, ...]) -> Draft | None:
    severity = groups.get("severity", "") or matcher.severity
    if severity.lower() in ("warning", "warn", "w", "info", "information", "i", "note", "hint"):
        return None
    line, column = groups.get("line"), groups.get("column")
    if place := re.match(r"(\d+)(?:,(\d+))?", groups.get("location", "")):
        line, column = place[1], place[2]
    path = groups.get("file", "")
    if path and matcher.directory and not re.match(r"/|[A-Za-z]:", path):
        path = posixpath.normpath(posixpath.join(matcher.directory, path))
    frames = (RawFrame(path, _digits(line), _digits(column)),) if path else ()
    lines = text if text[0] != text[1] else text[:1]
    return Draft(matcher.owner, groups.get("code", ""), groups.get("message", "") or text[-1].strip(), frames, lines)


def _digits(text: str | None) -> int | None:
    return number(text) if text and text.isdigit() else None


def read(text: str, root: str) -> tuple[list[Matcher], list[str]]:
    """The matchers in a tasks.json (or a GitHub workflow's matcher file) of the project at `root`, and one sentence for
    each that cannot be used."""
    try:
        data = json.loads(
            _COMMENT.sub(lambda found: found[0] if found[0][0] == '"' else "", text.removeprefix("\ufeff"))
        )
    except ValueError as error:
        return [], [f"The tasks file is not readable as JSON ({error}); its problem matchers are not used."]
    matchers: list[Matcher] = []
    refused: list[str] = []
    for raw in _described(data):
        if isinstance(raw, str):
            continue
        try:
            matchers.append(_matcher(raw, root))
        except (ValueError, TypeError, AttributeError, re2.error) as error:
            owner = raw.get("owner", "without an owner") if isinstance(raw, dict) else "?"
            refused.append(f"The problem matcher {owner} is not used: {error}.")
    return matchers, refused


def _described(data: Any) -> Iterator[Any]:
    """Names ("$tsc") stand for what is read anyway, or for another program's."""
    if not isinstance(data, dict):
        return
    for holder in (data, *(data.get("tasks") or [])):
        if not isinstance(holder, dict):
            continue
        raw = holder.get("problemMatcher", [])
        yield from raw if isinstance(raw, list) else [raw]
        for system in ("windows", "linux", "osx"):
            if isinstance(holder.get(system), dict) and "problemMatcher" in holder[system]:
                yield from _described({"problemMatcher": holder[system]["problemMatcher"]})


def _matcher(raw: dict[str, Any], root: str) -> Matcher:
    patterns = raw.get("pattern", raw.get("patterns"))
    if isinstance(patterns, str):
        raise ValueError(f"it builds on {patterns}, which only the editor knows")
    described: list[Any] = patterns if isinstance(patterns, list) else [patterns]
    if not described or not all(isinstance(p, dict) for p in described):
        raise ValueError("it has no pattern")
    built = tuple(_pattern(p, first=index == 0 and len(described) == 1) for index, p in enumerate(described))
    sources = tuple(f"(?m:{p['regexp']})" for p in described[:1])
    owner = str(raw.get("owner") or raw.get("source") or "external")
    return Matcher(owner, str(raw.get("severity", "error")), _directory(raw.get("fileLocation"), root), built, sources)


def _directory(location: Any, root: str) -> str:
    parts = [location] if isinstance(location, str) else list(location or ["relative"])
    kind, base = parts[0], parts[1] if len(parts) > 1 else ""
    if kind == "absolute":
        return ""
    base = str(base).replace("${workspaceFolder}", root).replace("${workspaceRoot}", root).replace("${cwd}", root)
    return "" if "${" in base or base == root else base.replace("\\", "/")


def _pattern(raw: dict[str, Any], first: bool) -> Pattern:
    source = raw.get("regexp")
    if not isinstance(source, str) or len(source) > MAX_PATTERN:
        raise ValueError("a pattern needs a regexp of at most 2000 characters")
    options = re2.Options()
    options.log_errors = False
    compiled = re2.compile(re.sub(r"\(\?<(?![=!])", "(?P<", source), options)
    fields = {name: raw[name] for name in _FIELDS if isinstance(raw.get(name), int) and not isinstance(raw[name], bool)}
    if first and "message" not in fields and not fields:
        # What the editor assumes for a pattern that names no group.
        fields = {"file": 1, "line": 2, "column": 3, "message": 4 if compiled.groups >= 4 else 0}
    return Pattern(compiled.search, fields, bool(raw.get("loop")), raw.get("kind") == "file")
