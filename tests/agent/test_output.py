"""The output of a job against a plain model: all bytes in a list."""

from __future__ import annotations

import errno
import os
import random
import threading
import time
from pathlib import Path

import pytest

from agent_wsl.jobs.output import Output


def write(output: Output, data: bytes) -> None:
    output.append(memoryview(data))


def read_all(output: Output, limit: int, offset: int = 0) -> list[tuple[int, bytes]]:
    pieces = []
    while True:
        piece = output.read(offset, limit, 0)
        assert piece.skipped == piece.offset - offset
        assert piece.next_offset == piece.offset + len(piece.data)
        pieces.append((piece.offset, piece.data))
        if piece.done or not (piece.data or piece.skipped):
            return pieces
        offset = piece.next_offset


@pytest.mark.parametrize("seed", range(60))
def test_any_writes_and_reads_agree_with_the_model(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    cap = chance.choice([2, 3, 7, 64, 1000, 4096])
    output, model = Output(tmp_path, cap), bytearray()
    for _ in range(chance.randrange(1, 60)):
        data = chance.randbytes(chance.choice([1, 2, cap // 3 + 1, cap, 3 * cap + 1]))
        write(output, data)
        model += data
        offset, limit = chance.randrange(len(model) + 5), chance.randrange(1, 2 * cap)
        piece = output.read(offset, limit, 0)
        assert piece.data == bytes(model[piece.offset : piece.next_offset])
        assert piece.data or offset >= len(model)
        assert piece.skipped == (output.gap[1] - offset if output.gap and offset < piece.offset else 0)
    output.finish()
    head, tail = (cap // 2 or 1), max(1, cap - (cap // 2 or 1))
    assert output.written == len(model)
    assert output.gap == ((head, len(model) - tail) if len(model) > head + tail else ())
    kept = read_all(output, chance.randrange(1, cap + 5))
    assert b"".join(data for _, data in kept) == bytes(model[:head] + model[max(head, len(model) - tail) :])
    assert output.read(len(model), 10, 0).done


def test_a_reader_slower_than_the_writer_sees_whole_bytes(tmp_path: Path) -> None:
    """Byte n of the stream is a function of n: a torn read would show."""
    period = bytes(range(251))
    block = period * 300
    output = Output(tmp_path, 200_000)
    wrong, skipped, stop = [], [0], threading.Event()

    def reader(limit: int) -> None:
        offset = 0
        while True:
            piece = output.read(offset, limit, 5.0)
            if piece.data != (block[piece.offset % 251 :] + block)[: len(piece.data)]:
                wrong.append(piece.offset)
            skipped[0] += piece.skipped
            offset = piece.next_offset
            if piece.done:
                return

    readers = [threading.Thread(target=reader, args=(limit,)) for limit in (1000, 30_000, 70_000)]
    for thread in readers:
        thread.start()
    for _ in range(3000):
        write(output, block)
    output.finish()
    stop.set()
    for thread in readers:
        thread.join(20)
        assert not thread.is_alive()
    assert not wrong
    assert skipped[0] > 0, "nobody was overtaken: the test shows nothing"


def test_a_waiting_reader_wakes_on_data_and_on_the_end(tmp_path: Path) -> None:
    output = Output(tmp_path, 1000)
    woken: list[tuple[bytes, bool, float]] = []

    def reader() -> None:
        offset = 0
        while not woken or not woken[-1][1]:
            piece = output.read(offset, 100, 20.0)
            offset = piece.next_offset
            woken.append((piece.data, piece.done, time.monotonic()))

    thread = threading.Thread(target=reader)
    thread.start()
    time.sleep(0.05)
    before = time.monotonic()
    write(output, b"one")
    time.sleep(0.05)
    output.finish()
    thread.join(10)
    assert [entry[:2] for entry in woken] == [(b"one", False), (b"", True)]
    assert woken[-1][2] - before < 5


def test_waiting_ends_with_its_time(tmp_path: Path) -> None:
    before = time.monotonic()
    piece = Output(tmp_path, 1000).read(0, 100, 0.1)
    assert time.monotonic() - before >= 0.1
    assert (piece.data, piece.done, piece.next_offset) == (b"", False, 0)


def test_nothing_is_seen_in_the_folder(tmp_path: Path) -> None:
    output = Output(tmp_path, 1000)
    write(output, b"secret")
    assert list(tmp_path.iterdir()) == []


def test_closed_output_frees_its_file_and_wakes_readers(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    output = Output(tmp_path, 1000)
    write(output, b"x" * 5000)
    output.finish()
    output.close()
    output.close()
    assert len(os.listdir("/proc/self/fd")) == before
    piece = output.read(0, 100, 10.0)
    assert (piece.data, piece.done) == (b"", True)


@pytest.mark.parametrize("good", [0, 100, 600, 1000, 1500], ids=lambda n: f"after {n} bytes")
def test_a_full_disk_is_a_gap_with_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, good: int) -> None:
    output, model = Output(tmp_path, 1000), bytearray()
    for at in range(good):
        write(output, bytes([at % 251]))
        model.append(at % 251)

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    write(output, b"lost" * 10)
    assert output.failure == "No space left on device"
    monkeypatch.undo()
    write(output, b"lost as well")
    output.finish()
    assert output.written == good + 52
    start, end = output.gap
    assert end == output.written
    assert start == (good if good + 40 <= 1000 else 500), "what may have been overwritten is not shown"
    pieces = read_all(output, 333)
    assert b"".join(data for _, data in pieces) == bytes(model[:start])
    assert pieces[-1][0] + len(pieces[-1][1]) == output.written
