"""The whole loop through real sound devices: a virtual microphone and loudspeaker of PulseAudio."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.audio.pulse import PulseDaemon
from tests.talk.process import AUDIO, ROOT, SEEDED, events, named
from tests.wer import understood, wer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(200)]


@pytest.fixture
def pulse(tmp_path: Path) -> Any:
    with PulseDaemon(tmp_path) as daemon:
        yield daemon


def until(path: Path, condition: Callable[[list[dict[str, Any]]], bool], seconds: float) -> list[dict[str, Any]]:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if path.exists() and condition(lines := events(path)):
            return lines
        time.sleep(0.1)
    raise AssertionError(f"waited {seconds} s in vain; last events: {events(path)[-5:] if path.exists() else 'none'}")


@pytest.mark.parametrize("backend", ["sounddevice", "pyaudio"])
def test_a_spoken_question_is_answered_aloud(pulse: PulseDaemon, tmp_path: Path, backend: str) -> None:
    log, heard = tmp_path / "e.jsonl", tmp_path / "speaker.raw"
    env = {**os.environ, **SEEDED, "PULSE_SERVER": pulse.server, "AUDIO_BACKEND": backend}
    command = [sys.executable, "-m", "bot", "talk", "--events", str(log), "--turns", "1"]
    listening = pulse.listen(heard)
    with subprocess.Popen(command, cwd=ROOT, env=env) as child:
        try:
            until(log, lambda lines: bool(named(lines, "ready")), 90)
            time.sleep(0.5)
            pulse.say(AUDIO / "question_undo.wav").wait(20)
            lines = until(log, lambda lines: bool(named(lines, "turn_metrics")), 90)
            assert child.wait(15) == 0
        finally:
            child.kill()
    time.sleep(0.5)
    listening.terminate()
    listening.wait(5)
    assert wer("How do I undo my last commit?", named(lines, "transcript")[0]["text"]) <= 0.2
    pcm = np.fromfile(heard, np.int16)
    assert np.abs(pcm.astype(int)).max() > 15_000
    spoken = " ".join(line["spoken"] for line in named(lines, "sentence"))
    assert wer(spoken, understood(spoken, pcm, 24_000)) <= 0.10


def test_a_microphone_that_goes_is_said_and_comes_back(pulse: PulseDaemon, tmp_path: Path) -> None:
    log = tmp_path / "e.jsonl"
    env = {**os.environ, **SEEDED, "PULSE_SERVER": pulse.server}
    command = [sys.executable, "-m", "bot", "talk", "--events", str(log), "--turns", "1"]
    with subprocess.Popen(command, cwd=ROOT, env=env) as child:
        try:
            until(log, lambda lines: bool(named(lines, "ready")), 90)
            pulse.restart()
            said = until(log, lambda lines: any(e["code"] == "audio_device" for e in named(lines, "error")), 30)
            assert "microphone" in " ".join(e["message"] for e in named(said, "error"))
            time.sleep(8)
            pulse.say(AUDIO / "question_undo.wav").wait(20)
            until(log, lambda lines: any(e["text"] for e in named(lines, "transcript")), 60)
            child.send_signal(signal.SIGINT)
            assert child.wait(15) in (0, 130)
        finally:
            child.kill()
