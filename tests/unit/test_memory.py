"""Memory is shared out among the engines that were loading while it grew."""

from __future__ import annotations

import threading

from bot.memory import Load, MemoryLedger, Sample, share


def test_growth_is_shared_by_those_who_were_loading() -> None:
    samples = [Sample(0, 100), Sample(1, 140), Sample(3, 240), Sample(4, 270)]
    loads = [Load("stt", 0, 3), Load("tts", 1, 4)]
    assert share(samples, loads) == {"stt": 40 + 50, "tts": 50 + 30}


def test_growth_before_between_and_after_belongs_to_nobody() -> None:
    samples = [Sample(0, 0), Sample(1, 500), Sample(2, 510), Sample(3, 900), Sample(4, 920), Sample(5, 2000)]
    assert share(samples, [Load("a", 1, 2), Load("b", 3, 4)]) == {"a": 10, "b": 20}


def test_shares_add_up_to_the_growth() -> None:
    samples = [Sample(t, rss) for t, rss in enumerate((10, 35, 77, 200, 260))]
    taken = share(samples, [Load("a", 0, 4), Load("b", 1, 3), Load("c", 2, 4)])
    assert abs(sum(taken.values()) - 250) <= 3


def test_nobody_ends_below_zero() -> None:
    assert share([Sample(0, 100), Sample(1, 40)], [Load("a", 0, 1)]) == {"a": 0}


def test_the_ledger_follows_loads_that_overlap() -> None:
    rss = iter((1000, 1100, 1500, 1560))
    ledger = MemoryLedger(measure=lambda: next(rss))
    with ledger.track("llm"), ledger.track("vad"):
        pass
    assert ledger.taken() == {"llm": 100 + 200 + 60, "vad": 200}


def test_the_ledger_is_used_by_threads_and_sees_real_memory() -> None:
    ledger, size, kept = MemoryLedger(), 64 * 1024 * 1024, []

    def load() -> None:
        with ledger.track("big"):
            kept.append(bytes(bytearray(b"x") * size))

    thread = threading.Thread(target=load)
    thread.start()
    thread.join()
    assert 0.9 * size < ledger.taken()["big"] < 2.5 * size


def test_a_load_that_fails_is_closed() -> None:
    rss = iter((0, 70, 500))
    ledger = MemoryLedger(measure=lambda: next(rss))
    try:
        with ledger.track("broken"):
            raise ValueError
    except ValueError:
        pass
    assert ledger.taken() == {"broken": 70}
