"""Who may run what: commands that need no yes, and the one-time tokens for those that got one. Pure and thread-safe."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import shlex
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agent_wsl.envelope import APPROVAL_S, ErrorCode
from agent_wsl.errors import Refusal

OUTPUT = re.compile(r"--out(p|pu|put)?(=|\Z)")
"""As git reads it: options may be cut short."""
PER_USER = 16
"""Tokens that one user may have open; the oldest makes room."""
IN_ALL = 1024


@dataclass(frozen=True, slots=True)
class Command:
    words: tuple[str, ...]
    """The argv, or the one line for the shell."""
    shell: bool = False

    @property
    def text(self) -> str:
        """For people."""
        return self.words[0] if self.shell else shlex.join(self.words)

    def digest(self) -> bytes:
        """Different for different words, also where their text would be the same."""
        return _digest(["shell" if self.shell else "argv", *self.words])


def is_allowed(command: Command, prefixes: Sequence[tuple[str, ...]]) -> bool:
    """Whether it begins, word by word, with one of `prefixes`. A shell line never does, and no command that goes on to
    name a file for its output: `git log --format=TEXT --output=FILE` would write anything anywhere.

    A prefix is a promise about every way to go on, so it must name what decides: `git` alone would allow
    `git -c core.pager=PROGRAM log`, `git diff` still allows, by the repository's own configuration, a program to
    compare with; `python3`, `env`, `xargs`, `find`, `make` run anything. What is allowed wrongly is still confined by
    the sandbox. The first word is compared as it stands: `./git` and `/usr/bin/git` are not `git`, which is looked up
    in the sandbox's own PATH and never in the working directory.
    """
    return not command.shell and any(prefix and _goes_on(command.words, prefix) for prefix in prefixes)


def _goes_on(words: tuple[str, ...], prefix: tuple[str, ...]) -> bool:
    size = len(prefix)
    return words[:size] == prefix and not any(OUTPUT.match(word) for word in words[size:])


@dataclass(frozen=True, slots=True)
class _Grant:
    user: str
    command: bytes
    cwd: str
    expires: float


class Approvals:
    """Tokens for one run of one command by one user in one directory, for two minutes; only their hashes are kept.

    The time-out of the run is not bound: it is bounded by the agent's own settings whatever the person saw.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._grants: OrderedDict[bytes, _Grant] = OrderedDict()
        self._lock = threading.Lock()

    def issue(self, user: str, command: Command, cwd: str) -> str:
        """`cwd` is the real path, with every link resolved."""
        token = secrets.token_urlsafe(24)
        grant = _Grant(user, command.digest(), cwd, self._clock() + APPROVAL_S)
        with self._lock:
            self._make_room(user)
            self._grants[_digest([token])] = grant
        return token

    def redeem(self, token: str, user: str, command: Command, cwd: str) -> None:
        """Raises Refusal(APPROVAL_INVALID). Whatever comes of it, the token is used up."""
        with self._lock:
            grant = self._grants.pop(_digest([token]), None)
        if grant is None:
            raise _invalid("is not known: it was used before, pushed out by newer ones, or never given")
        if self._clock() >= grant.expires:
            raise _invalid(f"is older than {APPROVAL_S:.0f} s")
        if user != grant.user:
            raise _invalid("was given to another user")
        if command.digest() != grant.command:
            raise _invalid("was given for another command")
        if cwd != grant.cwd:
            raise _invalid("was given for another directory")

    def _make_room(self, user: str) -> None:
        now = self._clock()
        for key in [key for key, grant in self._grants.items() if grant.expires <= now]:
            del self._grants[key]
        own = [key for key, grant in self._grants.items() if grant.user == user]
        for key in own[: max(0, len(own) - PER_USER + 1)]:
            del self._grants[key]
        while len(self._grants) >= IN_ALL:
            self._grants.popitem(last=False)


def _invalid(reason: str) -> Refusal:
    message = f"This approval {reason}. Run the command without one to be given a new one."
    return Refusal(ErrorCode.APPROVAL_INVALID, message)


def _digest(words: Sequence[str]) -> bytes:
    return hashlib.sha256(json.dumps(words).encode("ascii")).digest()
