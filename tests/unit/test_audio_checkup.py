"""What a second of the microphone says about it."""

from __future__ import annotations

import numpy as np
import pytest

from bot.audio.checkup import judge
from bot.audio.pcm import amplitude
from bot.events import MIC_RATE, Int16


def tone(level_dbfs: float) -> Int16:
    wave = amplitude(level_dbfs) * np.sin(np.arange(MIC_RATE) * 0.2)
    return np.clip(wave, -32768, 32767).astype(np.int16)


@pytest.mark.parametrize(
    ("pcm", "state", "found"),
    [
        (np.zeros(MIC_RATE, np.int16), "warn", "silent: a headset"),
        (tone(-60), "warn", "too quiet: peak -60 dBFS, average -63 dBFS, from a headset"),
        (tone(-20), "ok", "fine: peak -20 dBFS, average -23 dBFS, from a headset"),
        (tone(-1), "ok", "fine: peak -1 dBFS"),
        (tone(6), "warn", "clipping: peak 0 dBFS"),
    ],
)
def test_levels(pcm: Int16, state: str, found: str) -> None:
    check = judge(pcm, "a headset")
    assert check.state == state
    assert check.found.startswith(found)
    assert bool(check.fix) is (state == "warn")


def test_one_knock_is_no_clipping() -> None:
    knock = tone(-20)
    knock[100] = -32768
    assert judge(knock, "x").state == "ok"
