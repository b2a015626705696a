"""From bytes to lines: cuts, line ends, colours, endless lines, what is passed over, and who said it."""

from __future__ import annotations

import random
import time
import tracemalloc

import pytest

from bot.sentinel import prefix
from bot.sentinel.sentinel import MAX_PROCESSES, Sentinel
from bot.sentinel.stream import CONTEXT, MAX_LINE, Prefilter, Stream

PREFILTER = Prefilter()
TRACE = 'Traceback (most recent call last):\n  File "/srv/a.py", line 3, in f\n    g("é")\nValueError: naïve — 漢字\n'


def lines(*pieces: bytes) -> list[str]:
    stream = Stream(PREFILTER)
    stream.attentive = True
    return [*(line for piece in pieces for line in stream.feed(piece)), *stream.flush()]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r\r\n", b"\r"])
def test_line_ends(end: bytes) -> None:
    text = b"one" + end + b"two" + end
    for cut in range(len(text) + 1):
        assert lines(text[:cut], text[cut:]) == ["one", "two"], cut


def test_characters_cut_in_the_middle_and_broken_ones() -> None:
    text = "naïve 漢字\n".encode()
    for cut in range(len(text)):
        assert lines(text[:cut], text[cut:]) == ["naïve 漢字"]
    assert lines(b"caf\xe9 x\n") == ["caf\ufffd x"]
    assert lines(b"\xef\xbb\xbffirst\n") == ["first"]


def test_colours_titles_and_cursor_moves_are_taken_out_wherever_they_are_cut() -> None:
    text = b"\x1b]0;title\x07\x1b[31;1mer\x1b[0mror\x1b[K\x1b[2K: \x1b[38;5;9mx\x1b(B\x1b[m\n"
    for cut in range(len(text)):
        assert lines(text[:cut], text[cut:]) == ["error: x"]


def test_an_endless_line_is_kept_to_its_beginning() -> None:
    stream = Stream(PREFILTER)
    stream.attentive = True
    for _ in range(100):
        assert not list(stream.feed(b"x" * 100_000))
    (line,) = stream.feed(b"\nrest")
    assert line == "x" * MAX_LINE


def test_quiet_lines_are_passed_over_and_headings_called_back() -> None:
    stream = Stream(PREFILTER)
    quiet = b"".join(b"line %d\n" % n for n in range(1000))
    assert not list(stream.feed(quiet))
    read = list(stream.feed(b"/srv/a.js\n" + b"  1:1  warning  x\n" * 20 + b"  3:1  error  y  z\n"))
    assert read[0] == "/srv/a.js"
    assert len(read) == 22
    assert not list(stream.feed(quiet))
    far = list(stream.feed(b"/srv/a.js\n" + b"nothing\n" * CONTEXT + b"error: y\n"))
    assert far[-1] == "error: y"
    assert "/srv/a.js" not in far


@pytest.mark.parametrize(
    ("line", "process", "rest"),
    [
        ("web-1  | \tat x", "web-1", "\tat x"),
        ("web-1  |", "web-1", ""),
        ("web_1 |   File", "web_1", "  File"),
        ("2026-03-01T10:00:00.123456789Z   File", "", "  File"),
        ("[2026-03-01 10:00:00,123] ERROR x", "", "ERROR x"),
        ("10:00:01 web.1   | Error: x", "web.1", "Error: x"),
        ("api | 2026-03-01 10:00:00 Error", "api", "Error"),
        ("[0] Error: x", "0", "Error: x"),
        ("[server] Error: x", "server", "Error: x"),
        ("[pod/web-7d/app] Error: x", "pod/web-7d/app", "Error: x"),
        ("[error] x", "", "[error] x"),
        ("[ERROR] /a/B.java:[3,4] x", "", "[ERROR] /a/B.java:[3,4] x"),
        ("[  12.345678] x", "", "x"),
        ("Mar  1 10:00:00 box app[7]:   x", "app[7]", "  x"),
        ("#8 0.312 make: x", "8", "make: x"),
        ("#0 /srv/a.php(3): f()", "", "#0 /srv/a.php(3): f()"),
        ("   12 | int x;", "", "   12 | int x;"),
        ("12 | int x;", "", "12 | int x;"),
        ("  |   File", "", "  |   File"),
        ("error: x | y", "", "error: x | y"),
        ("", "", ""),
    ],
)
def test_prefixes(line: str, process: str, rest: str) -> None:
    assert prefix.split(line) == (process, rest)


