"""Whose code a frame is, which one to look at first, and what makes two errors the same."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from bot.findings import TraceFrame
from bot.sentinel.block import Draft, RawFrame

_DEPENDENCY = re.compile(
    r"""(?:^|/)(?:site-packages|dist-packages|node_modules|\.venv|venv|virtualenv|\.tox|\.nox|__pypackages__|\.yarn|\.pnpm
    |\.cargo|\.rustup|rustc/[0-9a-f]{8,}|rustlib|\.m2|\.gradle|\.nuget|\.gem|gems|\.rbenv|\.rvm|\.pyenv|\.nvm|pkg/mod
    |vendor|bower_components|sysroots?|libsanitizer|asan|compiler-rt)/
    |^/(?:usr/(?:lib\w*|include|share|libexec|local/(?:lib|go|include|bundle|share))|lib\w*|opt/(?:hostedtoolcache|homebrew|conda|rh))/
    |^/(?:_/src|_|build/(?:glibc|gcc)[^/]*|go/src|System|Library|nix/store|snap)/
    |/lib/python\d|/python\d?\.\d+/|/Python\d+/(?:lib|Lib)/|/go[\d.]*/src/|/sdk/go[\d.]+/
    |^[A-Za-z]:/(?:Program\ Files|Windows|Python\d+/[Ll]ib)|AppData/(?:Local|Roaming)/(?:Programs/Python|Python|npm)
    |^(?:node:|internal/|webpack/|<|\[eval|evalmachine|native|java\.base|\(eval|phar:|ext:|bun:|deno:)
    |^\.\./(?:sysdeps|csu|nptl|stdlib|sysdeps)/|^(?:runtime|testing|library/(?:std|core|alloc))/
    |^\S+\.s$|(?:^|/)ruby/(?:\d|gems)|^/rustc/""",
    re.VERBOSE,
)
_HOME = re.compile(r"^(?:/(?:home|Users)/[^/]+|/root|[A-Za-z]:/Users/[^/]+|/tmp/[^/]+|/private/tmp/[^/]+)/")
_COMMON = re.compile(r"^(?:index|__init__|__main__|main|mod|lib|app|page|route|utils?|types|setup|conftest)\.\w+$")
_CHANGING = (
    (re.compile(r"0x[0-9a-fA-F]+"), "0x"),
    (re.compile(r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b"), "#"),
    (re.compile(r"\b(?=[0-9a-fA-F]*\d)(?=[0-9a-fA-F]*[a-fA-F])[0-9a-fA-F]{7,64}\b"), "#"),
    (re.compile(r"(?:[A-Za-z]:)?(?:[\\/][\w.@+-]+)+[\\/](?=[\w.@+-]+)"), "/"),
    (re.compile(r"\d+(?:\.\d+)*"), "0"),
    (re.compile(r"\s+"), " "),
)
MESSAGE = 400
"""Characters of a message that tell errors apart."""


class Project:
    def __init__(self, roots: Sequence[str] = ()) -> None:
        """The project's directories, in the spelling in which errors name them."""
        self._roots = tuple(_plain(root).rstrip("/") + "/" for root in roots if root)

    def relative(self, path: str) -> str:
        """Without the root, if it is under one."""
        path = _plain(path)
        root = next((root for root in self._roots if _starts(path, root)), "")
        return path[len(root) :]

    def frames(self, draft: Draft) -> tuple[TraceFrame, ...]:
        plain = [_plain(frame.path) for frame in draft.frames]
        inside = [any(_starts(path, root) for root in self._roots) for path in plain]
        # Where none is under a root the error comes from another machine's or a container's copy.
        strict = any(inside)
        return tuple(
            TraceFrame(raw.path, raw.line, raw.column, raw.function, not raw.foreign and self._owns(path, strict))
            for raw, path in zip(draft.frames, plain, strict=True)
        )

    def _owns(self, path: str, strict: bool) -> bool:
        root = next((root for root in self._roots if _starts(path, root)), None)
        if root is not None:
            return _DEPENDENCY.search(path[len(root) :]) is None
        return not (strict and _absolute(path)) and _DEPENDENCY.search(path) is None


def top(draft: Draft, frames: Sequence[TraceFrame]) -> TraceFrame | None:
    ordered = reversed(frames) if draft.last_is_nearest else iter(frames)
    return next((frame for frame in ordered if frame.in_project), None)


def fingerprint(draft: Draft, frames: Sequence[TraceFrame], project: Project) -> str:
    """Of language, kind, the message without what changes from run to run, and the place: its source line where the
    error shows it, so that the same error further down is the same; else its number."""
    first = top(draft, frames) or (frames[-1 if draft.last_is_nearest else 0] if frames else None)
    place = ""
    if first is not None:
        raw = next((f for f, frame in zip(draft.frames, frames, strict=True) if frame is first), RawFrame("", None))
        place = f"{_short(project.relative(first.path))}|{first.function}|{raw.code or first.line}"
    parts = (draft.language, draft.type, _steady(draft.message[:MESSAGE]), place)
    return hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()[:16]


def _steady(message: str) -> str:
    for pattern, instead in _CHANGING:
        message = pattern.sub(instead, message)
    return message.strip()


def _short(path: str) -> str:
    """Names that every directory has need their directory's."""
    path = _HOME.sub("", _plain(path))
    parts = path.split("/")
    return "/".join(parts[-2:]) if _COMMON.match(parts[-1]) else parts[-1]


def _plain(path: str) -> str:
    path = path.replace("\\", "/").removeprefix("file://")
    if re.match(r"/[A-Za-z]:/", path):
        path = path[1:]
    return path.removeprefix("./")


def _absolute(path: str) -> bool:
    return path.startswith("/") or path[1:3] == ":/"


def _starts(path: str, root: str) -> bool:
    if root[1:2] == ":":
        return path.lower().startswith(root.lower())
    return path.startswith(root)
