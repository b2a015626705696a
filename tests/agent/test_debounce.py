"""Bursts become one change: on a virtual clock, with states as values."""

from __future__ import annotations

import pytest

from agent_wsl.watching.debounce import MOST_S, QUIET_S, Debounce, Difference, State, differences, same


def file(content: str = "", inode: int = 1, modified: int = 0) -> State:
    return State(False, inode, len(content), modified, content.encode() or b"empty")


FOLDER = State(True, 9, 0, 0)


def test_a_path_is_due_after_its_quiet_time_and_not_before() -> None:
    debounce = Debounce()
    for now in (0.0, 0.05, 0.1):
        debounce.touch("a", now)
    assert debounce.due(0.1 + QUIET_S - 0.001, 9).paths == ()
    assert debounce.deadline() == pytest.approx(0.1 + QUIET_S)
    assert debounce.due(0.1 + QUIET_S, 9).paths == ("a",)
    assert (len(debounce), debounce.deadline()) == (0, None)


def test_a_path_that_never_rests_is_due_all_the_same() -> None:
    debounce = Debounce()
    due = []
    for step in range(500):
        now = step * 0.01
        debounce.touch("a", now)
        due += [now for _ in debounce.due(now, 9).paths]
    assert due == pytest.approx([MOST_S, 2 * MOST_S + 0.01], abs=0.02)


def test_one_busy_path_does_not_hold_up_the_others() -> None:
    debounce = Debounce()
    debounce.touch("quiet", 0.0)
    for step in range(20):
        debounce.touch("busy", step * 0.01)
    assert debounce.due(0.19, 9).paths == ("quiet",)


def test_the_names_of_a_move_come_to_rest_together_through_a_chain() -> None:
    debounce = Debounce()
    debounce.touch("b", 0.0, moved_from="a")
    debounce.touch("c", 0.09, moved_from="b")
    assert debounce.due(0.1, 9).paths == ()
    burst = debounce.due(0.09 + QUIET_S, 9)
    assert set(burst.paths) == {"a", "b", "c"}
    assert burst.moved == {"b": "a", "c": "b"}


def test_a_limit_does_not_tear_a_move_apart() -> None:
    debounce = Debounce()
    for n in range(10):
        debounce.touch(f"new{n}", 0.0, moved_from=f"old{n}")
    seen: set[str] = set()
    while burst := debounce.due(1.0, 3):
        if not burst.paths:
            break
        assert {f"new{p[3:]}" for p in burst.paths} == {p for p in burst.paths if p.startswith("new")}
        seen |= set(burst.paths)
    assert len(seen) == 20


def test_moving_back_and_forth_ends() -> None:
    debounce = Debounce()
    debounce.touch("b", 0.0, moved_from="a")
    debounce.touch("a", 0.0, moved_from="b")
    assert set(debounce.due(1.0, 9).paths) == {"a", "b"}