def test_a_traceback_among_other_processes_lines_and_cut_anywhere() -> None:
    text = "".join(f"api | {line}\nweb | GET / error 0\n" for line in TRACE.splitlines()).encode()
    for cut in range(len(text)):
        sentinel = Sentinel(lambda: 0.0)
        (found,) = (*sentinel.feed("x", text[:cut]), *sentinel.feed("x", text[cut:]), *sentinel.flush("x"))
        assert (found.type, found.message) == ("ValueError", "naïve — 漢字")
        assert found.top is not None
        assert found.top.line == 3


def test_memory_is_bounded_whatever_comes() -> None:
    """Endless lines, blocks that never end, processes and sources without number."""
    chosen = random.Random(3)
    sentinel = Sentinel(lambda: 0.0)
    words = [
        b"Traceback (most recent call last):",
        b'  File "/a.py", line 1, in f',
        b"    x",
        b"error: x",
        b"java.lang.Error",
    ]
    words += [
        b"\tat a.B.c(B.java:1)",
        b"____ test ____",
        b"E   x",
        b"=== RUN   T",
        b"panic: x",
        b"goroutine 1 [running]:",
    ]

    def some(number: int) -> bytes:
        rows = [chosen.choice(words) for _ in range(300)]
        return b"\n".join(b"p%d | %s" % (number * 7 % 999, row) if n % 3 else row for n, row in enumerate(rows))

    for number in range(40):
        sentinel.feed(f"s{number}", some(number))
    tracemalloc.start()
    for number in range(90):
        sentinel.feed(f"s{number % 90}", some(number) * 2)
    sentinel.feed("long", b"x" * 5_000_000 + b"error" * 1000)
    current, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert current < 30_000_000
    assert MAX_PROCESSES < 100


@pytest.mark.parametrize(
    "line",
    [
        "a" * 8000 + ": error: x",
        "a:" * 4000 + "1: error: x",
        "/" * 8000 + ":1: error: ",
        " " * 8000 + "at x (y:1:1)",
        "Error: " * 1100,
        "java.lang." * 800 + "Error",
        "x.rb:1:in `" + "'" * 7000 + " (X)",
        "Exception in thread " + '"' * 8000,
        "\tat " + "a." * 4000 + "(A.java:1)",
        "Fatal error: Uncaught " + "x in " * 1600,
        "thread '" + "' panicked at '" * 500,
        "FAIL  " + "> " * 4000,
        "[2026-03-01 " + "10:00:00 " * 800 + "error",
        "=" * 4000 + " FAILURES " + "=" * 4000,
        "_" * 4000 + " error " + "_" * 4000,
        "npm ERR! " + "code " * 1500,
        "sh: 1: " + "a: " * 2000 + "not found",
        "ERROR: " + "x.y:1:1:" * 1000 + " No such file or directory",
        "ld: " + "(" * 4000 + "undefined reference to `",
    ],
    ids=lambda line: line[:12],
)
def test_no_line_takes_for_ever(line: str) -> None:
    sentinel = Sentinel(lambda: 0.0)
    started = time.process_time()
    sentinel.feed("x", f"{line}\n".encode() * 5)
    sentinel.flush("x")
    assert time.process_time() - started < 1.0


def test_quiet_logs_are_fast() -> None:
    """Loosely, as other things run here too; scripts/bench_sentinel.py has the figures."""
    data = b"2026-03-01T10:00:00.123Z INFO GET /api/v1/items 200 in 12 ms for user 7, cache hit\n" * 60_000
    sentinel = Sentinel(lambda: 0.0)
    started = time.process_time()
    sentinel.feed("x", data)
    assert len(data) / 1e6 / (time.process_time() - started) > 20
