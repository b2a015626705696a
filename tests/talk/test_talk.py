"""The real process on real recordings: what it hears, says, writes, and how it fails."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from bot import config
from bot.llm.prompt import EXAMPLES
from tests.talk.process import AUDIO, ROOT, Run, bot, dialogue, events, named, words
from tests.wer import understood, wer

pytestmark = pytest.mark.slow
posix = pytest.mark.skipif(os.name == "nt", reason="Windows cannot send Ctrl-C to one process alone")


@pytest.fixture(scope="module")
def conversation(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, list[dict[str, Any]], Path, Any]:
    """Three questions, the second spoken over the first answer."""
    folder = tmp_path_factory.mktemp("talk")
    parts = [("question_decorator.wav", 0.5), ("question_status.wav", 6.0), ("question_undo.wav", 25.0)]
    spans = dialogue(folder / "three.wav", parts)
    run = bot(
        "talk", "--wav", folder / "three.wav", "--out", folder / "out.wav", "--events", folder / "events.jsonl",
        "--turns", 3,
    )  # fmt: skip
    assert run.code == 0, run.stderr
    return run, events(folder / "events.jsonl"), folder / "out.wav", spans


def test_each_question_is_understood(conversation: Any) -> None:
    _, lines, _, _ = conversation
    texts = [line["text"] for line in named(lines, "transcript")]
    spoken = [
        "Can you explain what a decorator is in Python?",
        "Stop. What does git status show?",
        "How do I undo my last commit?",
    ]
    assert len(texts) == 3
    for text, reference in zip(texts, spoken, strict=True):
        assert wer(reference, text) <= 0.2, text


def test_the_second_question_stops_the_first_answer(conversation: Any) -> None:
    _, lines, out, spans = conversation
    (interrupted,) = [line for line in named(lines, "interrupted") if line["turn"] == 1]
    onset = spans[1][0]
    assert onset < interrupted["t"] < onset + 0.5
    reply = "".join(line["text"] for line in named(lines, "reply_delta") if line["turn"] == 1)
    assert words(reply)[: len(words(interrupted["heard"]))] == words(interrupted["heard"])
    pcm, rate = soundfile.read(out, dtype="int16")
    stop, second = interrupted["t"] + 0.06, spans[1][1]
    quiet = pcm[round(stop * rate) : round(second * rate)]
    assert np.abs(quiet.astype(int)).max() == 0, "sound of the old answer after the interruption"


def test_answers_are_spoken_as_they_are_written(conversation: Any) -> None:
    """What was played, transcribed, is the text of the answer; loud enough and never clipped."""
    _, lines, out, _ = conversation
    pcm, rate = soundfile.read(out, dtype="int16")
    assert rate == 24_000
    written, heard = [], []
    for done in named(lines, "reply_done"):
        turn = done["turn"]
        begin = next(line["t"] for line in named(lines, "first_audio") if line["turn"] == turn)
        sound = pcm[round((begin - 0.05) * rate) : round((done["t"] + 0.3) * rate)]
        spoken = " ".join(line["spoken"] for line in named(lines, "sentence") if line["turn"] == turn)
        written.append(spoken)
        heard.append(understood(spoken, sound, rate))
        assert 15_000 < np.abs(sound.astype(int)).max() < 32_767
        assert np.sqrt(np.mean(sound[np.abs(sound) > 100].astype(float) ** 2)) > 2_000
    assert wer(" ".join(written), " ".join(heard)) <= 0.10, heard


def test_the_recording_is_as_long_as_the_session(conversation: Any) -> None:
    _, lines, out, _ = conversation
    info = soundfile.info(out)
    assert info.duration == pytest.approx(lines[-1]["t"], abs=0.6)
    first = named(lines, "first_audio")[0]["t"]
    pcm, rate = soundfile.read(out, dtype="int16")
    audible = np.flatnonzero(np.abs(pcm) > 100)[0] / rate
    assert audible == pytest.approx(first, abs=0.1)


def test_events_tell_the_whole_story(conversation: Any) -> None:
    _, lines, _, _ = conversation
    assert lines[0]["event"] == "ready"
    assert [line["t"] for line in lines] == sorted(line["t"] for line in lines)
    for turn in (2, 3):
        order = [line["event"] for line in lines if line["turn"] == turn]
        for name in ("speech_started", "speech_ended", "transcript", "reply_delta", "sentence", "first_audio"):
            assert name in order
        assert order.index("transcript") < order.index("reply_delta") < order.index("sentence")
        assert order.index("sentence") < order.index("first_audio") < order.index("reply_done")
    spans = named(lines, "turn_metrics")[-1]
    for name in ("silence_ms", "stt_ms", "prompt_ms", "first_token_ms", "sentence_ms", "tts_ms", "output_ms"):
        assert spans[name] >= 0
    assert spans["total_ms"] > spans["silence_ms"]


def test_the_start_up_table_names_each_engine(conversation: Any) -> None:
    run, _, _, _ = conversation
    for stage in ("VAD", "STT", "LLM", "TTS"):
        assert stage in run.stdout
    assert "Speak now" in run.stdout
    assert "You: " in run.stdout


def fast(folder: Path, wav: str, **env: str) -> Run:
    files = ("--wav", folder / wav, "--out", folder / "o.wav", "--events", folder / "e.jsonl")
    return bot("talk", *files, "--fast", env=env)


def test_fast_is_faster_than_real_time_and_says_the_same(tmp_path: Path) -> None:
    spans = dialogue(tmp_path / "q.wav", [("question.wav", 20.0)])
    began = time.monotonic()
    run = fast(tmp_path, "q.wav")
    assert run.code == 0, run.stderr
    lines = events(tmp_path / "e.jsonl")
    assert words(named(lines, "transcript")[0]["text"])[:4] == ["what", "does", "git", "rebase"]
    assert named(lines, "reply_done")
    assert lines[-1]["t"] < spans[0][1] + 5, f"took {time.monotonic() - began:.0f} s"
    assert soundfile.info(tmp_path / "o.wav").duration > 1


def test_no_library_keeps_a_diary_of_the_user(tmp_path: Path) -> None:
    """onnxruntime numbers the machine in the home folder, and reports to its maker, unless it is told not to."""
    home = tmp_path / "home"
    home.mkdir()
    soundfile.write(tmp_path / "n.wav", np.zeros(16_000), 16_000)
    run = fast(tmp_path, "n.wav", **dict.fromkeys(("HOME", "USERPROFILE", "LOCALAPPDATA", "XDG_CACHE_HOME"), str(home)))
    assert run.code == 0, run.stderr
    assert list(home.rglob("*")) == []


@pytest.mark.parametrize("kind", ["silence", "noise", "clicks"])
def test_what_is_no_speech_is_not_answered(tmp_path: Path, kind: str) -> None:
    rng = np.random.default_rng(3)
    pcm = np.zeros(48_000)
    if kind == "noise":
        pcm = rng.normal(0, 0.05, 48_000)
    if kind == "clicks":
        for at in range(4000, 44_000, 3000):
            pcm[at : at + 80] += rng.normal(0, 0.4, 80) * np.exp(-np.arange(80) / 15)
    soundfile.write(tmp_path / "n.wav", pcm, 16_000)
    run = fast(tmp_path, "n.wav")
    assert run.code == 0, run.stderr
    lines = events(tmp_path / "e.jsonl")
    assert [line["text"] for line in named(lines, "transcript") if line["text"]] == []
    assert named(lines, "reply_delta") == []


def test_words_that_come_while_it_thinks_are_answered(tmp_path: Path) -> None:
    dialogue(tmp_path / "q.wav", [("question.wav", 0.5), ("question_thread.wav", 0.75)])
    run = bot("talk", "--wav", tmp_path / "q.wav", "--out", tmp_path / "o.wav", "--events", tmp_path / "e.jsonl")
    assert run.code == 0, run.stderr
    lines = events(tmp_path / "e.jsonl")
    (done,) = named(lines, "reply_done")
    assert {"thread", "threads", "process", "processes"} & set(words(done["text"]))


def test_a_damaged_model_of_the_right_size_is_noticed(tmp_path: Path) -> None:
    models = config.load().models.folder
    own = {
        "LLM_PATH": next(models.glob("llm/*.gguf")),
        "WHISPER_PATH": models / "whisper-base",
        "KOKORO_PATH": next(models.glob("kokoro/*.onnx")),
        "VOICES_PATH": models / "kokoro" / "voices",
    }
    (tmp_path / "silero").mkdir()
    data = bytearray((models / "silero" / "silero_vad.onnx").read_bytes())
    data[1_000_000:1_000_100] = bytes(100)
    (tmp_path / "silero" / "silero_vad.onnx").write_bytes(data)
    env = {"MODEL_DIR": str(tmp_path), **{name: str(path) for name, path in own.items()}}
    run = bot("talk", "--wav", AUDIO / "question.wav", "--fast", env=env)
    assert run.code == 4
    assert "silero_vad.onnx is damaged: run `python -m bot models fetch silero`" in run.stderr


def test_a_closed_output_ends_it_quietly() -> None:
    command = [sys.executable, "-m", "bot", "talk", "--wav", str(AUDIO / "question.wav"), "--fast"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdout
        assert child.stderr
        assert child.stdout.readline()
        child.stdout.close()
        assert child.stderr.read() == b""
        assert child.wait(30) == 141


def test_no_example_of_the_prompt_answers_a_recording() -> None:
    asked = {tuple(words(question)) for question, _ in EXAMPLES}
    spoken = re.findall(r"\| ([A-Z][^|]*\?) \|", (AUDIO / "README.md").read_text(encoding="utf-8"))
    assert len(spoken) >= 4
    assert not asked & {tuple(words(question)) for question in spoken}


def test_ask_streams_an_answer() -> None:
    run = bot("ask", "What does git status show?")
    assert run.code == 0, run.stderr
    assert len(words(run.stdout)) > 5


@pytest.mark.parametrize(
    ("arguments", "env", "code", "says"),
    [
        (["talk", "--wav", "nowhere.wav", "--out", "x.wav"], {}, 8, "nowhere.wav"),
        (["talk", "--wav", "README.md", "--out", "x.wav"], {}, 8, "README.md"),
        (["talk", "--wav", "tests/audio/question.wav"], {"MODEL_DIR": "/nonexistent"}, 3, "models fetch"),
        (["talk", "--wav", "tests/audio/question.wav"], {"TTS_VOICE": "af_nobody"}, 9, "af_nobody"),
        (["talk", "--wav", "tests/audio/question.wav"], {"STT_MODEL": "gigantic"}, 2, "gigantic"),
        (["talk", "--wav", "tests/audio/question.wav", "--out", "tests/audio/question.wav"], {}, 2, "same file"),
        (["talk", "--wav", "tests/audio/question.wav", "--out", "README.md/x.wav"], {}, 12, "x.wav"),
        (["ask", "Hello?"], {"LLM_PROVIDER": "openai", "OPENAI_API_KEY": ""}, 2, "OPENAI_API_KEY is not set"),
        (["ask", " "], {}, 2, "no question"),
        (["run"], {"DISCORD_TOKEN": ""}, 2, "DISCORD_TOKEN"),
    ],
)
def test_a_mistake_is_one_sentence_and_a_code(arguments: list[str], env: dict[str, str], code: int, says: str) -> None:
    run = bot(*arguments, env=env, timeout=60)
    assert run.code == code, run.stderr
    assert says in run.stderr
    assert "Traceback" not in run.stderr
    assert len(run.stderr.strip().splitlines()) <= 2
    assert not (ROOT / "x.wav").exists(), "an empty recording was left behind"


@posix
def test_ctrl_c_ends_it_and_keeps_the_recording(tmp_path: Path) -> None:
    dialogue(tmp_path / "q.wav", [("question.wav", 60.0)])
    command = [sys.executable, "-m", "bot", "talk", "--wav", tmp_path / "q.wav", "--out", tmp_path / "o.wav"]
    with subprocess.Popen([*map(str, command), "--events", str(tmp_path / "e.jsonl")], cwd=ROOT) as child:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if (tmp_path / "e.jsonl").exists() and events(tmp_path / "e.jsonl"):
                break
            time.sleep(0.1)
        time.sleep(1.5)
        child.send_signal(signal.SIGINT)
        assert child.wait(10) == 130
    assert soundfile.info(tmp_path / "o.wav").duration > 1


@posix
@pytest.mark.parametrize("after", [0.1, 1.0, 2.0], ids=["importing", "loading", "warming up"])
def test_a_second_ctrl_c_ends_it_at_once(tmp_path: Path, after: float) -> None:
    command = [sys.executable, "-m", "bot", "talk", "--wav", str(AUDIO / "question.wav"), "--out", str(tmp_path / "o")]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE) as child:
        time.sleep(after)
        child.send_signal(signal.SIGINT)
        time.sleep(0.6)
        if child.poll() is None:
            child.send_signal(signal.SIGINT)
        assert child.wait(2) in (130, -signal.SIGINT)
        assert child.stderr
        assert child.stderr.read() == b""


def test_the_recordings_have_a_readme() -> None:
    text = (AUDIO / "README.md").read_text(encoding="utf-8")
    for path in AUDIO.glob("*.wav"):
        assert path.name in text, f"{path.name} has no source, licence and words"
