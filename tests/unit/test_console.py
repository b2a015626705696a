"""What a person sees while talking."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from bot.console import METER_STEPS, TalkConsole, engines_table, make_console, meter
from bot.events import EngineInfo, Failed, Interrupted, Ready, ReplyDelta, ReplyDone, SpeechStarted, Transcribed


def shown(*, terminal: bool) -> tuple[TalkConsole, io.StringIO]:
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, color_system=None, highlight=False, soft_wrap=True)
    return TalkConsole(console, spoken_to="microphone"), out


@pytest.mark.parametrize(("dbfs", "filled"), [(-90.0, 0), (-60.0, 0), (-30.0, METER_STEPS // 2), (0.0, METER_STEPS)])
def test_the_meter_fills_with_the_level(dbfs: float, filled: int) -> None:
    assert meter(dbfs) == "#" * filled + "-" * (METER_STEPS - filled)


def test_a_turn_reads_like_a_conversation() -> None:
    face, out = shown(terminal=False)
    for event in (
        Ready(0),
        SpeechStarted(1),
        Transcribed(1, "What is [a] thread?", "en"),
        ReplyDelta(1, "It is "),
        ReplyDelta(1, "a line of work."),
        ReplyDone(1, "It is a line of work."),
        Interrupted(2, "It is"),
        Failed(2, "busy", "Say it again."),
    ):
        face(event)
    assert out.getvalue().splitlines() == [
        "Speak now (microphone). Ctrl-C ends.",
        "You: What is [a] thread?",
        "Sidetone: It is a line of work.",
        "(you cut in; heard up to: 'It is')",
        "Say it again.",
    ]


def test_the_meter_is_for_terminals_and_leaves_nothing_behind() -> None:
    face, out = shown(terminal=True)
    face.level(-20.0)
    drawn = out.getvalue()
    assert "#" in drawn
    face(Transcribed(1, "Hello?", "en"))
    wiped = out.getvalue()[len(drawn) :]
    assert wiped.startswith("\r" + " " * len(drawn.strip("\r")))
    quiet, nothing = shown(terminal=False)
    quiet.level(-20.0)
    assert nothing.getvalue() == ""


def test_the_meter_does_not_cut_into_an_answer() -> None:
    face, out = shown(terminal=True)
    face(ReplyDelta(1, "It is "))
    before = out.getvalue()
    face.level(-20.0)
    assert out.getvalue() == before


def test_the_table_has_a_line_for_each_engine_and_a_sum() -> None:
    infos = [EngineInfo("VAD", "Silero", "a/silero.onnx", 2_000_000, "cpu", 0.5, 30_000_000)] * 2
    out = io.StringIO()
    Console(file=out, width=80).print(engines_table(infos, 1.5))
    text = out.getvalue()
    assert text.count("silero.onnx") == 2
    assert "4.0 MB" in text
    assert "60.0 MB" in text


def test_the_table_names_the_gpus_memory_where_there_is_some() -> None:
    on_cpu = EngineInfo("VAD", "Silero", "silero.onnx", 2_000_000, "cpu", 0.5, 30_000_000)
    on_gpu = EngineInfo("LLM", "Phi", "phi.gguf", 2_000_000, "cuda", 0.5, 30_000_000, 2_500_000_000)
    out = io.StringIO()
    Console(file=out, width=100).print(engines_table([on_cpu, on_gpu], 1.5))
    assert "VRAM" in out.getvalue()
    assert out.getvalue().count("2.50 GB") == 2
    out = io.StringIO()
    Console(file=out, width=100).print(engines_table([on_cpu], 1.5))
    assert "VRAM" not in out.getvalue()


def test_a_character_that_the_output_lacks_is_not_fatal(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(raw, encoding="cp1252"))
    console = make_console()
    console.print("naïve ✓ 漢")
    console.file.flush()
    assert "naïve".encode("cp1252") in raw.getvalue()
