"""Appended lines: on a virtual clock, over files in memory."""

from __future__ import annotations

import itertools
import random

import pytest

from agent_wsl.watching.tail import DRAIN_S, KEPT_OF_BURST, MOST_BEHIND, MOST_LINES, PARTIAL_S, PIECE, Batch, Tail

numbers = itertools.count(1)


class Memory:
    """A file in memory; `read_bytes` counts what was asked of it."""

    def __init__(self, content: bytes = b"") -> None:
        self.content = bytearray(content)
        self.identity: tuple[int, ...] = (1, next(numbers))
        self.read_bytes = 0

    @property
    def size(self) -> int:
        return len(self.content)

    def read(self, offset: int, length: int) -> bytes:
        data = bytes(self.content[offset : offset + length])
        self.read_bytes += len(data)
        return data


def lines(batches: list[Batch]) -> list[str]:
    return [line for batch in batches for line in batch.lines]


def notes(batches: list[Batch]) -> list[str]:
    return [batch.note for batch in batches if batch.note]


def begun(file: Memory) -> Tail:
    tail = Tail()
    tail.start(file)
    return tail


def test_only_what_is_appended_after_the_start() -> None:
    file = Memory(b"old\n")
    tail = begun(file)
    assert tail.look(file, 0.0) == []
    file.content += b"one\ntwo\n"
    assert tail.look(file, 0.1) == [Batch(("one", "two"))]
    assert tail.look(file, 0.2) == []


@pytest.mark.parametrize("text", ["grüße 🙂 €\r\nzweite\r\n\r\nvierte\n", "a\n\n\nb\n", "\n", "x\r\n"])
def test_cut_at_every_byte(text: str) -> None:
    data, expected = text.encode(), text.replace("\r", "").split("\n")[:-1]
    for cut in range(len(data) + 1):
        file = Memory()
        tail = begun(file)
        file.content += data[:cut]
        found = lines(tail.look(file, 0.0))
        file.content += data[cut:]
        found += lines(tail.look(file, 0.1))
        assert found == expected, cut


def test_an_unfinished_line_waits_for_its_end() -> None:
    file = Memory()
    tail = begun(file)
    file.content += b"half"
    assert tail.look(file, 0.0) == []
    assert tail.deadline() == PARTIAL_S
    file.content += b" done\n"
    assert lines(tail.look(file, 0.5)) == ["half done"]
    assert tail.deadline() is None


def test_an_unfinished_line_is_reported_after_silence_and_its_end_is_no_empty_line() -> None:
    file = Memory()
    tail = begun(file)
    file.content += b"password: "
    tail.look(file, 0.0)
    assert lines(tail.look(file, PARTIAL_S)) == ["password: "]
    assert tail.deadline() is None
    file.content += b"\r\nnext\n\n"
    assert lines(tail.look(file, 2.0)) == ["next", ""]


def test_half_a_character_is_never_reported_and_does_not_keep_anybody_awake() -> None:
    file = Memory()
    tail = begun(file)
    file.content += "abc€".encode()[:-1]
    tail.look(file, 0.0)
    assert lines(tail.look(file, PARTIAL_S)) == ["abc"]
    assert tail.deadline() is None
    file.content += "€".encode()[-1:] + b"\n"
    assert lines(tail.look(file, 3.0)) == ["€"]


def test_bytes_that_are_no_text_are_marked() -> None:
    file = Memory()
    tail = begun(file)
    file.content += b"a\xff\xfeb\n"
    assert lines(tail.look(file, 0.0)) == ["a\ufffd\ufffdb"]


def test_start_in_the_middle_of_a_line() -> None:
    file = Memory(b"beg")
    tail = begun(file)
    file.content += b"\nnext\n"
    assert lines(tail.look(file, 0.0)) == ["next"]


def test_rotation_loses_nothing_even_what_is_written_late() -> None:
    old = Memory(b"x\n")
    tail = begun(old)
    old.content += b"one\ntw"
    assert lines(tail.look(old, 0.0)) == ["one"]
    old.content += b"o\nthree\n"
    new = Memory(b"four\n")
    assert tail.rotated(new) == old.identity
    batches = tail.look(new, 0.1, old)
    assert lines(batches) == ["two", "three", "four"]
    assert notes(batches) == ["rotated"]
    old.content += b"late\n"
    new.content += b"five\n"
    assert tail.rotated(new) == old.identity
    assert lines(tail.look(new, 1.0, old)) == ["late", "five"]
    assert lines(tail.look(new, 0.2 + DRAIN_S, old)) == []
    assert tail.rotated(new) is None
    assert tail.deadline() is None


def test_rotated_file_that_is_gone_costs_only_what_was_not_read() -> None:
    old = Memory()
    tail = begun(old)
    old.content += b"par"
    tail.look(old, 0.0)
    batches = tail.look(Memory(b"new\n"), 0.1, None)
    assert lines(batches) == ["par", "new"]
    assert notes(batches) == ["rotated"]


def test_another_file_is_not_taken_for_the_rotated_one() -> None:
    tail = begun(Memory(b"x\n"))
    assert lines(tail.look(Memory(b"new\n"), 0.1, Memory(b"not this\n"))) == ["new"]


