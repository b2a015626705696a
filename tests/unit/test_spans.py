"""The spans of a turn add up to the whole."""

import pytest

from bot.spans import SUMMED, TurnClock


def clock(**marks: float) -> TurnClock:
    base = {"speech_end": 10.0, "decided": 10.6, "stt_started": 10.6, "stt_done": 11.0, "stt_work_s": 0.4}
    later = {"llm_started": 11.01, "first_token": 11.31, "first_sentence": 11.5, "first_clip": 12.2}
    return TurnClock(**{**base, **later, "first_audible": 12.26, "prompt_s": 0.25, "leading_silence_s": 0.01, **marks})


def test_spans_add_up_to_the_total() -> None:
    spans = clock().spans()
    assert sum(spans[name] for name in SUMMED) == pytest.approx(spans["total_ms"], abs=1)
    assert spans["total_ms"] == pytest.approx(2260)
    assert spans["prompt_ms"] == pytest.approx(250)
    assert spans["first_token_ms"] == pytest.approx(50)


def test_recognition_hidden_in_the_silence_costs_nothing() -> None:
    spans = clock(stt_started=10.2, stt_done=10.58, llm_started=10.6).spans()
    assert spans["stt_ms"] == 0
    assert spans["stt_work_ms"] == 400
    assert sum(spans[name] for name in SUMMED) == pytest.approx(spans["total_ms"], abs=1)


def test_recognition_that_outlasts_the_silence_costs_the_rest() -> None:
    spans = clock(stt_started=10.2, stt_done=10.9).spans()
    assert spans["stt_ms"] == pytest.approx(300)
    assert spans["queue_ms"] == 0
    assert sum(spans[name] for name in SUMMED) == pytest.approx(spans["total_ms"], abs=1)


def test_a_recording_that_is_heard_faster_has_no_silence_to_measure() -> None:
    spans = clock(realtime=False).spans()
    assert "silence_ms" not in spans
    assert "total_ms" not in spans
    assert spans["tts_ms"] == pytest.approx(700)


def test_a_turn_that_ended_early_reports_what_it_reached() -> None:
    early = TurnClock(speech_end=1.0, decided=1.6, stt_started=1.6, stt_done=2.0, stt_work_s=0.4)
    assert early.spans() == {"silence_ms": 600.0, "queue_ms": 0.0, "stt_ms": 400.0, "stt_work_ms": 400.0}
