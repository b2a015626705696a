"""How well and how fast the sentinel reads: precision and recall on tests/sentinel/corpus, MB/s and memory on a log.

Needs google-re2 and psutil (requirements-win.txt). The logs are made here, from a fixed seed; all runs on one core.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import psutil  # noqa: E402
from bench_common import machine, write_json  # noqa: E402

from bot.sentinel.sentinel import Sentinel  # noqa: E402
from tests.sentinel import scoring  # noqa: E402

MB = 1_000_000
CHUNK = 64 * 1024
WORDS = (
    *("INFO", "DEBUG", "server", "started", "request", "handled", "in", "ms", "user", "GET", "POST", "/api/v1/items"),
    *(
        "/static/app.js",
        "200",
        "404",
        "worker",
        "cache",
        "hit",
        "for",
        "key",
        "session",
        "pool",
        "connection",
        "opened",
    ),
    *("closed", "after", "retry", "trace", "job", "17", "done", "queue", "size", "3", "latency", "p95", "commit"),
)
TRACE = 'Traceback (most recent call last):\n  File "/srv/app/orders.py", line 41, in pay\n    card.charge()\n'
LOGS = {
    "one traceback in 5 000 lines": (0, ""),
    "every line has the word error": (1, "error rate"),
    "1 line in 100 looks like an error": (100, "upstream error: refused"),
    "1 line in 20 looks like an error": (20, "upstream error: refused"),
    "every line looks like an error": (1, "upstream error: refused"),
}
"""How often a line has which words. All have the tracebacks."""
Row = dict[str, Any]


def lines(every: int, said: str) -> Iterator[str]:
    """Without end; the words every so many lines, and now and then a traceback."""
    chosen = random.Random(7)  # noqa: S311
    number = 0
    while True:
        number += 1
        stamp = f"2026-03-01T10:{number // 60000 % 60:02d}:{number // 1000 % 60:02d}.{number % 1000:03d}Z "
        text = " ".join(chosen.choices(WORDS, k=12))
        yield f"{stamp}{text} {said} {number % 7}" if every and number % every == 0 else stamp + text
        if number % 5000 == 0:
            yield f"{TRACE}CardError: card {number} was refused"


def made(every: int, said: str, size: int) -> bytes:
    parts: list[str] = []
    total = 0
    for line in lines(every, said):
        parts.append(line)
        total += len(line) + 1
        if total >= size:
            return ("\n".join(parts) + "\n").encode()
    raise AssertionError


def speed(every: int, said: str, size: int) -> tuple[float, int]:
    """MB/s of CPU time, and how many errors were counted."""
    data = made(every, said, min(size, 10 * MB))
    sentinel = Sentinel(lambda: 0.0)
    started = time.process_time()
    count = fed = 0
    while fed < size:
        for start in range(0, len(data), CHUNK):
            count += len(sentinel.feed("log", data[start : start + CHUNK]))
        fed += len(data)
    count += len(sentinel.flush("log"))
    return fed / MB / (time.process_time() - started), count


def memory(path: str) -> None:
    """In a process of its own: prints its peak in MiB, and how much of it reading the file took on top."""
    process = psutil.Process()
    sentinel = Sentinel(lambda: 0.0)
    sentinel.feed("warm", b"x\n")
    before = peak = process.memory_info().rss
    with Path(path).open("rb") as file:
        while data := file.read(CHUNK):
            sentinel.feed("log", data)
            peak = max(peak, process.memory_info().rss)
    sentinel.flush("log")
    print(peak / 1024 / 1024, (peak - before) / 1024 / 1024)


def peak(size: int) -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "app.log"
        data = made(100, "upstream error: refused", 10 * MB)
        with path.open("wb") as file:
            for _ in range(max(1, size // len(data))):
                file.write(data)
        command = [sys.executable, __file__, "--memory", str(path)]
        whole, more = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        return float(whole), float(more)


def quality() -> Iterator[Row]:
    for half in ("", "tuned", "held out"):
        for name, score in sorted(scoring.score_all(half).items()):
            if half and name != "all":
                continue
            row = {"row": f"{name} ({half})" if half else name, "n": score.cases, "errors": score.expected}
            yield row | {"precision": round(score.precision, 4), "recall": round(score.recall, 4)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    parser.add_argument("--size", type=int, default=100, metavar="MB", help="of each log (default: 100)")
    parser.add_argument("--notes", action="store_true", help="say which cases of the corpus went wrong")
    parser.add_argument("--memory", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.memory:
        memory(arguments.memory)
        return
    rows = list(quality())
    print(f"{'corpus':30} {'cases':>6} {'errors':>7} {'precision':>10} {'recall':>7}")
    for row in rows:
        print(f"{row['row']:30} {row['n']:6} {row['errors']:7} {row['precision']:10.3f} {row['recall']:7.3f}")
    if arguments.notes:
        print("\n".join(scoring.score_all()["all"].notes))
    print()
    for name, (every, said) in LOGS.items():
        rate, count = speed(every, said, arguments.size * MB)
        rows.append({"row": name, "n": 1, "mb_per_s": round(rate, 1), "findings": count})
        print(f"{name:40} {rate:7.1f} MB/s on one core, {count} findings")
    whole, more = peak(arguments.size * MB)
    rows.append({"row": "peak memory", "n": 1, "mib": round(whole, 1), "mib_on_top": round(more, 1)})
    print(
        f"{'peak memory of reading ' + str(arguments.size) + ' MB':40} {whole:7.1f} MiB, {more:.1f} of it for the log"
    )
    if arguments.json:
        write_json(arguments.json, machine(("google-re2",)), rows, seed=7)


if __name__ == "__main__":
    main()