def test_two_rotations_in_a_row() -> None:
    first, second, third = Memory(), Memory(b"b\n"), Memory(b"c\n")
    tail = begun(first)
    first.content += b"a\n"
    assert lines(tail.look(second, 0.0, first)) == ["a", "b"]
    second.content += b"bb\n"
    assert lines(tail.look(third, 0.1, second)) == ["bb", "c"]


def test_an_empty_new_file_says_that_it_was_rotated() -> None:
    tail = begun(Memory(b"x\n"))
    assert tail.look(Memory(), 0.0) == [Batch((), "rotated")]


def test_truncation_begins_anew() -> None:
    file = Memory(b"a long beginning\n")
    tail = begun(file)
    file.content[:] = b"new\n"
    assert tail.look(file, 0.0) == [Batch(("new",), "truncated")]


def test_truncation_to_nothing_is_said() -> None:
    file = Memory(b"text\n")
    tail = begun(file)
    file.content.clear()
    assert tail.look(file, 0.0) == [Batch((), "truncated")]
    file.content += b"again\n"
    assert tail.look(file, 0.1) == [Batch(("again",))]


def test_truncated_and_filled_beyond_the_old_place_before_anybody_looked() -> None:
    file = Memory(b"old line\n")
    tail = begun(file)
    file.content[:] = b"new one\nnew two\nnew three\n"
    batches = tail.look(file, 0.0)
    assert lines(batches) == ["new one", "new two", "new three"]
    assert notes(batches) == ["truncated"]


def test_the_hole_of_a_writer_that_kept_its_place_is_not_reported() -> None:
    file = Memory(b"x" * 5000 + b"\n")
    tail = begun(file)
    file.content[:] = b"\0" * 5001 + b"after\n"
    assert lines(tail.look(file, 0.0)) == ["after"]


def test_a_hole_of_many_pieces() -> None:
    file = Memory(b"x" * (3 * PIECE) + b"\n")
    tail = begun(file)
    file.content[:] = b"\0" * (3 * PIECE + 1) + b"after\n"
    assert [line for line in lines(tail.look(file, 0.0)) if line] == ["after"]


def test_missing_then_there() -> None:
    file = Memory(b"old\n")
    tail = begun(file)
    assert tail.look(None, 0.0) == []
    new = Memory(b"first\n")
    batches = tail.look(new, 5.0)
    assert lines(batches) == ["first"]
    assert notes(batches) == ["rotated"]


def test_missing_and_back_unchanged_is_nothing() -> None:
    file = Memory(b"old\n")
    tail = begun(file)
    tail.look(None, 0.0)
    file.content += b"more\n"
    assert tail.look(file, 5.0) == [Batch(("more",))]


def test_a_file_that_was_never_there_is_read_from_its_beginning() -> None:
    assert Tail().look(Memory(b"a\nb\n"), 0.0) == [Batch(("a", "b"))]


def test_missing_while_an_old_file_is_drained_does_not_keep_anybody_awake() -> None:
    old = Memory()
    tail = begun(old)
    tail.look(Memory(), 0.0, old)
    tail.look(None, DRAIN_S + 1)
    assert tail.deadline() is None


def test_a_burst_of_100_mb_is_bounded_and_says_what_it_left_out() -> None:
    file = Memory()
    tail = begun(file)
    line = b"0123456789" * 9 + b"abcdefghi\n"
    file.content += line * 1_000_000
    file.content += b"last\n"
    batches = tail.look(file, 0.0)
    assert file.read_bytes <= MOST_BEHIND
    [note] = notes(batches)
    skipped = int(note.removesuffix(" bytes skipped"))
    assert skipped + KEPT_OF_BURST == len(file.content)
    assert lines(batches)[-1] == "last"
    assert sum(len(text) for text in lines(batches)) <= KEPT_OF_BURST
    assert tail.look(file, 0.1) == []


def test_batches_are_bounded_in_lines_and_bytes() -> None:
    file = Memory()
    tail = begun(file)
    file.content += b"\n" * 200_000
    batches = tail.look(file, 0.0)
    assert sum(len(batch.lines) for batch in batches) == 200_000
    assert max(len(batch.lines) for batch in batches) <= MOST_LINES


def test_a_line_without_an_end_comes_in_pieces() -> None:
    file = Memory()
    tail = begun(file)
    text = "€" * 100_000
    file.content += text.encode() + b"\nnext\n"
    found = lines(tail.look(file, 0.0))
    assert "".join(found[:-1]) == text
    assert found[-1] == "next"
    assert max(map(len, found)) <= 2 * PIECE


def test_random_appends_rotations_and_looks_lose_and_double_nothing() -> None:
    for seed in range(300):
        chance = random.Random(seed)
        current: Memory = Memory(b"begin\n")
        previous: Memory | None = None
        tail, written, found, now = begun(current), 0, [], 0.0
        for _ in range(60):
            now += chance.choice([0.01, 0.3])
            action = chance.random()
            if action < 0.6:
                target = previous if previous is not None and chance.random() < 0.2 else current
                target.content += f"line {written} ü\r\n".encode()
                written += 1
            elif action < 0.7 and not tail.draining:
                tail_is_at = current
                found += lines(tail.look(current, now))
                previous, current = tail_is_at, Memory()
                found += lines(tail.look(current, now, previous))
            else:
                found += lines(tail.look(current, now, previous))
            if not tail.draining:
                previous = None
        found += lines(tail.look(current, now, previous))
        assert sorted(found) == sorted(f"line {n} ü" for n in range(written)), seed
