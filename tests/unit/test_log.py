"""What is logged, where, and what never is."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bot import config, log
from bot.worker import Worker

TOKEN = "MTIz.a-token/with+odd=signs"  # noqa: S105 - worth nothing
SECRETS = (TOKEN, "p@ss word", "abc")


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    before, level, bot_level = list(root.handlers), root.level, logging.getLogger("bot").level
    yield
    for handler in root.handlers:
        if handler not in before:
            handler.close()
    root.handlers = before
    root.setLevel(level)
    logging.getLogger("bot").setLevel(bot_level)


class Stderr:
    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self._text = ""

    def getvalue(self) -> str:
        """All that was written since the test began."""
        self._text += self._capsys.readouterr().err
        return self._text


@pytest.fixture
def stderr(capsys: pytest.CaptureFixture[str]) -> Stderr:
    return Stderr(capsys)


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_json_lines_with_the_turn_they_belong_to(tmp_path: Path, stderr: Stderr) -> None:
    log.start("warning", file=tmp_path / "new" / "bot.jsonl")
    logger = logging.getLogger("bot.x")

    async def answer(name: str) -> None:
        with log.turn_named(name):
            logger.info("%s begins", name)
            await asyncio.sleep(0)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(worker.run(logger.warning, "computed for %s", name))

    async def main() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(answer("text-1"))
            tasks.create_task(answer("voice-2"))
        logger.info("outside")

    worker = Worker("engine")
    asyncio.run(main())
    worker.close()
    lines = read(tmp_path / "new" / "bot.jsonl")
    assert [(line["message"], line.get("turn")) for line in lines[:2]] == [
        ("text-1 begins", "text-1"),
        ("voice-2 begins", "voice-2"),
    ]
    computed = [line for line in lines if line["message"].startswith("computed")]
    assert sorted((line["message"], line["turn"]) for line in computed) == [
        ("computed for text-1", "text-1"),
        ("computed for voice-2", "voice-2"),
    ]
    assert computed[0]["thread"].startswith("engine")
    assert lines[-1]["message"] == "outside"
    assert "turn" not in lines[-1]
    assert lines[0]["level"] == "info"
    assert lines[0]["t"].endswith("+00:00")
    assert "begins" not in stderr.getvalue(), "the console shows what LOG_LEVEL says"
    assert "[text-1] " in stderr.getvalue()


def test_no_secret_in_messages_arguments_and_tracebacks(tmp_path: Path, stderr: Stderr) -> None:
    log.start("debug", secrets=SECRETS, file=tmp_path / "bot.jsonl")
    logger = logging.getLogger("bot.x")
    logger.warning("with %s", TOKEN)
    logger.warning({"key": TOKEN})
    logger.warning("http://me:p%%40ss%%20word@proxy and %s", "p@ss word")
    try:
        raise ValueError(f"refused: {TOKEN}")
    except ValueError:
        logger.exception("a defect")
    logging.getLogger("library").error("MTIz.a-token%2Fwith%2Bodd%3Dsigns")
    logger.info("abc is too short to be taken out")
    for text in (stderr.getvalue(), (tmp_path / "bot.jsonl").read_text(encoding="utf-8")):
        assert "ValueError: refused: [hidden]" in text
        assert "a-token" not in text
        assert "p@ss" not in text
        assert "p%40ss" not in text
        assert "abc" in text
    assert len(read(tmp_path / "bot.jsonl")) == 6


def test_what_counts_as_a_secret() -> None:
    proxy = "http://user:p%40ss@proxy:8080"
    settings = config.load(None, {"API_KEY": "k" * 16, "OPENAI_API_KEY": "sk-1", "HTTPS_PROXY": proxy})
    assert set(settings.secrets) == {"k" * 16, "sk-1", "p%40ss", "p@ss"}
    assert "kkkk" not in repr(settings.secrets) or "secrets" not in repr(settings)


def test_files_are_rotated(tmp_path: Path, stderr: Stderr, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "FILE_BYTES", 1000)
    log.start("warning", file=tmp_path / "bot.jsonl")
    for _ in range(60):
        logging.getLogger("bot.x").info("x" * 100)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["bot.jsonl", *(f"bot.jsonl.{n}" for n in range(1, log.FILES_KEPT + 1))]
    assert all(path.stat().st_size <= 1000 for path in tmp_path.iterdir())


def test_a_place_that_cannot_be_written_costs_the_file_alone(tmp_path: Path, stderr: Stderr) -> None:
    (tmp_path / "file").touch()
    log.start("warning", file=tmp_path / "file" / "bot.jsonl")
    logging.getLogger("bot.x").warning("still said")
    assert "No log is kept in" in stderr.getvalue()
    assert "still said" in stderr.getvalue()


def test_a_disk_that_fills_up_is_said_once(tmp_path: Path, stderr: Stderr) -> None:
    log.start("error", file=tmp_path / "bot.jsonl")
    handler = next(each for each in logging.getLogger().handlers if isinstance(each, log.JsonFile))

    class FullDisk(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(28, "No space left on device")

    handler.stream.close()
    handler.stream = FullDisk()  # type: ignore[assignment]
    for _ in range(3):
        logging.getLogger("bot.x").info("lost")
    assert stderr.getvalue().count("No space left on device") == 1


def test_on_a_terminal_rich_shows_it_without_reading_markup(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    log.start("info", secrets=SECRETS)
    logging.getLogger("bot.x").info("[bold]%s[/bold] %s", "plain", TOKEN)
    assert "[bold]plain[/bold] [hidden]" in stream.getvalue()
    assert "INFO" in stream.getvalue()
