"""The doctor names what is missing and never falls ill itself."""

from __future__ import annotations

import asyncio
import importlib.metadata
from types import SimpleNamespace
from typing import Any

import pytest

from bot import config, doctor
from bot.audio.devices import Device
from bot.chat import voice_link


def test_a_package_that_is_missing_is_named_with_the_fix() -> None:
    (check,) = doctor.packages(lambda module: module != "soxr")
    assert (check.state, check.found) == ("fail", "missing: soxr")
    assert "scripts/run.py" in check.fix


def test_a_module_from_a_package_of_another_name_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """onnxruntime-gpu brings the module onnxruntime, but no package of that name."""

    def version(name: str) -> str:
        if name == "onnxruntime":
            raise importlib.metadata.PackageNotFoundError(name)
        return "1.0"

    monkeypatch.setattr(importlib.metadata, "version", version)
    (check,) = doctor.packages(lambda module: True)
    assert check.state == "ok"
    assert check.found.startswith("numpy 1.0, onnxruntime, faster-whisper 1.0")


@pytest.mark.parametrize(("version", "state"), [((3, 11), "ok"), ((3, 12), "ok"), ((3, 10), "fail"), ((3, 13), "fail")])
def test_the_versions_of_python(version: tuple[int, int], state: str) -> None:
    assert doctor.python(version).state == state


def test_what_voice_in_discord_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = config.load(None, {})
    opus, dave, token = asyncio.run(doctor.discord(settings))
    assert (opus.state, dave.state, token.state) == ("ok", "ok", "warn")
    assert token.found == "no DISCORD_TOKEN"
    monkeypatch.setattr(voice_link, "no_opus", lambda: voice_link.NO_OPUS)
    opus, dave, _ = asyncio.run(doctor.discord(settings))
    assert (opus.state, opus.found, dave.state) == ("warn", "missing", "ok")
    assert "libopus0" in opus.fix
    assert voice_link.refusal() == voice_link.NO_OPUS


def test_no_cuda_for_the_profile_that_needs_it_comes_with_a_fix() -> None:
    places: Any = SimpleNamespace(device="cpu", profile="gpu")
    check = doctor.gpu(places)
    assert check.state == "warn"
    assert "MODEL_PROFILE=embedded" in check.fix


def test_a_microphone_that_is_not_there_is_not_ok(monkeypatch: pytest.MonkeyPatch) -> None:
    yeti = Device(3, "Yeti", "ALSA", 1, 2, 48_000, True, True)
    for listing in ("inputs", "outputs"):
        monkeypatch.setattr(f"bot.audio.devices.{listing}", lambda backend: [yeti])
    wrong, speaker = doctor.sound(config.load(None, {"MIC_DEVICE": "Rode"}))
    assert (wrong.state, speaker.state) == ("fail", "ok")
    assert wrong.found == "Rode is none of 3: Yeti"
    assert "MIC_DEVICE" in wrong.fix
    right, _ = doctor.sound(config.load(None, {"MIC_DEVICE": "yeti"}))
    assert right.state == "ok"
