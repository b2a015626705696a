"""Searching: what is found, what is left out, and what cannot hang it."""

from __future__ import annotations

import os
import random
import re
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent_wsl.codec import encode
from agent_wsl.envelope import MAX_REPLY, ErrorCode
from agent_wsl.errors import Refusal
from agent_wsl.files.beneath import Walk
from agent_wsl.files.pattern import Glob, LinePattern, windows
from agent_wsl.files.root import Roots
from agent_wsl.files.search import Searcher
from agent_wsl.protocol import Search, SearchResult

MIB = 1 << 20
HALF = chr(0xD800)
BYTE_FF = chr(0xDCFF)
"""How Python writes the byte 0xff in a file name."""
Plant = Callable[[dict[str, str | bytes]], None]


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    def put(files: dict[str, str | bytes]) -> None:
        for name, content in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)

    return put


@pytest.fixture(params=["openat2", "walk"])
def searcher(tmp_path: Path, request: pytest.FixtureRequest) -> Searcher:
    return Searcher(Roots([tmp_path], opener=Walk() if request.param == "walk" else None), 10 * MIB)


def found(result: SearchResult, base: Path) -> list[tuple[str, int, int, str]]:
    return [(os.path.relpath(hit.path, base), hit.line, hit.column, hit.text) for hit in result.hits]


def names(result: SearchResult, base: Path) -> list[str]:
    return [hit[0] for hit in found(result, base)]


def test_a_literal(tmp_path: Path, plant: Plant, searcher: Searcher) -> None:
    plant({"a.py": "x = (a+b)\ny\nprint((a+b), (a+b))\n", "sub/b.txt": "größe (a+b)", "c": "(A+B)"})
    result = searcher.search(Search("(a+b)"))
    assert found(result, tmp_path) == [
        ("a.py", 1, 5, "x = (a+b)"),
        ("a.py", 3, 7, "print((a+b), (a+b))"),
        ("sub/b.txt", 1, 7, "größe (a+b)"),
    ]
    assert (result.files, result.skipped, result.stopped) == (3, 0, "")
    assert len(searcher.search(Search("(a+b)", ignore_case=True)).hits) == 4
    assert names(searcher.search(Search("GRÖßE", ignore_case=True)), tmp_path) == ["sub/b.txt"]


@pytest.mark.parametrize(
    ("pattern", "lines"),
    [
        ("^b", [2, 3]),
        ("r$", [1, 2]),
        ("a.*b", []),
        ("[^x]*", [1, 2, 3, 4, 5]),
        (r"bar\s", []),
        (r"bar\nbaz", []),
        ("^$", [4]),
        (r"\bbaz\b", [3]),
        ("(?i)FOO|BAZ", [1, 3, 5]),
        ("o{2}", [1, 5]),
        ("(?P<name>ba)z", [3]),
        ("(?s)foo.*bar", [1]),
    ],
)
def test_regular_expressions_see_one_line_at_a_time(
    plant: Plant, searcher: Searcher, pattern: str, lines: list[int]
) -> None:
    plant({"f": "foo bar\r\nbar\r\nbaz\n\nfoo"})
    assert [hit.line for hit in searcher.search(Search(pattern, regex=True)).hits] == lines


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("(", "missing )"),
        ("*", "no argument for repetition operator"),
        ("a)(?:b", "unexpected )"),
        ("[z-a]", "invalid character class range"),
        ("(?=a)", "Look-around and back-references do not exist"),
        (r"(a)\1", "Look-around and back-references do not exist"),
        (r"\pL{1,900}", "too large"),
        (r"(?i:\pL+\s+){1,100}z", "too large"),
        ("((a{100}){100}){100}", "invalid repetition size"),
        ("a\nb", "line end"),
        (HALF, "half a character"),
        (BYTE_FF, "half a character"),
    ],
    ids=ascii,
)
def test_a_bad_pattern_is_named_in_words(searcher: Searcher, pattern: str, words: str) -> None:
    started = time.perf_counter()
    with pytest.raises(Refusal) as caught:
        searcher.search(Search(pattern, regex=True))
    assert caught.value.code == ErrorCode.BAD_PATTERN
    assert words in caught.value.message
    assert time.perf_counter() - started < 5


def test_a_literal_is_no_regular_expression(plant: Plant, searcher: Searcher) -> None:
    plant({"f": "a)(?:b *[(\\"})
    for pattern in ("a)(?:b", "*[(", "\\", "("):
        assert len(searcher.search(Search(pattern)).hits) == 1


