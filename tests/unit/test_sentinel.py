"""What is one error and what another, whose frame it is, how often it came, and who is told."""

from __future__ import annotations

import pytest

from bot.findings import Finding
from bot.ports import Findings
from bot.sentinel.ledger import Ledger
from bot.sentinel.sentinel import MAX_SOURCES, Sentinel

TRACE = (
    "Traceback (most recent call last):\n"
    '  File "{root}/app/orders.py", line {line}, in pay\n    charge(card, {code})\n'
    '  File "{root}/.venv/lib/python3.11/site-packages/bank/api.py", line 9, in charge\n    raise Refused\n'
    "bank.Refused: card {card} at 0x7f{card}aa was refused after {ms} ms, request {uuid}\n"
)
USUAL = {
    "root": "/home/ann/shop",
    "line": "41",
    "code": "1",
    "card": "4711",
    "ms": "12.5",
    "uuid": "6f1b1a52-6f7e-4b53-9d6c-0d2f0a9a1c11",
}


def trace(**changed: str) -> bytes:
    return TRACE.format(**{**USUAL, **changed}).encode()


def one(text: bytes, *roots: str) -> Finding:
    sentinel = Sentinel(lambda: 5.0, roots)
    (found,) = (*sentinel.feed("x", text), *sentinel.flush("x"))
    return found


def test_the_port_is_kept() -> None:
    port: Findings = Sentinel(lambda: 0.0)
    assert port.latest() is None
    assert port.recent(3) == ()


