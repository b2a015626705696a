"""The bounded store of what a model had evaluated of other conversations."""

from __future__ import annotations

from bot.llm.saved_states import SavedStates, common


def test_the_longest_common_start_is_found() -> None:
    states = SavedStates()
    states.put([1, 2, 3], b"abc")
    states.put([1, 2, 9, 9], b"abcd")
    best = states.best([1, 2, 9, 5])
    assert best is not None
    assert (best.tokens, best.data, best.common) == ((1, 2, 9, 9), b"abcd", 3)
    assert SavedStates().best([1]) is None
    assert common([1, 2], [1, 2, 3]) == 2


def test_one_that_is_continued_is_replaced() -> None:
    states = SavedStates()
    states.put([1, 2], b"ab")
    states.put([1, 2, 3], b"abc")
    assert states.size == 3


def test_memory_is_bounded_and_the_one_not_used_for_longest_goes() -> None:
    states = SavedStates(limit_bytes=10)
    states.put([1, 1], b"1" * 4)
    states.put([2, 2], b"2" * 4)
    assert states.best([1, 1]) is not None
    states.put([3, 3], b"3" * 4)
    assert states.size == 8
    found = states.best([2, 2])
    assert found is None or found.common == 0
    assert not states.takes(11)
    states.clear()
    assert states.size == 0