@pytest.mark.parametrize(
    ("glob", "expected"),
    [
        ("", ["a.py", "b.ts", "src/a.py", "src/deep/c.ts", "src/deep/d.tsx"]),
        ("*.py", ["a.py", "src/a.py"]),
        ("/*.py", ["a.py"]),
        ("src/**/*.ts", ["src/deep/c.ts"]),
        ("**/deep/*", ["src/deep/c.ts", "src/deep/d.tsx"]),
        ("*.{ts,tsx}", ["b.ts", "src/deep/c.ts", "src/deep/d.tsx"]),
        ("{src,x}/{a,deep/c}.*", ["src/a.py", "src/deep/c.ts"]),
        ("src", ["src/a.py", "src/deep/c.ts", "src/deep/d.tsx"]),
        ("./src/*", ["src/a.py", "src/deep/c.ts", "src/deep/d.tsx"]),
        ("[ab].[!p]*", ["b.ts"]),
        ("!a.py", []),
        ("../*", []),
        (BYTE_FF + "*", []),
    ],
    ids=ascii,
)
def test_globs(tmp_path: Path, plant: Plant, searcher: Searcher, glob: str, expected: list[str]) -> None:
    plant(dict.fromkeys(["a.py", "b.ts", "src/a.py", "src/deep/c.ts", "src/deep/d.tsx"], "here"))
    assert names(searcher.search(Search("here", glob=glob)), tmp_path) == expected


@pytest.mark.parametrize("glob", ["[", "/", " ", "[z-a]", "{a,b}" * 9, HALF], ids=ascii)
def test_a_bad_glob(searcher: Searcher, glob: str) -> None:
    with pytest.raises(Refusal) as caught:
        searcher.search(Search("x", glob=glob))
    assert caught.value.code == ErrorCode.BAD_PATTERN


def test_what_gitignore_says_is_left_out(tmp_path: Path, plant: Plant, searcher: Searcher) -> None:
    plant({".gitignore": "*.log\nbuild/\n", "sub/.gitignore": "!keep.log\nno\n"})
    plant(dict.fromkeys(["a.log", "a.txt", "build/b.txt", ".git/config", "sub/keep.log", "sub/no", "sub/yes"], "x"))
    assert names(searcher.search(Search("x")), tmp_path) == ["a.txt", "sub/keep.log", "sub/yes"]
    assert names(searcher.search(Search("x", "sub")), tmp_path) == ["sub/keep.log", "sub/yes"]


def test_who_names_what_is_ignored_gets_it(tmp_path: Path, plant: Plant, searcher: Searcher) -> None:
    plant({".gitignore": "out\n", "out/a": "x", "out/deep/b": "x", "out/.gitignore": "c\n", "out/c": "x"})
    assert names(searcher.search(Search("x", "out")), tmp_path) == ["out/a", "out/deep/b"]
    assert names(searcher.search(Search("x", "out/c")), tmp_path) == ["out/c"]


def test_binary_large_and_hard_linked_files_are_counted_not_read(
    tmp_path: Path, plant: Plant, searcher: Searcher
) -> None:
    plant({"good": "secret", "binary": b"secret\0", "linked": "secret"})
    os.link(tmp_path / "linked", tmp_path / "other")
    with open(tmp_path / "sparse", "wb") as sparse:
        sparse.truncate(1 << 40)
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to(tmp_path / "good")
    (tmp_path / "tree").symlink_to("/etc")
    result = searcher.search(Search("secret"))
    assert names(result, tmp_path) == ["good"]
    assert (result.files, result.skipped) == (1, 4)


def test_utf16_and_bytes_that_are_no_text(tmp_path: Path, plant: Plant, searcher: Searcher) -> None:
    plant({"bom": b"\xef\xbb\xbfhallo", "mixed": b"\xff\xfd hallo \xe4", "wide": "ä\nhällo\n".encode("utf-16")})
    plant({os.fsdecode(b"\xfe"): "hallo"})
    assert found(searcher.search(Search("h.llo", regex=True)), tmp_path) == [
        ("bom", 1, 1, "hallo"),
        ("mixed", 1, 4, "\ufffd\ufffd hallo \ufffd"),
        ("wide", 2, 1, "hällo"),
        (os.fsdecode(b"\xfe"), 1, 1, "hallo"),
    ]


def test_a_path_that_is_a_file_or_is_not_there(tmp_path: Path, plant: Plant, searcher: Searcher) -> None:
    plant({"a": "x", "b": "x"})
    assert names(searcher.search(Search("x", "b")), tmp_path) == ["b"]
    for path, code in (("gone", ErrorCode.NOT_FOUND), ("/etc", ErrorCode.DENIED), ("../..", ErrorCode.DENIED)):
        with pytest.raises(Refusal) as caught:
            searcher.search(Search("root", path))
        assert caught.value.code == code


def test_hits_are_limited(plant: Plant, searcher: Searcher) -> None:
    plant({"f": "x\n" * 10})
    assert searcher.search(Search("x", limit=10)).stopped == ""
    result = searcher.search(Search("x", limit=9))
    assert (len(result.hits), result.stopped) == (9, "hits")


def test_the_worst_hits_fit_into_a_reply(plant: Plant, searcher: Searcher) -> None:
    plant({BYTE_FF * 80 + "/f": ("x" + "\U0001f600" * 600 + "\n") * 2000})
    result = searcher.search(Search("x", limit=2000))
    assert result.stopped == "hits"
    assert len(result.hits) > 100
    assert len(encode(result)) < MAX_REPLY


