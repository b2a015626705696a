"""Remembers findings by fingerprint: the same error is counted, not found again."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace

from bot.findings import Finding

KEPT = 500


class Ledger:
    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._by_fingerprint: OrderedDict[str, Finding] = OrderedDict()
        """The last seen is the last."""

    def add(self, finding: Finding, now: float) -> tuple[Finding, bool]:
        """With its count, and whether it is new. The newest text is kept: its lines and numbers are of today."""
        known = self._by_fingerprint.pop(finding.fingerprint, None)
        count, first = (known.count + 1, known.first_seen) if known else (1, now)
        finding = replace(finding, count=count, first_seen=first, last_seen=now)
        self._by_fingerprint[finding.fingerprint] = finding
        if len(self._by_fingerprint) > self._kept:
            self._by_fingerprint.popitem(last=False)
        return finding, known is None

    def latest(self) -> Finding | None:
        return next(reversed(self._by_fingerprint.values()), None)

    def recent(self, count: int) -> tuple[Finding, ...]:
        """The last seen first."""
        return tuple(finding for finding, _ in zip(reversed(self._by_fingerprint.values()), range(count), strict=False))
