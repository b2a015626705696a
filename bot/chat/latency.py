"""How long the last spoken answers took, and what would shorten them. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bot.events import TurnMetrics
from bot.spans import SUMMED

KEPT = 50
"""Turns."""
NO_TURN = (
    "There was no spoken answer since my start, so there is nothing to measure yet. `!direct` begins a conversation."
)
TOTAL = "total_ms"
NAMES = {
    "silence_ms": "silence that ends your turn",
    "queue_ms": "waiting to be recognised",
    "stt_ms": "speech recognition",
    "handover_ms": "hand-over to the model",
    "prompt_ms": "reading the conversation",
    "first_token_ms": "first word of the model",
    "sentence_ms": "first clause of the model",
    "tts_ms": "making the voice",
    "leading_silence_ms": "silence before the first sound",
    "output_ms": "way out to Discord",
}
ADVICE = {
    "silence_ms": "A lower END_SILENCE_MS in .env ends your turn sooner, at the risk of cutting off your pauses.",
    "queue_ms": "Earlier words were still being recognised: a smaller STT_MODEL (base, tiny.en), or a GPU, is quicker.",
    "stt_ms": "A smaller STT_MODEL (base, tiny.en) in .env, or a GPU, recognises speech sooner.",
    "handover_ms": "This PC was busy with something else: end other programs, or lower LLM_THREADS and STT_THREADS.",
    "prompt_ms": "`!clear` shortens the conversation that is read again; a smaller LLM_MODEL, or a GPU, reads faster.",
    "first_token_ms": "A smaller LLM_MODEL in .env, or a GPU, answers sooner.",
    "sentence_ms": "A smaller LLM_MODEL in .env, or a GPU, gets to the first clause sooner.",
    "tts_ms": "Another TTS_THREADS in .env (the number of real cores), or a GPU, makes the voice sooner.",
    "leading_silence_ms": "Another `!voice` begins with less silence.",
    "output_ms": "This PC was too busy to play in time, or you were still speaking: end other programs.",
}
"""A sentence for who has to wait for it most."""


@dataclass(frozen=True, slots=True)
class Span:
    name: str
    """Of `SUMMED`, or TOTAL."""
    p50: float
    """Milliseconds, as the other."""
    p95: float


class Turns:
    """The last ones that could be heard."""

    def __init__(self) -> None:
        self._kept: deque[Mapping[str, float]] = deque(maxlen=KEPT)

    def add(self, metrics: TurnMetrics) -> None:
        if TOTAL in metrics.spans:
            self._kept.append(metrics.spans)

    @property
    def all(self) -> Sequence[Mapping[str, float]]:
        """Oldest first, milliseconds by span."""
        return tuple(self._kept)


def measured(turns: Sequence[Mapping[str, float]]) -> list[Span]:
    """In their order in time, without those that never took any, then the total."""
    spans = []
    for name in (*SUMMED, TOTAL):
        values = [max(0.0, turn.get(name, 0.0)) for turn in turns]
        if any(values) or name == TOTAL:
            spans.append(Span(name, *map(float, np.percentile(values, (50, 95)))))
    return spans


def sentence(turns: Sequence[Mapping[str, float]]) -> str:
    *spans, total = measured(turns)
    count = f"{len(turns)} answers" if len(turns) > 1 else "one answer"
    words = f"My first sound comes {total.p50 / 1000:.2f} s after your last word (p50; p95 {total.p95 / 1000:.2f} s)"
    if not spans:
        return f"{words}, over {count}."
    largest = max(spans, key=lambda span: span.p50)
    share = f"{NAMES[largest.name]} takes most of it, {largest.p50:.0f} ms"
    return f"{words}, over {count}: {share}. {ADVICE[largest.name]}"
