"""The picture of `!latency`: the last turns as waterfalls, and p50 and p95 of each span. Pure.

Drawn with Pillow: bars and words are all there is to it, and it brings a font. matplotlib would add six more packages,
a font cache in the home directory and seconds to the first picture.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

from PIL import Image, ImageDraw, ImageFont

from bot.chat.latency import NAMES, TOTAL, Span, measured
from bot.spans import SUMMED

SHOWN = 12
"""Turns; older ones count in p50 and p95 only."""
WIDTH, MARGIN, LABEL, TAIL = 1000, 24, 64, 84
"""Pixels: of the picture, around it, left of the bars, right of them."""
ROW, BAR, LINE = 30, 20, 26
TEXT, SMALL = 16, 14
PAPER, INK, FAINT = "#1e1f22", "#f2f3f5", "#80848e"
GRID = "#3a3c42"
COLOURS = dict(
    zip(
        SUMMED,
        (
            "#6b7280", "#a16207", "#f59e0b", "#d4d4d8", "#1d4ed8",
            "#3b82f6", "#7dd3fc", "#16a34a", "#86efac", "#e11d48",
        ),
        strict=True,
    )
)  # fmt: skip
STEPS_MS = (50, 100, 200, 250, 500, 1000, 2000, 5000, 10_000, 30_000, 60_000)
TICKS = 8
"""At most."""


def draw(turns: Sequence[Mapping[str, float]]) -> bytes:
    """A PNG. There must be a turn, and each needs a total."""
    shown = turns[-SHOWN:]
    spans = measured(turns)
    top = MARGIN + 2 * LINE
    table = top + ROW * len(shown) + 2 * LINE
    image = Image.new("RGB", (WIDTH, table + LINE * (len(spans) + 1) + MARGIN), PAPER)
    sheet = _Sheet(ImageDraw.Draw(image), max(turn[TOTAL] for turn in shown))
    sheet.title("From your last word to my first sound")
    sheet.scale(top, top + ROW * len(shown))
    for row, turn in enumerate(shown):
        sheet.turn(top + ROW * row, row - len(shown) + 1, turn)
    sheet.table(table, spans, len(turns))
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return file.getvalue()


class _Sheet:
    def __init__(self, pen: ImageDraw.ImageDraw, longest_ms: float) -> None:
        self._pen = pen
        self._text = ImageFont.load_default(TEXT)
        self._small = ImageFont.load_default(SMALL)
        self._longest = max(longest_ms, 1.0)

    def title(self, text: str) -> None:
        self._pen.text((MARGIN, MARGIN), text, INK, ImageFont.load_default(TEXT + 4))

    def scale(self, top: int, bottom: int) -> None:
        step = next((each for each in STEPS_MS if self._longest / each <= TICKS), STEPS_MS[-1])
        for tick in range(int(self._longest // step) + 1):
            x = self._x(tick * step)
            self._pen.line((x, top - 4, x, bottom), GRID)
            self._pen.text((x, bottom + 4), f"{tick * step / 1000:g} s", FAINT, self._small, anchor="ma")

    def turn(self, y: int, age: int, turn: Mapping[str, float]) -> None:
        middle = y + ROW // 2
        self._pen.text((MARGIN, middle), str(age) if age else "last", INK, self._text, anchor="lm")
        at = 0.0
        for name in SUMMED:
            length = max(0.0, turn.get(name, 0.0))
            if length:
                edges = (self._x(at), middle - BAR // 2, max(self._x(at), self._x(at + length) - 1), middle + BAR // 2)
                self._pen.rectangle(edges, COLOURS[name])
            at += length
        self._pen.text((self._x(at) + 8, middle), f"{turn[TOTAL] / 1000:.2f} s", INK, self._text, anchor="lm")

    def table(self, y: int, spans: Sequence[Span], count: int) -> None:
        columns = (WIDTH // 2, WIDTH // 2 + 110)
        for x, words in zip(columns, ("p50", "p95"), strict=True):
            self._pen.text((x, y), words, FAINT, self._text, anchor="ra")
        turns = f"{count} answers" if count > 1 else "1 answer"
        self._pen.text((MARGIN, y), turns, FAINT, self._text)
        for span in spans:
            y += LINE
            if span.name in COLOURS:
                self._pen.rectangle((MARGIN, y + 2, MARGIN + 16, y + 16), COLOURS[span.name])
            self._pen.text((MARGIN + 28, y), NAMES.get(span.name, "all together"), INK, self._text)
            for x, value in zip(columns, (span.p50, span.p95), strict=True):
                self._pen.text((x, y), f"{value:.0f} ms", INK, self._text, anchor="ra")

    def _x(self, ms: float) -> int:
        room = WIDTH - 2 * MARGIN - LABEL - TAIL
        return MARGIN + LABEL + round(ms / self._longest * room)
