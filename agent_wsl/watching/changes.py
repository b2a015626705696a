"""The last changes, for any number of readers, each with a cursor of its own. Thread-safe."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable

from agent_wsl.envelope import ErrorCode
from agent_wsl.errors import Refusal
from agent_wsl.protocol import Change, ChangeList, Changes

MAX_ANSWER = 512 << 10
"""Characters in one answer: at 12 bytes for the dearest character in JSON it fits into one frame of the wire."""
MAX_KEPT = 16 << 20
"""Characters in the history, however few changes they are."""


class History:
    """Changes are numbered from 1. A cursor is "epoch:number of the last change that was read"."""

    def __init__(self, capacity: int, epoch: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._capacity = capacity
        self._epoch = epoch
        """Another one for each start of the agent; no colon in it."""
        self._clock = clock
        self._kept: deque[Change] = deque()
        self._last = 0
        self._characters = 0
        self._closed = False
        self._news = threading.Condition()

    def publish(self, changes: Iterable[Change]) -> None:
        with self._news:
            for change in changes:
                self._kept.append(change)
                self._last += 1
                self._characters += _size(change)
                while len(self._kept) > self._capacity or (self._characters > MAX_KEPT and len(self._kept) > 1):
                    self._characters -= _size(self._kept.popleft())
            self._news.notify_all()

    def read(self, call: Changes) -> ChangeList:
        """Waits up to `wait_s` for a change after the cursor. Raises Refusal(BAD_REQUEST) for what is no cursor."""
        with self._news:
            if call.cursor == "now":
                return ChangeList(self._cursor(self._last), (), 0)
            after, lost = self._position(call.cursor)
            deadline = self._clock() + call.wait_s
            while self._last <= after and not self._closed and lost >= 0:
                left = deadline - self._clock()
                if left <= 0:
                    break
                self._news.wait(left)
            return self._answer(after, lost, call.limit)

    def close(self) -> None:
        """Readers that wait get their answer at once."""
        with self._news:
            self._closed = True
            self._news.notify_all()

    def _position(self, cursor: str) -> tuple[int, int]:
        """Number of the last change that the reader has, and -1 for a cursor of another run of the agent."""
        oldest = self._last - len(self._kept)
        if not cursor:
            return oldest, 0
        epoch, colon, number = cursor.rpartition(":")
        if not colon or not (number.isascii() and number.isdecimal()):
            raise Refusal(ErrorCode.BAD_REQUEST, 'The cursor must be empty, "now", or one that an answer contained.')
        if epoch != self._epoch:
            return oldest, -1
        if len(number) > 20 or int(number) > self._last:
            raise Refusal(ErrorCode.BAD_REQUEST, "This cursor is ahead of all changes; start with an empty one.")
        return int(number), 0

    def _answer(self, after: int, lost: int, limit: int) -> ChangeList:
        """What fell out while the reader waited counts as well."""
        oldest = self._last - len(self._kept)
        if lost == 0:
            lost = max(0, oldest - after)
        start = max(after, oldest)
        taken: list[Change] = []
        room = MAX_ANSWER
        for index in range(start - oldest, min(len(self._kept), start - oldest + limit)):
            change = self._kept[index]
            room -= _size(change)
            if room < 0 and taken:
                break
            taken.append(change)
        return ChangeList(self._cursor(start + len(taken)), tuple(taken), lost)

    def _cursor(self, number: int) -> str:
        return f"{self._epoch}:{number}"


def _size(change: Change) -> int:
    text = len(change.path) + len(change.moved_from) + len(change.note)
    return 100 + text + sum(map(len, change.lines)) + 4 * len(change.lines)