def test_time_is_limited_within_a_file_and_over_the_tree(tmp_path: Path, plant: Plant) -> None:
    now = 0.0

    def clock() -> float:
        nonlocal now
        now += 0.5
        return now

    plant({f"d{number}/f": "nothing\n" for number in range(100)})
    searcher = Searcher(Roots([tmp_path]), 64 * MIB, clock)
    result = searcher.search(Search("x"))
    assert result.stopped == "time"
    assert result.files < 20
    plant({"big": b"n" * (32 * MIB)})
    result = searcher.search(Search("(n?){100}x", "big", regex=True))
    assert (result.stopped, result.files) == ("time", 0)


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|aa)+$", "(a*)*b$", "^(([a-z])+.)+[A-Z]([a-z])+$", "(x+x+)+y"])
def test_a_pathological_pattern_on_a_line_of_a_mebibyte(plant: Plant, searcher: Searcher, pattern: str) -> None:
    plant({"f": "a" * MIB + "!\n"})
    started = time.perf_counter()
    result = searcher.search(Search(pattern, regex=True))
    assert (result.hits, result.files, result.stopped) == ((), 1, "")
    assert time.perf_counter() - started < 5


def test_the_slowest_pattern_that_is_allowed_ends_in_time(tmp_path: Path, plant: Plant) -> None:
    """Its automaton has more states than memory has room for."""
    plant({"f": bytes(random.Random(1).choices(b"ab", k=8 * MIB))})
    started = time.perf_counter()
    result = Searcher(Roots([tmp_path]), 10 * MIB, time_limit_s=1).search(Search("a[ab]{900}$c", regex=True))
    assert result.stopped == "time"
    assert time.perf_counter() - started < 15


def test_a_long_line_is_whole_to_the_pattern_and_its_hit_is_shown(plant: Plant, searcher: Searcher) -> None:
    plant({"f": "é" * 2 * MIB + "hit" + "-" * MIB + "\nhit"})
    first, second = searcher.search(Search("hit")).hits
    assert (first.line, first.column, second.line, second.column) == (1, 2 * MIB + 1, 2, 1)
    assert len(first.text) == 500
    assert first.text[100:104] == "hit-"
    assert searcher.search(Search("^hit", regex=True)).hits == (second,)
    assert searcher.search(Search("é$", regex=True)).hits == ()


def test_a_line_longer_than_any_window_keeps_its_number_and_columns(tmp_path: Path, plant: Plant) -> None:
    plant({"f": "\n" + "-" * (17 * MIB) + "hit\nhit"})
    hits = Searcher(Roots([tmp_path]), 64 * MIB).search(Search("hit")).hits
    assert [(hit.line, hit.column) for hit in hits] == [(2, 17 * MIB + 1), (3, 1)]


@pytest.mark.parametrize("seed", range(20))
def test_windows_are_the_same_bytes_cut_at_line_ends(seed: int) -> None:
    rng = random.Random(seed)
    text = "".join(rng.choices(["a", "é", "\U0001f600", "\n"], [5, 2, 1, rng.choice([0.02, 1])], k=3000)).encode()
    cuts = sorted(rng.choices(range(len(text)), k=20))
    pieces: Iterator[bytes] = (text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True) if a != b)
    size, longest = 50, rng.choice([50, 200])
    parts = list(windows(pieces, size, longest))
    assert b"".join(parts) == text
    assert max(map(len, parts)) <= longest
    for part in parts[:-1]:
        assert part.endswith(b"\n") or len(part) > longest - 4
        part.decode()


@pytest.mark.parametrize("pattern", ["x", "x*", "$", "^", ".", "(x|y)+$"])
def test_the_hits_are_those_of_a_plain_loop(pattern: str) -> None:
    for seed in range(50):
        rng = random.Random(seed)
        text = "".join(rng.choices("xyé\n", k=rng.randint(0, 60)))
        lines = text.split("\n")[: -1 if text.endswith("\n") or not text else None]
        expected = [
            (number, match.start(), line) for number, line in enumerate(lines) if (match := re.search(pattern, line))
        ]
        ours = [(hit.line, hit.column, hit.text) for hit in LinePattern(pattern, True, False).found(text.encode())]
        assert ours == expected, repr(text)


def test_a_glob_alone() -> None:
    assert Glob("").matches("anything")
    assert Glob("*.py").matches("deep/x.py")
    assert not Glob("*.py").matches("x.pyc")


@pytest.mark.slow
def test_fifty_thousand_files(tmp_path: Path) -> None:
    for number in range(50_000):
        if number % 100 == 0:
            (tmp_path / f"d{number}").mkdir()
        (tmp_path / f"d{number - number % 100}/f{number}").write_bytes(b"line\n")
    tracemalloc.start()
    try:
        result = Searcher(Roots([tmp_path]), MIB, time_limit_s=200).search(Search("nothing"))
        assert tracemalloc.get_traced_memory()[1] < 16 * MIB
    finally:
        tracemalloc.stop()
    assert (result.files, result.stopped) == (50_000, "")
