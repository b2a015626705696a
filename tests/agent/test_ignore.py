"""The rules of .gitignore: compared with git itself, and under hostile patterns, names and files."""

from __future__ import annotations

import os
import random
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent_wsl.files.ignore import (
    MAX_BYTES,
    MAX_CACHED,
    MAX_COMPILED,
    MAX_KEPT_RULES,
    MAX_RULES,
    Ignore,
    Rules,
    rules_of,
)

NAMES = ["a", "b", "src", "x.py", "y.txt", "build", "a b", "ü.py", "é[1]", ".env", "node_modules"]
SEGMENTS = [
    ".*", "*", "**", "?", "a", "b", "src", "*.py", "build", "x*", "[ab]", "[!a]", "é\\[1\\]", "y.t?t", "ü*", "*u*",
]  # fmt: skip


def plant(directory: Path, rng: random.Random, depth: int = 0) -> Iterator[tuple[Path, bool]]:
    for name in rng.sample(NAMES, 4):
        path = directory / name
        if depth < 3 and rng.random() < 0.5 and "." not in name:
            path.mkdir()
            yield path, True
            yield from plant(path, rng, depth + 1)
        else:
            path.write_text("", encoding="utf-8")
            yield path, False


def pattern(rng: random.Random) -> str:
    text = "/".join(rng.choice(SEGMENTS) for _ in range(rng.choice([1, 1, 1, 2, 2, 3])))
    before = ("!" if rng.random() < 0.3 else "") + ("/" if rng.random() < 0.25 else "")
    return before + text + ("/" if rng.random() < 0.3 else "") + rng.choice(["", "", " ", "\r"])


