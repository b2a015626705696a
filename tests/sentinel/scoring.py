"""Compares what the sentinel finds in the corpus with what stands in its manifest."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bot.findings import Finding
from bot.sentinel.sentinel import Sentinel

CORPUS = Path(__file__).parent / "corpus"
ROOT = "/home/dev/work/app"


@dataclass
class Score:
    cases: int = 0
    expected: int = 0
    right: int = 0
    """Language, type, file and line as expected."""
    wrong: int = 0
    """Findings that nobody expected, or with a wrong file, line or type."""
    notes: list[str] = field(default_factory=list)

    @property
    def precision(self) -> float:
        return self.right / (self.right + self.wrong) if self.right + self.wrong else 1.0

    @property
    def recall(self) -> float:
        return self.right / self.expected if self.expected else 1.0


def rows(half: str = "") -> list[dict[str, Any]]:
    found = [json.loads(line) for line in (CORPUS / "manifest.jsonl").read_text(encoding="utf-8").splitlines()]
    return [row for row in found if not half or half_of(row["id"]) == half]


def half_of(case: str) -> str:
    """ "tuned" was looked at while the patterns were written, "held out" was not."""
    return "tuned" if hashlib.sha256(case.encode()).digest()[0] % 2 else "held out"


def text(case: str) -> bytes:
    return (CORPUS / "text" / f"{case}.txt").read_bytes()


def read(data: bytes, roots: tuple[str, ...] = (ROOT,)) -> list[Finding]:
    """Each error once."""
    sentinel = Sentinel(lambda: 0.0, roots)
    found = (*sentinel.feed("corpus", data), *sentinel.flush("corpus"))
    return list({finding.fingerprint: finding for finding in found}.values())


def fits(finding: Finding, wanted: dict[str, Any]) -> bool:
    if finding.language != wanted["language"] or (wanted["type"] and finding.type != wanted["type"]):
        return False
    if not wanted["file"]:
        return True
    if finding.top is None:
        return False
    path = finding.top.path.replace("\\", "/").removeprefix("file://")
    name = (
        wanted["file"] if wanted["language"] != "java" or finding.type == "error" else wanted["file"].rpartition("/")[2]
    )
    return (path == name or path.endswith("/" + name)) and (
        wanted["line"] is None or finding.top.line == wanted["line"]
    )


def judge(score: Score, case: str, wanted: list[dict[str, Any]], found: list[Finding]) -> None:
    score.cases += 1
    score.expected += len(wanted)
    left = list(wanted)
    for finding in found:
        match = next((w for w in left if fits(finding, w)), None)
        if match is not None:
            left.remove(match)
            score.right += 1
        else:
            place = f"{finding.top.path}:{finding.top.line}" if finding.top else "-"
            score.wrong += 1
            score.notes.append(f"{case}: found {finding.language} {finding.type!r} {place} {finding.message[:60]!r}")
    score.notes += [f"{case}: missed {w['language']} {w['type']!r} {w['file']}:{w['line']}" for w in left]


def score_all(half: str = "") -> dict[str, Score]:
    """By family of cases ("all" for all)."""
    scores: dict[str, Score] = {"all": Score()}
    for row in rows(half):
        languages = sorted({w["language"] for w in row["expect"]}) or ["(nothing to find)"]
        found = read(text(row["id"]))
        for name in ("all", languages[0]):
            judge(scores.setdefault(name, Score()), row["id"], row["expect"], found)
    return scores
