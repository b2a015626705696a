"""What is kept is shown, and removed only when somebody has typed so; and nothing else with it."""

from __future__ import annotations

import io
import os
from dataclasses import replace
from pathlib import Path

import pytest

from bot import config, data
from bot.errors import ConfigError


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> config.Settings:
    """A project in which everything has been used."""
    monkeypatch.setattr(data, "PROJECT", tmp_path)
    for name, count in {
        "logs/conversations.db": 3000,
        "logs/conversations.db-wal": 1000,
        "logs/bot.jsonl": 100,
        "logs/bot.jsonl.1": 100,
        "logs/agent.log": 100,
        "logs/agent/audit.jsonl": 500,
        "logs/mine.txt": 7,
        "replies/reply.wav": 2000,
        "models/llm/model.gguf": 50_000,
        "models/manifest.toml": 9,
        "models/my-own.gguf": 11,
        ".env": 5,
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x" * count)
    found = config.load(None, {"DATA_DIR": str(tmp_path / "logs"), "MODEL_DIR": str(tmp_path / "models")})
    return replace(found, discord=replace(found.discord, history=tmp_path / "logs" / "conversations.db"))


def run(settings: config.Settings, typed: str | None, monkeypatch: pytest.MonkeyPatch) -> int:
    """`typed` is None for a look without --erase."""
    monkeypatch.setattr("sys.stdin", io.StringIO(typed or ""))
    models = [settings.models.folder / "llm" / "model.gguf", settings.models.folder / "llm" / "never-fetched.gguf"]
    return data.run(settings, models, erase=typed is not None)


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_it_is_shown_with_its_place_and_size(
    settings: config.Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    before = files(tmp_path)
    sizes = {place.what: place.bytes for place in data.kept(settings, [settings.models.folder / "llm/model.gguf"])}
    assert list(sizes.values()) == [4000, 300, 500, 2000, 50_000]
    assert run(settings, None, monkeypatch) == 0
    shown = capsys.readouterr().out
    for words in ("conversations", "models", "0.1 MB", "Not among them: .env"):
        assert words in shown
    assert files(tmp_path) == before


@pytest.mark.parametrize("typed", ["", "\n", "y\n", "yes\n", "ERASE\n", "erase it\n"])
def test_without_the_very_word_nothing_is_removed(
    settings: config.Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, typed: str
) -> None:
    before = files(tmp_path)
    assert run(settings, typed, monkeypatch) == data.KEPT
    assert files(tmp_path) == before


def test_what_is_not_ours_stays(settings: config.Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert run(settings, "erase\n", monkeypatch) == 0
    assert files(tmp_path) == [".env", "logs/mine.txt", "models/manifest.toml", "models/my-own.gguf"]
    assert not (tmp_path / "replies").exists()
    assert not (tmp_path / "models" / "llm").exists()


def test_not_while_something_runs(settings: config.Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "logs" / "agent.pid").touch()
    before = files(tmp_path)
    with pytest.raises(ConfigError, match="The agent may be running: first `just stop-all`"):
        run(settings, "erase\n", monkeypatch)
    assert files(tmp_path) == before


@pytest.mark.skipif(os.name == "nt", reason="Windows lets only some users make links")
@pytest.mark.parametrize("link", ["the file", "its folder", "the model folder"])
def test_models_that_lie_elsewhere_in_truth_stay(
    settings: config.Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, link: str
) -> None:
    name = {"the file": "models/llm/model.gguf", "its folder": "models/llm", "the model folder": "models"}[link]
    (tmp_path / name).rename(tmp_path / "elsewhere")
    (tmp_path / name).symlink_to(tmp_path / "elsewhere")
    before = files(tmp_path / "elsewhere")
    run(settings, "erase\n", monkeypatch)
    assert files(tmp_path / "elsewhere") == before
    assert (tmp_path / name).is_symlink()
    assert (tmp_path / "models" / "llm" / "model.gguf").exists()
