"""Where the time between the end of a question and the first sound of its answer goes. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class TurnClock:
    """Marks of one turn, in loop seconds; None until it has happened."""

    speech_end: float
    decided: float
    stt_started: float | None = None
    """Before `decided` when the work began at a pause."""
    stt_done: float | None = None
    llm_started: float | None = None
    first_token: float | None = None
    first_sentence: float | None = None
    first_clip: float | None = None
    first_audible: float | None = None
    stt_work_s: float = 0.0
    """Computation, wherever it happened."""
    prompt_s: float = 0.0
    leading_silence_s: float = 0.0
    realtime: bool = True
    """Whether the times of the voice are the clock's; a recording heard faster has no silence to measure."""

    def spans(self) -> dict[str, float]:
        """Milliseconds. Those named in `SUMMED` follow each other and add up to `total_ms`; the rest overlap them."""
        if self.stt_started is None or self.stt_done is None:
            return {"silence_ms": _ms(self.decided - self.speech_end)} if self.realtime else {}
        begun = max(self.decided, self.stt_started)
        done = max(self.decided, self.stt_done)
        spans = {
            "silence_ms": self.decided - self.speech_end,
            "queue_ms": begun - self.decided if self.stt_done > self.decided else 0.0,
            "stt_ms": done - begun if self.stt_done > self.decided else 0.0,
            "stt_work_ms": self.stt_work_s,
        }
        if self.llm_started is not None and self.first_token is not None:
            prompt = min(self.prompt_s, self.first_token - self.llm_started)
            spans["handover_ms"] = self.llm_started - done
            spans["prompt_ms"] = prompt
            spans["first_token_ms"] = self.first_token - self.llm_started - prompt
            if self.first_sentence is not None:
                spans["sentence_ms"] = self.first_sentence - self.first_token
        if self.first_sentence is not None and self.first_clip is not None:
            spans["tts_ms"] = self.first_clip - self.first_sentence
        if self.first_clip is not None and self.first_audible is not None:
            waited = self.first_audible - self.first_clip
            spans["leading_silence_ms"] = min(self.leading_silence_s, waited)
            spans["output_ms"] = waited - spans["leading_silence_ms"]
            spans["total_ms"] = self.first_audible - self.speech_end
        voiced = () if self.realtime else ("silence_ms", "total_ms")
        return {name: _ms(value) for name, value in spans.items() if name not in voiced}


SUMMED = (
    "silence_ms",
    "queue_ms",
    "stt_ms",
    "handover_ms",
    "prompt_ms",
    "first_token_ms",
    "sentence_ms",
    "tts_ms",
    "leading_silence_ms",
    "output_ms",
)


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)