ROWS = {
    "created": ({"a": None}, {"a": file("x")}, {}, [Difference("created", "a")]),
    "modified": ({"a": file("x")}, {"a": file("y")}, {}, [Difference("modified", "a")]),
    "same-size-other-content": ({"a": file("x")}, {"a": file("y")}, {}, [Difference("modified", "a")]),
    "deleted": ({"a": file("x")}, {"a": None}, {}, [Difference("deleted", "a")]),
    "created-and-deleted-vanishes": ({"a": None}, {"a": None}, {}, []),
    "deleted-and-made-again-alike": ({"a": file("x", 1)}, {"a": file("x", 2, 5)}, {}, []),
    "save-of-nothing-new": ({"a": file("x", 1, 1)}, {"a": file("x", 1, 9)}, {}, []),
    "save-by-rename": (
        {"a": file("x", 1), ".a.tmp": None},
        {"a": file("y", 2), ".a.tmp": None},
        {"a": ".a.tmp"},
        [Difference("modified", "a")],
    ),
    "save-by-rename-of-nothing-new": (
        {"a": file("x", 1), ".a.tmp": None},
        {"a": file("x", 2), ".a.tmp": None},
        {"a": ".a.tmp"},
        [],
    ),
    "save-with-backup-as-vim": (
        {"a": file("x", 1), "a~": None, "4913": None},
        {"a": file("y", 2), "a~": None, "4913": None},
        {"a~": "a"},
        [Difference("modified", "a")],
    ),
    "save-with-backup-that-stays": (
        {"a": file("x", 1), "a~": None},
        {"a": file("y", 2), "a~": file("x", 1)},
        {"a~": "a"},
        [Difference("modified", "a"), Difference("created", "a~")],
    ),
    "moved": ({"a": file("x"), "b": None}, {"a": None, "b": file("x")}, {"b": "a"}, [Difference("moved", "b", "a")]),
    "moved-through-a-chain": (
        {"a": file("x"), "b": None, "c": None},
        {"a": None, "b": None, "c": file("x")},
        {"b": "a", "c": "b"},
        [Difference("moved", "c", "a")],
    ),
    "moved-and-back": ({"a": file("x"), "b": None}, {"a": file("x"), "b": None}, {"b": "a", "a": "b"}, []),
    "moved-without-a-hint-by-inode": (
        {"a": file("x", 7, 3), "b": None},
        {"a": None, "b": file("x", 7, 3)},
        {},
        [Difference("moved", "b", "a")],
    ),
    "inode-used-again-is-no-move": (
        {"a": file("x", 7, 3), "b": None},
        {"a": None, "b": file("x", 7, 8)},
        {},
        [Difference("deleted", "a"), Difference("created", "b")],
    ),
    "moved-over-an-older-file": (
        {"a": file("x", 1), "b": file("y", 2)},
        {"a": None, "b": file("x", 1)},
        {"b": "a"},
        [Difference("deleted", "a"), Difference("modified", "b")],
    ),
    "swapped": (
        {"a": file("x", 1), "b": file("y", 2), "t": None},
        {"a": file("y", 2), "b": file("x", 1), "t": None},
        {"t": "a", "a": "b", "b": "t"},
        [Difference("modified", "a"), Difference("modified", "b")],
    ),
    "directory-moved": (
        {"a": FOLDER, "b": None},
        {"a": None, "b": FOLDER},
        {"b": "a"},
        [Difference("moved", "b", "a")],
    ),
    "directory-without-a-hint": (
        {"a": FOLDER, "b": None},
        {"a": None, "b": FOLDER},
        {},
        [Difference("deleted", "a"), Difference("created", "b")],
    ),
    "file-becomes-directory": (
        {"a": file("x")},
        {"a": FOLDER},
        {},
        [Difference("deleted", "a"), Difference("created", "a")],
    ),
    "tree-deleted-children-first": (
        {"d": FOLDER, "d/x": file("x"), "d-y": file("y")},
        {"d": None, "d/x": None, "d-y": None},
        {},
        [Difference("deleted", "d/x"), Difference("deleted", "d-y"), Difference("deleted", "d")],
    ),
    "tree-created-parents-first": (
        {"d/x": None, "d": None},
        {"d/x": file("x"), "d": FOLDER},
        {},
        [Difference("created", "d"), Difference("created", "d/x")],
    ),
}


@pytest.mark.parametrize("row", ROWS)
def test_differences(row: str) -> None:
    before, after, hints, expected = ROWS[row]
    assert differences(before, after, hints) == expected  # type: ignore[arg-type]


def test_without_content_size_and_time_decide() -> None:
    assert same(State(False, 1, 5, 7), State(False, 2, 5, 7))
    assert not same(State(False, 1, 5, 7), State(False, 1, 5, 8))
    assert not same(State(False, 1, 5, 7, b"known"), State(False, 1, 6, 7))