@pytest.mark.parametrize("seed", [62, 277, *range(1, 13)])
def test_the_verdicts_are_those_of_git(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    planted = list(plant(tmp_path, rng))
    directories = [path for path, is_dir in planted if is_dir]
    for directory in [tmp_path, *rng.sample(directories, min(3, len(directories)))]:
        lines = "\n".join(pattern(rng) for _ in range(rng.randint(1, 5)))
        (directory / ".gitignore").write_text(lines + "\n", encoding="utf-8")
    (tmp_path / ".git/info/exclude").write_text("y.txt\n", encoding="utf-8")
    relatives = [(str(path.relative_to(tmp_path)), is_dir) for path, is_dir in planted]
    answer = subprocess.run(
        ["git", "-C", str(tmp_path), "check-ignore", "--no-index", "-z", "--stdin"],
        input="\0".join(path for path, _ in relatives).encode(),
        stdout=subprocess.PIPE,
        check=False,
    )
    ignore = Ignore(tmp_path)
    ours = {path for path, is_dir in relatives if ignore.ignored(path, is_dir)}
    assert ours == set(answer.stdout.decode().split("\0")) - {""}


def test_git_itself_is_always_ignored_and_the_root_never(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("!.git\n*\n", encoding="utf-8")
    ignore = Ignore(tmp_path)
    assert ignore.ignored(".git", True)
    assert ignore.ignored(".git/config", False)
    assert ignore.ignored("module/.git", False)
    assert not ignore.ignored(".", True)
    assert not ignore.ignored("", True)


def test_refresh_reads_again(tmp_path: Path) -> None:
    ignore = Ignore(tmp_path)
    assert not ignore.ignored("out/x", False)
    (tmp_path / ".gitignore").write_text("out/\n", encoding="utf-8")
    assert not ignore.ignored("out/x", False)
    ignore.refresh()
    assert ignore.ignored("out/x", False)


def test_bytes_that_are_no_utf8(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_bytes(b"\xff*.log\n")
    ignore = Ignore(tmp_path)
    assert ignore.ignored(os.fsdecode(b"\xffx.log"), False)
    assert not ignore.ignored(os.fsdecode(b"\xfex.log"), False)
    assert not ignore.ignored("line\nbreak", False)


def test_windows_line_ends_and_byte_order_mark() -> None:
    rules = Rules(rules_of(b"\xef\xbb\xbfone\r\n# no\r\n\r\ntwo/\r\n"))
    assert rules.verdict(b"one") is True
    assert rules.verdict(b"two/") is True
    assert rules.verdict(b"two") is None


@pytest.mark.parametrize("line", [b"[z-a]", b"a\\", b"[", b"[[:nonsense:]]", b"x" * 5000, b"/", b"!", b"**", b"***"])
def test_a_line_that_means_nothing_leaves_the_others_alone(line: bytes) -> None:
    assert Rules(rules_of(b"first\n" + line + b"\n!last\nlast2\n")).verdict(b"last") is False


def test_a_pattern_that_would_make_a_backtracking_engine_hang() -> None:
    rules = Rules(rules_of(b"*a" * 40 + b"b\n" + b"**/" * 60 + b"x\n"))
    started = time.perf_counter()
    assert rules.verdict(b"a" * 255) is None
    assert rules.verdict(b"a/" * 2000) is None
    assert time.perf_counter() - started < 5


def test_a_thousand_patterns_and_the_last_one_decides() -> None:
    lines = [b"f%d" % i for i in range(1000)] + [b"!f7"]
    rules = Rules(rules_of(b"\n".join(lines)))
    assert rules.verdict(b"f999") is True
    assert rules.verdict(b"f7") is False
    assert rules.verdict(b"f1000") is None


def test_a_gitignore_is_read_only_from_a_plain_file_below_the_root(tmp_path: Path) -> None:
    outside, root = tmp_path / "outside", tmp_path / "root"
    (root / "directory/.gitignore").mkdir(parents=True)
    for directory in (outside, root / "fifo", root / "link", root / "hard", root / "big"):
        directory.mkdir(parents=True)
    (outside / ".gitignore").write_text("secret\n", encoding="utf-8")
    os.mkfifo(root / "fifo/.gitignore")
    (root / "link/.gitignore").symlink_to(outside / ".gitignore")
    (root / "parent").symlink_to(outside)
    os.link(outside / ".gitignore", root / "hard/.gitignore")
    (root / "big/.gitignore").write_bytes(b"#" * MAX_BYTES + b"\nsecret\n")
    ignore = Ignore(root)
    for place in ("fifo", "link", "parent", "hard", "big", "directory", "gone"):
        assert not ignore.ignored(f"{place}/secret", False), place


def test_more_directories_than_are_remembered(tmp_path: Path) -> None:
    ignore = Ignore(tmp_path)
    for number in range(2 * MAX_COMPILED):
        (tmp_path / f"d{number}").mkdir()
        (tmp_path / f"d{number}/.gitignore").write_text(f"out{number}\n", encoding="utf-8")
    for _ in range(2):
        for number in range(2 * MAX_COMPILED):
            assert ignore.ignored(f"d{number}/out{number}", False)
            assert not ignore.ignored(f"d{number}/out", False)
    assert len(ignore._rules) <= MAX_COMPILED
    for number in range(MAX_CACHED + 10):
        assert not ignore.ignored(f"e{number}/x", False)
    assert len(ignore._directories) <= MAX_CACHED + 1
    assert len(ignore._without) <= MAX_CACHED + 1
    assert ignore.ignored("d1/out1/x", False)


def test_more_lines_than_are_heeded() -> None:
    assert len(rules_of(b"x\n" * (MAX_RULES + 1))) == MAX_RULES


def test_the_memory_of_many_large_files_is_bounded(tmp_path: Path) -> None:
    for number in range(12):
        (tmp_path / f"{number}").mkdir()
        (tmp_path / f"{number}/.gitignore").write_text("\n".join(f"*{i}*.x" for i in range(1000)), encoding="ascii")
    ignore = Ignore(tmp_path)
    assert all(ignore.ignored(f"{number}/a7.x", False) for number in range(12))
    assert sum(rules.size for rules in ignore._rules.values()) <= MAX_KEPT_RULES