@pytest.mark.parametrize(
    "changed",
    [
        {"card": "1234"},
        {"ms": "7"},
        {"uuid": "00000000-1111-2222-3333-444444444444"},
        {"root": "/srv/deploy/7"},
        {"line": "57"},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_the_same_error(changed: dict[str, str]) -> None:
    """Numbers, ids, where the project lies, and lines put above it make no other error of it."""
    assert one(trace(**changed)).fingerprint == one(trace()).fingerprint


def test_other_errors() -> None:
    texts = [
        trace(),
        trace(code="2"),
        trace().replace(b"Refused:", b"Expired:"),
        trace().replace(b"orders.py", b"refunds.py"),
        trace().replace(b"was refused", b"was stolen"),
        b"main.c:3:5: error: expected ';'\n",
        b"main.c:9:5: error: expected ';'\n",
        b"b/main.c:3:5: error: expected ';'\n",
    ]
    marks = [one(text).fingerprint for text in texts]
    assert len(set(marks)) == len(marks)


@pytest.mark.parametrize(
    ("path", "roots", "owned"),
    [
        ("/home/ann/shop/a.py", ("/home/ann/shop",), True),
        ("/home/ann/shop2/a.py", ("/home/ann/shop",), True),
        ("app/a.py", ("/home/ann/shop",), True),
        ("./a.py", (), True),
        ("/app/a.py", ("/home/ann/shop",), True),
        ("C:\\work\\shop\\a.py", ("c:\\work\\shop",), True),
        ("/home/ann/shop/.venv/lib/python3.11/site-packages/x/a.py", ("/home/ann/shop",), False),
        ("/home/ann/shop/node_modules/x/a.js", ("/home/ann/shop",), False),
        ("/usr/lib/python3.11/json/decoder.py", (), False),
        ("/usr/local/lib/python3.11/json/decoder.py", (), False),
        ("/root/.pyenv/versions/3.11.7/lib/python3.11/json/decoder.py", (), False),
        ("C:\\Python311\\Lib\\json\\decoder.py", (), False),
        ("C:\\Users\\ann\\AppData\\Local\\Programs\\Python\\Python311\\Lib\\json\\decoder.py", (), False),
        ("/usr/local/go/src/net/http/server.go", (), False),
        ("/home/ann/go/pkg/mod/github.com/x/y@v1.2.3/z.go", (), False),
        ("/home/ann/.cargo/registry/src/x/lib.rs", (), False),
        ("/rustc/59807616e1fa2540724bfbac14d7976d7e4a3860/library/core/src/panicking.rs", (), False),
        ("<string>", (), False),
        ("/usr/lib/site/app.py", ("/usr/lib/site",), True),
    ],
)
def test_whose_frame_it_is(path: str, roots: tuple[str, ...], owned: bool) -> None:
    found = one(
        f'Traceback (most recent call last):\n  File "{path}", line 3, in f\n    x\nKeyError: 1\n'.encode(), *roots
    )
    assert found.frames[0].in_project is owned
    assert (found.top is not None) is owned


def test_a_frame_under_a_root_goes_before_a_nearer_one_outside_all_roots() -> None:
    text = trace().replace(b"/home/ann/shop/.venv/lib/python3.11/site-packages/bank", b"/home/ann/bank")
    assert one(text, "/home/ann/shop").top == one(trace(), "/home/ann/shop").top
    nearest = one(text).top
    assert nearest is not None
    assert nearest.path == "/home/ann/bank/api.py"


def test_repeats_are_counted_and_told_once() -> None:
    now = 100.0
    sentinel = Sentinel(lambda: now)
    told: list[Finding] = []
    sentinel.listen(told.append)
    for _ in range(5):
        sentinel.feed("app.log", trace())
        sentinel.flush("app.log")
        now += 10
    latest = sentinel.latest()
    assert latest is not None
    assert (latest.count, latest.first_seen, latest.last_seen, latest.source) == (5, 100.0, 140.0, "app.log")
    assert [finding.count for finding in told] == [1]
    sentinel.feed("job 2", b"main.c:3:5: error: x\n")
    sentinel.flush("job 2")
    assert [finding.language for finding in sentinel.recent(5)] == ["c", "python"]
    assert [finding.language for finding in told] == ["python", "c"]


def test_a_traceback_in_two_halves_waits_until_its_source_is_quiet() -> None:
    now = 0.0
    sentinel = Sentinel(lambda: now)
    assert not sentinel.feed("x", trace())
    now = 1.0
    assert not sentinel.flush_quiet()
    now = 2.5
    assert [finding.type for finding in sentinel.flush_quiet()] == ["bank.Refused"]
    assert not sentinel.flush_quiet()


def test_what_only_says_that_something_failed_is_no_second_error() -> None:
    sentinel = Sentinel(lambda: 0.0)
    build = b"cc -c main.c\nmain.c:3:5: error: 'x' undeclared\nmake: *** [Makefile:2: main.o] Error 1\n"
    found = (*sentinel.feed("build", build), *sentinel.flush("build"))
    assert [(finding.language, finding.message) for finding in found] == [("c", "'x' undeclared")]
    alone = one(b"make: *** [Makefile:2: main.o] Error 1\n")
    assert (alone.language, alone.type, alone.top and alone.top.line) == ("make", "Error 1", 2)


def test_a_summary_without_details_names_each_failed_test() -> None:
    sentinel = Sentinel(lambda: 0.0)
    text = b"FAILED test_a.py::test_x - assert 1 == 2\nFAILED test_b.py::test_y - KeyError: 'k'\n"
    found = (*sentinel.feed("x", text), *sentinel.flush("x"))
    assert [(f.type, f.top and f.top.path) for f in found] == [("", "test_a.py"), ("KeyError", "test_b.py")]


def test_the_text_is_what_was_read_without_colours_and_not_too_long() -> None:
    found = one(b"before\n\x1b[31mmain.c:3:5: error: x\x1b[0m\n    3 | int\n      |  ^\nafter\n")
    assert found.text == "main.c:3:5: error: x\n    3 | int\n      |  ^"
    frames = "".join(f'  File "/a.py", line {n}, in f{n}\n    {"x" * 300}\n' for n in range(100))
    assert len(one(f"Traceback (most recent call last):\n{frames}KeyError: 1\n".encode()).text) < 6100


def test_sources_and_findings_are_bounded() -> None:
    ledger = Ledger(kept=10)
    for number in range(25):
        ledger.add(Finding("c", "error", str(number), (), None, "", "x", f"mark{number}"), float(number))
    assert [finding.message for finding in ledger.recent(100)] == [str(n) for n in range(24, 14, -1)]
    sentinel = Sentinel(lambda: 0.0)
    found = []
    for number in range(MAX_SOURCES + 1):
        found += sentinel.feed(f"s{number}", trace(root=f"/r{number}"))
    assert len(found) == 1
    sentinel.forget("s5")
    assert sentinel.flush("s5") == ()
