"""Watched log files, for real: lines, rotation, truncation, and attempts to have something else read."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent_wsl.protocol import Changes
from tests.agent.watching import Watched, watched

OUTSIDE = "a secret line from outside"


@pytest.fixture(params=["inotify", "polling"])
def state(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    with watched(tmp_path, monkeypatch, request.param, add=False) as found:
        log_of(found).write_text("old line\n", encoding="utf-8")
        assert found.watcher.add("code/app.log").kind == "log"
        yield found


@pytest.fixture
def outside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("outside") / "shadow"
    path.write_text(f"{OUTSIDE}\n" * 10, encoding="utf-8")
    return path


def log_of(state: Watched) -> Path:
    return state.code / "app.log"


def append(path: Path, text: str) -> None:
    with path.open("a", encoding="utf-8", newline="") as file:
        file.write(text)


def test_appended_lines_and_nothing_else(state: Watched) -> None:
    append(log_of(state), "one\r\ntwo ü\n")
    state.until_lines("one", "two ü")
    append(log_of(state), "three\n")
    state.until_lines("one", "two ü", "three")
    assert {change.kind for change in state.seen} == {"lines"}
    assert {change.path for change in state.seen} == {str(log_of(state))}


def test_a_prompt_without_a_line_end_comes_after_a_while(state: Watched) -> None:
    append(log_of(state), "Continue? [y/N] ")
    state.until_lines("Continue? [y/N] ")
    append(log_of(state), "\nyes\n")
    state.until_lines("Continue? [y/N] ", "yes")


@pytest.mark.parametrize("attempt", range(3))
def test_rotation_by_rename_and_create(state: Watched, attempt: int) -> None:
    log = log_of(state)
    with log.open("a", encoding="utf-8") as writer:
        for number in range(5):
            writer.write(f"before {number}\n")
        writer.flush()
        log.rename(f"{log}.1")
        writer.write("late, to the old file\n")
        writer.flush()
        log.write_text("first of the new file\n", encoding="utf-8")
        state.until(lambda seen: len(state.lines()) >= 7)
        writer.write("later still\n")
    append(log, "second\n")
    state.until(lambda seen: len(state.lines()) >= 9)
    expected = [f"before {n}" for n in range(5)] + ["late, to the old file", "first of the new file"]
    assert state.lines()[:7] == expected
    assert sorted(state.lines()[7:]) == ["later still", "second"]
    assert state.notes() == ["rotated"]


def test_rotation_with_a_pause_before_the_new_file(state: Watched) -> None:
    log = log_of(state)
    log.rename(f"{log}.1")
    state.until(lambda seen: seen)
    assert [change.kind for change in state.seen] == ["deleted"]
    state.from_now()
    log.write_text("back\n", encoding="utf-8")
    state.until_lines("back")


def test_copytruncate(state: Watched) -> None:
    log = log_of(state)
    append(log, "before\n")
    state.until_lines("before")
    log.with_suffix(".1").write_bytes(log.read_bytes())
    os.truncate(log, 0)
    append(log, "after\n")
    state.until_lines("before", "after")
    assert "truncated" in state.notes()


def test_a_writer_that_keeps_its_place_after_truncation_leaves_a_hole_that_is_not_shown(state: Watched) -> None:
    log = log_of(state)
    with log.open("r+", encoding="utf-8") as writer:
        writer.seek(0, os.SEEK_END)
        writer.write("x" * 5000 + "\n")
        writer.flush()
        state.until(lambda seen: state.lines())
        os.truncate(log, 0)
        writer.write("after\n")
        writer.flush()
        state.until(lambda seen: "after" in state.lines())
        assert not any("\0" in line for line in state.lines())


def test_replaced_by_another_file(state: Watched) -> None:
    other = state.code / "other"
    other.write_text("new 1\nnew 2\n", encoding="utf-8")
    other.replace(log_of(state))
    state.until_lines("new 1", "new 2")


def test_deleted_and_made_again_with_the_same_beginning(state: Watched) -> None:
    log_of(state).unlink()
    log_of(state).write_text("old line\nnew line\n", encoding="utf-8")
    state.until(lambda seen: "new line" in state.lines())


def test_its_directory_goes_and_comes_back(state: Watched) -> None:
    state.code.rename(state.root / "away")
    state.until(lambda seen: [change.kind for change in seen] == ["deleted"])
    state.code.mkdir()
    log_of(state).write_text("in the new directory\n", encoding="utf-8")
    state.until(lambda seen: "in the new directory" in state.lines())
    append(log_of(state), "and on\n")
    state.until(lambda seen: "and on" in state.lines())


def test_an_ignored_log_is_watched_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".gitignore").write_text("*.log\ncode/\n", encoding="utf-8")
    (tmp_path / "code").mkdir()
    (tmp_path / "code/app.log").write_text("", encoding="utf-8")
    with watched(tmp_path, monkeypatch, add=False) as state:
        state.watcher.add("code/app.log")
        append(log_of(state), "line\n")
        state.until_lines("line")


def test_a_flood_is_cut_and_says_so(state: Watched) -> None:
    log = log_of(state)
    with log.open("ab") as file:
        file.write(b"0123456789abcdef\n" * 6_000_000)
        file.write(b"the last line\n")
    state.until(lambda seen: "the last line" in state.lines(), 60)
    assert any(note.endswith(" bytes skipped") for note in state.notes())
    assert sum(len(line) for line in state.lines()) < 40 << 20
    append(log, "after the flood\n")
    state.until(lambda seen: state.lines()[-1] == "after the flood")


def test_a_sparse_terabyte_is_no_burden(state: Watched) -> None:
    try:
        os.truncate(log_of(state), 1 << 40)
    except OSError:
        pytest.skip("this file system has no files of 1 TiB")
    append(log_of(state), "\nthe end\n")
    state.until(lambda seen: "the end" in state.lines())
    assert sum(len(line) for line in state.lines()) < 40 << 20


def test_a_line_of_megabytes_comes_in_pieces(state: Watched) -> None:
    append(log_of(state), "y" * (3 << 20) + "\n")
    append(log_of(state), "next\n")
    state.until(lambda seen: "next" in state.lines())
    assert sum(line.count("y") for line in state.lines()) == 3 << 20


@pytest.mark.parametrize("how", ["symlink", "relative symlink", "hard link", "fifo", "directory", "parent"])
def test_a_log_that_becomes_something_else_yields_nothing(state: Watched, outside: Path, how: str) -> None:
    log = log_of(state)
    if how == "parent":
        state.code.rename(state.root / "away")
        (outside.parent / "app.log").write_text(f"{OUTSIDE}\n", encoding="utf-8")
        state.code.symlink_to(outside.parent)
    else:
        log.unlink()
        made = {
            "symlink": lambda: log.symlink_to(outside),
            "relative symlink": lambda: log.symlink_to(os.path.relpath(outside, log.parent)),
            "hard link": lambda: os.link(outside, log),
            "fifo": lambda: os.mkfifo(log),
            "directory": log.mkdir,
        }
        made[how]()
    append(outside, f"{OUTSIDE}\n")
    state.until(lambda seen: "deleted" in [change.kind for change in seen])
    append(outside, f"{OUTSIDE}\n")
    time.sleep(0.3)
    assert state.watcher.changes(Changes(state.cursor)).changes == ()
    assert state.lines() == []


FLIPS = """
import os, sys
log, outside = sys.argv[1:]
for n in range(20000):
    os.symlink(outside, log + '.l')
    os.rename(log, log + '.r')
    os.rename(log + '.l', log)
    os.rename(log + '.r', log)
    with open(log, 'a', encoding='utf-8') as file:
        file.write(f'mine {n}\\n')
"""


def test_a_log_that_flips_to_a_link_and_back_never_shows_what_is_outside(state: Watched, outside: Path) -> None:
    subprocess.run([sys.executable, "-c", FLIPS, str(log_of(state)), str(outside)], check=True, timeout=200)
    state.until(lambda seen: "mine 19999" in state.lines(), 60)
    assert not any("secret" in line for line in state.lines())
