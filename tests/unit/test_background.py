"""Programs in the background: real ones, of a second each."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import psutil
import pytest

PROJECT = Path(__file__).parents[2]
CHILD = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
PARENT = f"""
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", {CHILD!r}], stdout=subprocess.PIPE, text=True)
child.stdout.readline()
print("child", child.pid, flush=True)
print("I am up", flush=True)
time.sleep(60)
"""


@pytest.fixture
def background(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(PROJECT / "scripts"))
    import background as module

    return module


@pytest.fixture
def run(background: ModuleType, tmp_path: Path) -> Iterator[Callable[..., object]]:
    services = []

    def run(code: str, patience_s: float = 20.0) -> object:
        service = background.Service("toy", "toy", [sys.executable, "-c", code], "I am up", patience_s, 3.0)
        services.append(service)
        background.start(service, tmp_path, dict(os.environ), tmp_path)
        return service

    yield run
    for service in services:
        background.stop(service, tmp_path)
    while background.STARTED:
        background.STARTED.pop().wait(5)


def record(folder: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((folder / "toy.pid").read_text(encoding="utf-8"))
    return found


def ended(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_second_start_is_refused_and_a_stop_ends_the_whole_tree(
    background: ModuleType, run: Callable[..., object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    service = run(PARENT)
    head = int(str(record(tmp_path)["pid"]))
    child = int((tmp_path / "toy.log").read_text(encoding="utf-8").split()[1])
    assert "up after" in capsys.readouterr().out
    with pytest.raises(background.SetupError, match=f"runs already: process {head}"):
        run(PARENT)
    assert not ended(head)
    background.stop(service, tmp_path)
    assert ended(head)
    assert ended(child), "what it started, and what does not heed SIGTERM, ends as well"
    assert not (tmp_path / "toy.pid").exists()
    background.stop(service, tmp_path)
    assert "toy: not running." in capsys.readouterr().out


def test_an_end_during_the_start_is_told_with_its_last_words(
    background: ModuleType, run: Callable[..., object], tmp_path: Path
) -> None:
    (tmp_path / "toy.log").write_text("I am up\nbut that was yesterday\n", encoding="utf-8")
    with pytest.raises(background.SetupError, match=r"with code 7. Its last words:\n  no key") as failure:
        run("import sys; print('no key'); sys.exit(7)")
    assert "yesterday" not in str(failure.value)
    assert not (tmp_path / "toy.pid").exists()


def test_a_program_that_was_killed_is_noticed(
    background: ModuleType, run: Callable[..., object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("import time; print('I am up', flush=True); time.sleep(60)")
    pid = int(str(record(tmp_path)["pid"]))
    psutil.Process(pid).kill()
    end = time.monotonic() + 5
    while not ended(pid) and time.monotonic() < end:
        time.sleep(0.02)
    assert background.find(background.Files(tmp_path, "toy").read()) is None
    run("import time; print('I am up', flush=True); time.sleep(60)")
    assert f"the pid file names process {pid}, which has ended; starting anew" in capsys.readouterr().out


@pytest.mark.parametrize("lie", ["another start", "another command", "both"])
def test_a_number_that_belongs_to_another_program_is_not_ended(
    background: ModuleType, tmp_path: Path, lie: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as stranger:
        process = psutil.Process(stranger.pid)
        started = process.create_time() - (0 if lie == "another command" else 3600)
        command = process.cmdline() if lie == "another start" else ["toy"]
        files = background.Files(tmp_path, "toy")
        files.write(background.Record(stranger.pid, started, command, 0))
        service = background.Service("toy", "toy", ["toy"], "up", 1.0, 1.0)
        background.stop(service, tmp_path)
        said = capsys.readouterr().out
        assert stranger.poll() is None
        stranger.kill()
    assert "not running" in said
    assert "has its number now" in said
    assert files.read() is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": "x"}', '{"pid": 1}'])
def test_a_damaged_pid_file_belongs_to_nobody(background: ModuleType, tmp_path: Path, text: str) -> None:
    files = background.Files(tmp_path, "toy")
    files.pid.write_text(text, encoding="utf-8")
    assert background.find(files.read()) is None
    assert background.stale(files.read()) == "the pid file is damaged"


def test_a_log_that_has_grown_large_is_put_aside(
    background: ModuleType, run: Callable[..., object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "LOG_BYTES", 10)
    (tmp_path / "toy.log").write_text("a long old log\n", encoding="utf-8")
    run("import time; print('I am up', flush=True); time.sleep(60)")
    assert (tmp_path / "toy.log.1").read_text(encoding="utf-8") == "a long old log\n"
    assert (tmp_path / "toy.log").read_text(encoding="utf-8").strip() == "I am up"


def test_a_command_that_is_not_there(background: ModuleType, tmp_path: Path) -> None:
    service = background.Service("toy", "toy", [str(tmp_path / "none")], "up", 1.0, 1.0)
    with pytest.raises(background.SetupError, match="toy cannot be started"):
        background.start(service, tmp_path, {}, tmp_path)
