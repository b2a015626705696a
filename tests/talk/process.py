"""Runs the real `python -m bot` and reads what it wrote."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile

ROOT = Path(__file__).parents[2]
AUDIO = ROOT / "tests" / "audio"


SEEDED = {"LLM_SEED": "1"}
"""So that a failure can be repeated."""


@dataclass(frozen=True)
class Run:
    code: int
    stdout: str
    stderr: str


def bot(*arguments: object, env: Mapping[str, str] | None = None, timeout: float = 240) -> Run:
    command = [sys.executable, "-m", "bot", *map(str, arguments)]
    environment = {**os.environ, **SEEDED, **(env or {})}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, timeout=timeout, encoding="utf-8")
    return Run(done.returncode, done.stdout, done.stderr)


def events(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def named(lines: Sequence[Mapping[str, Any]], name: str) -> list[Mapping[str, Any]]:
    return [line for line in lines if line["event"] == name]


def words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9']+", text.lower())


def dialogue(path: Path, parts: Sequence[tuple[str, float]]) -> list[tuple[float, float]]:
    """Writes one WAV in which each recording begins so many seconds after the one before has ended. Returns when each
    begins and ends, in seconds."""
    rng = np.random.default_rng(2)
    sound: list[npt.NDArray[np.int16]] = []
    spans, now = [], 0.0
    for name, gap in parts:
        pcm, rate = soundfile.read(AUDIO / name, dtype="int16")
        loud = np.flatnonzero(np.abs(pcm) > 300)
        pcm = pcm[loud[0] : loud[-1]]
        sound += [rng.normal(0, 20, round(gap * rate)).astype(np.int16), pcm]
        spans.append((now + gap, now + gap + len(pcm) / rate))
        now = spans[-1][1]
    soundfile.write(path, np.concatenate([*sound, np.zeros(16_000, np.int16)]), 16_000, subtype="PCM_16")
    return spans
