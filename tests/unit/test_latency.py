"""`!latency`: what is measured, what is advised, and that the picture shows it."""

from __future__ import annotations

import io

import pytest
from PIL import Image, ImageColor

from bot.chat.latency import ADVICE, KEPT, NAMES, Span, Turns, measured, sentence
from bot.chat.latency_picture import COLOURS, SHOWN, WIDTH, draw
from bot.events import TurnMetrics
from bot.spans import SUMMED


def turn(**spans: float) -> dict[str, float]:
    return {**spans, "stt_work_ms": 9999.0, "total_ms": sum(spans.values())}


def test_only_what_was_heard_counts_and_old_turns_are_forgotten() -> None:
    turns = Turns()
    turns.add(TurnMetrics(1, {"silence_ms": 600.0}))
    assert not turns.all
    for n in range(KEPT + 5):
        turns.add(TurnMetrics(n, turn(tts_ms=float(n))))
    assert len(turns.all) == KEPT
    assert turns.all[0]["total_ms"] == 5.0


def test_percentiles_count_turns_without_the_span() -> None:
    turns = [turn(silence_ms=600.0, tts_ms=float(n)) for n in range(100)]
    turns[0] |= {"stt_ms": 50.0}
    found = {span.name: span for span in measured(turns)}
    assert list(found) == ["silence_ms", "stt_ms", "tts_ms", "total_ms"]
    assert found["silence_ms"] == Span("silence_ms", 600.0, 600.0)
    assert found["tts_ms"].p50 == pytest.approx(49.5)
    assert found["tts_ms"].p95 == pytest.approx(94.05)
    assert found["stt_ms"].p50 == 0.0


@pytest.mark.parametrize("largest", SUMMED)
def test_each_span_has_its_advice(largest: str) -> None:
    spans = dict.fromkeys(SUMMED, 100.0) | {largest: 1000.0}
    said = sentence([turn(**spans)] * 3)
    assert said.startswith("My first sound comes 1.90 s after your last word (p50; p95 1.90 s), over 3 answers: ")
    assert f"{NAMES[largest]} takes most of it, 1000 ms." in said
    assert said.endswith(ADVICE[largest])


def test_the_picture_shows_each_turn_as_long_as_it_was() -> None:
    turns = [turn(silence_ms=600.0, tts_ms=300.0 * (n % 2 + 1)) for n in range(20)]
    picture = Image.open(io.BytesIO(draw(turns))).convert("RGB")
    assert picture.width == WIDTH
    runs = []
    for y in range(picture.height):
        row = [picture.getpixel((x, y)) for x in range(picture.width)]
        runs.append(tuple(row.count(ImageColor.getrgb(COLOURS[name])) for name in ("silence_ms", "tts_ms")))
    bars = [runs[y] for y in range(1, len(runs)) if runs[y][0] > 100 and runs[y - 1][0] <= 100]
    assert len(bars) == SHOWN
    for n, (silence, voice) in enumerate(bars):
        assert voice / silence == pytest.approx(0.5 * (n % 2 + 1), abs=0.02)
    assert max(x for x, _ in bars) == min(x for x, _ in bars)


@pytest.mark.parametrize("total", [0.0, 0.4, 3e5])
def test_odd_turns_are_drawn(total: float) -> None:
    assert draw([{"total_ms": total, "output_ms": -1.0}]).startswith(b"\x89PNG")
    assert sentence([{"total_ms": total}]).endswith("over one answer.")
