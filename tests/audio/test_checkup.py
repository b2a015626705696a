"""The doctor's second at the microphone, on a PulseAudio null sink."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.audio.pulse import PulseDaemon

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]

ROOT = Path(__file__).parents[2]
RATE = 48_000


def hum(amplitude: float) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.clip(amplitude * np.sin(np.arange(8 * RATE) * 0.03), -1, 1)


def doctor(pulse: PulseDaemon) -> str:
    """The row on the level."""
    environment = {**pulse.env, "COLUMNS": "400", "DISCORD_TOKEN": "", "API_KEY": "", "MIC_DEVICE": ""}
    command = [sys.executable, "-m", "bot", "doctor"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, encoding="utf-8", timeout=40)
    return next(line for line in done.stdout.splitlines() if "microphone level" in line)


@pytest.mark.parametrize(
    ("amplitude", "verdict"),
    [(0.0, "silent: "), (0.002, "too quiet: peak -54 dBFS"), (0.2, "fine: peak -14 dBFS"), (3.0, "clipping: ")],
)
def test_the_doctor_hears_how_loud_the_microphone_is(
    pulse: PulseDaemon, tmp_path: Path, amplitude: float, verdict: str
) -> None:
    soundfile.write(tmp_path / "hum.wav", hum(amplitude), RATE, subtype="PCM_16")
    speaking = pulse.say(tmp_path / "hum.wav")
    try:
        assert verdict in doctor(pulse)
    finally:
        speaking.kill()
        speaking.wait()
