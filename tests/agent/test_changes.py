"""The history: cursors, what fell out, long polls."""

from __future__ import annotations

import threading
import time

import pytest

from agent_wsl.codec import encode
from agent_wsl.envelope import MAX_REPLY, ErrorCode
from agent_wsl.errors import Refusal
from agent_wsl.protocol import Change, ChangeList, Changes
from agent_wsl.watching.changes import MAX_ANSWER, MAX_KEPT, History


def change(name: str) -> Change:
    return Change(1.0, f"/r/{name}", "modified")


def names(answer: ChangeList) -> list[str]:
    return [c.path.removeprefix("/r/") for c in answer.changes]


def filled(count: int, capacity: int = 100) -> History:
    history = History(capacity, "e")
    history.publish(change(str(n)) for n in range(count))
    return history


def test_a_cursor_goes_on_where_it_stopped() -> None:
    history = filled(3)
    first = history.read(Changes("", limit=2))
    assert names(first) == ["0", "1"]
    second = history.read(Changes(first.cursor))
    assert names(second) == ["2"]
    assert history.read(Changes(second.cursor)) == ChangeList(second.cursor, (), 0)


def test_now_skips_what_was() -> None:
    history = filled(3)
    cursor = history.read(Changes("now")).cursor
    history.publish([change("x")])
    assert names(history.read(Changes(cursor))) == ["x"]


def test_what_fell_out_is_counted_once() -> None:
    history = filled(2, capacity=5)
    cursor = history.read(Changes("")).cursor
    history.publish(change(f"n{n}") for n in range(8))
    late = history.read(Changes(cursor))
    assert late.lost == 3
    assert names(late) == ["n3", "n4", "n5", "n6", "n7"]
    assert history.read(Changes(late.cursor)).lost == 0


def test_empty_cursor_begins_with_the_oldest_and_lost_nothing() -> None:
    answer = filled(10, capacity=4).read(Changes(""))
    assert names(answer) == ["6", "7", "8", "9"]
    assert answer.lost == 0


def test_a_cursor_of_another_run_is_told_so_at_once() -> None:
    history = filled(3)
    answer = history.read(Changes("other:12345", wait_s=20))
    assert answer.lost == -1
    assert names(answer) == ["0", "1", "2"]
    assert History(5, "e").read(Changes("other:7", wait_s=20)) == ChangeList("e:0", (), -1)


@pytest.mark.parametrize("cursor", ["x", ":", "e:", "e:-1", "e:1.5", "e:٣", "e:99", "e:" + "9" * 70, "12", "e:1:x"])
def test_what_is_no_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(Refusal) as refusal:
        filled(3).read(Changes(cursor))
    assert refusal.value.code is ErrorCode.BAD_REQUEST


def test_a_long_poll_returns_when_something_comes() -> None:
    history = filled(0)
    answers: list[tuple[float, ChangeList]] = []

    def wait() -> None:
        answer = history.read(Changes("e:0", wait_s=20))
        answers.append((time.monotonic(), answer))

    threads = [threading.Thread(target=wait) for _ in range(20)]
    for thread in threads:
        thread.start()
    time.sleep(0.1)
    assert not answers
    history.publish([change("x")])
    for thread in threads:
        thread.join(5)
    assert [names(answer) for _, answer in answers] == [["x"]] * 20


def test_a_long_poll_ends_empty_after_its_time_and_when_the_agent_stops() -> None:
    history = filled(0)
    began = time.monotonic()
    assert history.read(Changes("", wait_s=0.2)).changes == ()
    assert 0.15 < time.monotonic() - began < 5
    threading.Timer(0.1, history.close).start()
    assert history.read(Changes("", wait_s=20)).changes == ()
    assert time.monotonic() - began < 10


def test_what_falls_out_during_the_wait_is_counted() -> None:
    history = History(2, "e")
    threading.Timer(0.1, lambda: history.publish(change(str(n)) for n in range(5))).start()
    answer = history.read(Changes("e:0", wait_s=20))
    assert (answer.lost, names(answer)) == (3, ["3", "4"])


def test_an_answer_fits_into_a_frame_and_the_rest_follows() -> None:
    history = History(1000, "e")
    history.publish(Change(1.0, "/r/l", "lines", lines=("\U0001f600" * 60_000,)) for _ in range(30))
    cursor, read = "", 0
    while (answer := history.read(Changes(cursor))).changes:
        assert len(encode(answer)) < MAX_REPLY
        cursor, read = answer.cursor, read + len(answer.changes)
        assert answer.lost == 0
    assert read == 30


def test_one_change_larger_than_an_answer_still_comes() -> None:
    history = History(10, "e")
    history.publish([Change(1.0, "/r/l", "lines", lines=("x" * (MAX_ANSWER + 1),)), change("b")])
    first = history.read(Changes(""))
    assert len(first.changes) == 1
    assert names(history.read(Changes(first.cursor))) == ["b"]


def test_memory_is_bounded_by_characters_as_well() -> None:
    history = History(1_000_000, "e")
    cursor = history.read(Changes("now")).cursor
    line = "x" * 65_536
    count = MAX_KEPT // len(line) + 50
    history.publish(Change(1.0, "/r/l", "lines", lines=(line,)) for _ in range(count))
    assert history.read(Changes(cursor)).lost >= 50


def test_many_writers_and_readers_lose_and_double_nothing() -> None:
    history = History(100_000, "e")
    done = threading.Event()

    def write(writer: int) -> None:
        for n in range(500):
            history.publish([change(f"{writer}-{n}")])

    seen: list[list[str]] = [[], []]

    def read(index: int) -> None:
        cursor = ""
        while True:
            finished = done.is_set()
            answer = history.read(Changes(cursor, wait_s=0.05, limit=37))
            seen[index] += names(answer)
            cursor = answer.cursor
            if finished and not answer.changes:
                return

    readers = [threading.Thread(target=read, args=(i,)) for i in range(2)]
    writers = [threading.Thread(target=write, args=(i,)) for i in range(4)]
    for thread in [*readers, *writers]:
        thread.start()
    for thread in writers:
        thread.join(30)
    done.set()
    for thread in readers:
        thread.join(30)
    assert seen[0] == seen[1]
    assert sorted(seen[0]) == sorted(f"{w}-{n}" for w in range(4) for n in range(500))
