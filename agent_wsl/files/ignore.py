"""What .gitignore files leave out, nested ones included: git's rules, matched by an engine without backtracking."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import re2
from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

MAX_BYTES = 256 << 10
"""Of one .gitignore; what comes later in the file is not read."""
MAX_PATTERN = 1000
"""Bytes of one line; longer lines are skipped."""
AT_ONCE = 256
"""Patterns compiled into one automaton."""
MAX_RULES = 4096
"""Lines of one .gitignore that are heeded."""
MAX_CACHED = 8192
"""Directories whose state is remembered."""
MAX_COMPILED = 64
"""Of those, .gitignore files that are kept ready,"""
MAX_KEPT_RULES = 8192
"""with so many rules in all (or one file): 10 KiB each at worst."""
AUTOMATON = 2 << 20
"""Bytes of memory of one automaton, at most."""
OPENING = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY


@dataclass(frozen=True, slots=True)
class Rule:
    regex: bytes
    """Over the path below the directory of the .gitignore, with a slash after the name of a directory."""
    ignore: bool
    """False for a line that begins with an exclamation mark."""


def rules_of(content: bytes) -> tuple[Rule, ...]:
    """The rules of one .gitignore in their order. Lines that git could not read either are skipped."""
    found: list[Rule] = []
    for raw in content.removeprefix(b"\xef\xbb\xbf").split(b"\n"):
        line = raw.removesuffix(b"\r")
        if len(line) > MAX_PATTERN or len(found) >= MAX_RULES:
            continue
        try:
            regex, include = GitIgnoreSpecPattern.pattern_to_regex(os.fsdecode(line))
        except ValueError:
            continue
        if regex is not None and include is not None:
            regex = _of_the_path_itself(regex, beneath=line.rstrip().endswith(b"/**/"))
            found.append(Rule(os.fsencode(regex), include))
    return tuple(found)


def _of_the_path_itself(regex: str, beneath: bool) -> str:
    """pathspec matches everything below a directory too; here the parents are asked before, as git does it."""
    if regex.endswith("(?:(?P<ps_d>/)|$)"):
        return regex.removesuffix("(?:(?P<ps_d>/)|$)") + "/?$"
    if regex.endswith("(?P<ps_d>/)"):
        name = regex.removesuffix("(?P<ps_d>/)")
        return name + ("/.+/$" if name and beneath else "/$")
    return regex + "." if regex.endswith("/") else regex


class Rules:
    """Compiled; `verdict` takes time in proportion to the length of the path, whatever the patterns are."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        options = re2.Options()
        # Git compares bytes, and so does this: a file name need not be UTF-8.
        options.encoding = re2.Options.Encoding.LATIN1
        options.dot_nl = True
        options.max_mem = AUTOMATON
        options.log_errors = False
        self._parts: list[tuple[re2.Set, list[bool]]] = []
        self.size = len(rules)
        for start in range(0, len(rules), AT_ONCE):
            automaton, kept = re2.Set.SearchSet(options), []
            for rule in rules[start : start + AT_ONCE]:
                try:
                    automaton.Add(rule.regex)
                except re2.error:
                    continue
                kept.append(rule.ignore)
            try:
                automaton.Compile()
            except re2.error:
                continue
            if kept:
                self._parts.append((automaton, kept))

    @property
    def usable(self) -> bool:
        """Whether any rule was left."""
        return bool(self._parts)

    def verdict(self, path: bytes) -> bool | None:
        """True: ignored; False: expressly not; None: no rule speaks of it. The last rule that matches decides."""
        for automaton, kept in reversed(self._parts):
            matches = automaton.Match(path)
            if matches:
                return bool(kept[max(matches)])
        return None


class Ignore:
    """Asked with paths relative to the root, by one thread at a time. Nested .gitignore files are read when first
    needed, then remembered."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._rules: dict[str, Rules] = {}
        self._without: set[str] = set()
        self._directories: dict[str, bool] = {"": False}

    def ignored(self, relative: str, is_dir: bool) -> bool:
        """Always True for `.git` and below, and below an ignored directory. The root itself is never ignored."""
        path = os.path.normpath(relative)
        if path == os.curdir:
            return False
        parent, name = os.path.split(path)
        if name.lower() == ".git" or self._directory_ignored(parent):
            return True
        return self._directory_ignored(path) if is_dir else self._matches(path, False)

    def refresh(self) -> None:
        """Forgets what was read: for when a .gitignore changed."""
        self._rules.clear()
        self._without.clear()
        self._directories.clear()
        self._directories[""] = False

    def _directory_ignored(self, path: str) -> bool:
        known = self._directories.get(path)
        if known is None:
            if len(self._directories) > MAX_CACHED:
                self.refresh()
            parent, name = os.path.split(path)
            known = name.lower() == ".git" or self._directory_ignored(parent) or self._matches(path, True)
            self._directories[path] = known
        return known

    def _matches(self, path: str, is_dir: bool) -> bool:
        """The .gitignore next to the path is asked first, that of the root last."""
        directory = path
        while directory:
            directory = os.path.dirname(directory)
            rules = self._rules_in(directory)
            if rules is None:
                continue
            below = path[len(directory) + 1 :] if directory else path
            verdict = rules.verdict(os.fsencode(below) + (b"/" if is_dir else b""))
            if verdict is not None:
                return verdict
        return False

    def _rules_in(self, directory: str) -> Rules | None:
        if directory in self._without:
            return None
        if directory in self._rules:
            # The last used one goes to the end, so that the first one is the one to drop.
            self._rules[directory] = self._rules.pop(directory)
            return self._rules[directory]
        content = self._read(os.path.join(directory, ".gitignore"))
        if not directory:
            # Lines of one person's clone, which git ranks below the .gitignore beside it.
            content = self._read(".git/info/exclude") + b"\n" + content
        rules = rules_of(content)
        if not rules:
            self._without.add(directory)
            return None
        kept = len(rules) + sum(known.size for known in self._rules.values())
        while self._rules and (len(self._rules) >= MAX_COMPILED or kept > MAX_KEPT_RULES):
            kept -= self._rules.pop(next(iter(self._rules))).size
        compiled = self._rules[directory] = Rules(rules)
        return compiled

    def _read(self, relative: str) -> bytes:
        """b"" for what is no plain file: a symlink on the way could lead out of the root, a FIFO would block."""
        opened: list[int] = []
        try:
            opened.append(os.open(self._root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
            *parents, name = relative.split("/")
            for parent in parents:
                opened.append(os.open(parent, os.O_PATH | os.O_DIRECTORY | OPENING, dir_fd=opened[-1]))
            opened.append(os.open(name, os.O_RDONLY | OPENING, dir_fd=opened[-1]))
            status = os.fstat(opened[-1])
            if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
                return b""
            return os.pread(opened[-1], MAX_BYTES, 0)
        except OSError:
            return b""
        finally:
            for descriptor in opened:
                os.close(descriptor)
