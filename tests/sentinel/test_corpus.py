"""The corpus: what was found when it was made must stay found, and what was quiet must stay quiet."""

from __future__ import annotations

import random
import re

import pytest

from bot.findings import Finding
from bot.sentinel.reader import Openers
from bot.sentinel.sentinel import GRAMMARS, Sentinel, Source
from bot.sentinel.stream import Prefilter
from tests.sentinel import scoring
from tests.unit.test_sentinel_formats import FORMATS

ROWS = scoring.rows()
SHORT = [row["id"] for row in ROWS if row["expect"] and len(scoring.text(row["id"])) < 700]
PROGRESS = b"\rloading   3 % [=>      ]\rloading  60 % [====>   ]\r"


def places(found: list[Finding]) -> list[tuple[str, str, str, str, int | None]]:
    return [(f.language, f.type, f.message, f.top.path if f.top else "", f.top.line if f.top else None) for f in found]


def fed(pieces: list[bytes]) -> list[Finding]:
    sentinel = Sentinel(lambda: 0.0, (scoring.ROOT,))
    found = [finding for piece in pieces for finding in sentinel.feed("x", piece)]
    found += sentinel.flush("x")
    return list({finding.fingerprint: finding for finding in found}.values())


def test_size_of_the_corpus() -> None:
    assert sum(bool(row["expect"]) for row in ROWS) >= 240
    assert sum(not row["expect"] for row in ROWS) >= 170


@pytest.mark.parametrize("half", ["tuned", "held out"])
def test_precision_and_recall(half: str) -> None:
    scores = scoring.score_all(half)
    score = scores["all"]
    assert score.precision >= 0.98, score.notes
    assert score.recall >= 0.95, score.notes
    assert scores["(nothing to find)"].wrong <= 1, scores["(nothing to find)"].notes


@pytest.mark.parametrize("case", SHORT[::9])
def test_cut_at_any_byte(case: str) -> None:
    text = scoring.text(case)
    whole = fed([text])
    assert whole
    for cut in range(1, len(text)):
        assert fed([text[:cut], text[cut:]]) == whole, f"cut before byte {cut}"
    assert fed([text[i : i + 1] for i in range(len(text))]) == whole


def test_cut_into_random_pieces() -> None:
    chosen = random.Random(5)
    for row in ROWS[::3]:
        text = scoring.text(row["id"])
        cuts = sorted(chosen.randrange(len(text) + 1) for _ in range(9))
        pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
        assert fed(pieces) == fed([text]), row["id"]


def lf(text: bytes) -> bytes:
    return re.sub(rb"\r+\n?", b"\n", text)


def dressed(text: bytes, how: str) -> bytes:
    lines = lf(text).rstrip(b"\n").split(b"\n")
    match how:
        case "CRLF":
            return b"\r\n".join(lines) + b"\r\n"
        case "colours":
            return b"".join(b"\x1b[0;31m\x1b[1m" + line + b"\x1b[0m\x1b[K\n" for line in lines)
        case "docker compose":
            return b"".join(b"web-1  | " + line + b"\n" for line in lines)
        case "times":
            return b"".join(b"2026-03-01T10:00:00.1234567Z " + line + b"\n" for line in lines)
        case "foreman":
            return b"".join(b"10:00:01 web.1  | " + line + b"\n" for line in lines)
        case "concurrently":
            return b"".join(b"[0] " + line + b"\n" for line in lines)
        case "progress":
            return PROGRESS + b"\n".join(lines) + b"\n" + PROGRESS
    raise AssertionError(how)


@pytest.mark.parametrize("how", ["CRLF", "colours", "docker compose", "times", "foreman", "concurrently", "progress"])
def test_what_runners_and_terminals_put_around(how: str) -> None:
    """At most a few of the cases may read differently: their own first column looks like such a prefix."""
    different = []
    rows = [row for row in ROWS if row["expect"]][::2]
    for row in rows:
        text = scoring.text(row["id"])
        if places(fed([dressed(text, how)])) != places(fed([lf(text)])):
            different.append(row["id"])
    assert len(different) <= len(rows) // 40, different


def test_processes_that_write_at_the_same_time() -> None:
    """Line by line in turns, as docker compose shows them."""
    names = ["python-zerodiv", "javascript-typeerror", "jvm_dotnet-npe", "native-go-panic", "scripting-rb-zero"]
    by_process = [scoring.text(name).decode().splitlines() for name in names]
    mixed = []
    for turn in range(max(map(len, by_process))):
        for number, lines in enumerate(by_process):
            if turn < len(lines):
                mixed.append(f"service{number}-1  | {lines[turn]}")
    found = {finding[:5] for finding in places(fed(["\n".join(mixed).encode() + b"\n"]))}
    alone = {finding[:5] for name in names for finding in places(fed([scoring.text(name)]))}
    assert found == alone
    assert len(alone) == len(names)


def test_what_is_passed_over_for_speed_holds_no_error() -> None:
    """The words looked for in a whole chunk are fewer than the grammars know: none may be missing that matters."""
    openers = Openers(GRAMMARS)
    texts = [scoring.text(row["id"]) for row in ROWS] + [text.encode() for text, _ in FORMATS.values()]
    different = []
    for text in texts:
        drafts = []
        for prefilter in (Prefilter(), Prefilter(more=("",))):
            source = Source(prefilter, openers)
            drafts.append([*source.feed(text), *source.flush()])
        if drafts[0] != drafts[1]:
            different.append(text[:200])
    assert not different


def test_all_of_it_in_one_log() -> None:
    """One after the other in one log, a line of an application between them: nothing runs into its neighbour."""
    together = b"".join(b"--- next ---\n" * 12 + scoring.text(row["id"]) + b"\n" for row in ROWS)
    alone = {finding.fingerprint for row in ROWS for finding in scoring.read(scoring.text(row["id"]))}
    found = {finding.fingerprint for finding in fed([together])}
    secondary = 12
    assert len(alone - found) <= secondary, len(alone - found)
    assert len(found - alone) <= 3
