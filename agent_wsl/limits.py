"""Rate limits per user and for all users together, as moving windows of a minute."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from limits import RateLimitItem, RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from agent_wsl.envelope import ErrorCode
from agent_wsl.errors import Refusal

ALL_USERS = 5
"""Times the limit of one user."""
POLLING = 10
"""Calls that only ask how things stand are counted apart, with so many times the limit."""
FREE = frozenset({"job_kill"})
"""Never refused: what stops something must always work."""
CHEAP = frozenset({"hello", "changes", "watches", "job_status", "job_output", "jobs"})


class RateLimits:
    def __init__(
        self, per_minute: int, now: Callable[[], float] = time.time, item: type[RateLimitItem] = RateLimitItemPerMinute
    ) -> None:
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._now = now
        self._lock = threading.Lock()
        self._work = item(per_minute), item(per_minute * ALL_USERS)
        self._polls = item(per_minute * POLLING), item(per_minute * ALL_USERS * POLLING)

    def count(self, user: str, call: str) -> None:
        """Raises Refusal(RATE_LIMITED), which says when to try again."""
        if call in FREE:
            return
        kind = "polls" if call in CHEAP else "work"
        own, everybody = self._polls if call in CHEAP else self._work
        # Asked first and counted together: what is refused for the others' sake is not counted as the user's own.
        with self._lock:
            if not self._limiter.test(own, kind, "user", user):
                raise self._refusal("You have made", own, self._wait(own, kind, "user", user))
            if not self._limiter.test(everybody, kind, "all"):
                raise self._refusal("All users together have made", everybody, self._wait(everybody, kind, "all"))
            self._limiter.hit(own, kind, "user", user)
            self._limiter.hit(everybody, kind, "all")

    def _wait(self, item: RateLimitItem, *identifiers: str) -> float:
        """Seconds until the oldest call leaves the window."""
        reset, _ = self._limiter.get_window_stats(item, *identifiers)
        return max(0.1, round(reset - self._now(), 1))

    @staticmethod
    def _refusal(who: str, item: RateLimitItem, wait: float) -> Refusal:
        message = f"{who} {item.amount} calls within {item.GRANULARITY.name}; try again in {wait:.0f} s."
        return Refusal(ErrorCode.RATE_LIMITED, message, retry_after_s=wait)
