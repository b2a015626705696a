"""The Justfile, from end to end: the real bot and the real agent in the background, in a project of their own."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.discord import world
from tests.discord.conftest import PROJECT
from tests.discord.loopback import Loopback

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name == "nt", reason="the agent needs Linux or WSL"),
    pytest.mark.skipif(not list((PROJECT / "models").glob("llm/*.gguf")), reason="python -m bot models fetch"),
]
KEY = "0123456789abcdef-for-tests"
SECRETS = (world.TOKEN, KEY)


@dataclass
class Project:
    """A clean checkout with its two environments, which are this test's own."""

    folder: Path
    environment: dict[str, str]

    def just(self, *recipe: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            ["just", *recipe],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=100,
            check=False,
        )
        assert not any(secret in done.stdout for secret in SECRETS)
        assert "Traceback" not in done.stdout, done.stdout
        return done

    def log(self) -> str:
        return (self.folder / "logs" / "bot.jsonl").read_text(encoding="utf-8")

    def pid(self, name: str) -> int:
        return int(json.loads((self.folder / "logs" / f"{name}.pid").read_text(encoding="utf-8"))["pid"])


def environment_of(folder: Path, *, without: str = "") -> None:
    """As `python -m venv` makes one, with the packages of the one that the tests run in."""
    folder.mkdir()
    for each in Path(sys.prefix).iterdir():
        if each.name != without:
            (folder / each.name).symlink_to(each)


@pytest.fixture
def project(loopback: Loopback, tmp_path: Path) -> Iterator[Project]:
    folder = tmp_path / "a project"
    (folder / "src").mkdir(parents=True)
    for name in ("bot", "agent_wsl", "scripts"):
        shutil.copytree(PROJECT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Justfile", "requirements-win.txt", "requirements-wsl.txt"):
        shutil.copy(PROJECT / name, folder)
    (folder / "models").symlink_to(PROJECT / "models")
    (folder / ".venv").symlink_to(sys.prefix)
    environment_of(folder / ".venv-agent", without="sidetone.json")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = {
        "API_KEY": KEY,
        "PORT": port,
        "ALLOWED_DIRECTORIES": "src",
        "DISCORD_TOKEN": world.TOKEN,
        "DISCORD_PROXY": f"http://127.0.0.1:{loopback.proxy_port}",
        "MODEL_PROFILE": "embedded",
        "LLM_MAX_TOKENS": 30,
    }
    (folder / ".env").write_text("".join(f"{name}={value}\n" for name, value in settings.items()), encoding="utf-8")
    kept = {name: value for name, value in os.environ.items() if name not in {*settings, "PYTHONPATH"}}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    made = Project(folder, {**kept, "PATH": path, "SSL_CERT_FILE": str(loopback.authority.root)})
    yield made
    made.just("stop-all")


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    end = time.monotonic() + 5
    while not gone(pid) and time.monotonic() < end:
        time.sleep(0.02)


def test_start_all_status_stop_all(project: Project, loopback: Loopback) -> None:
    started = project.just("start-all")
    assert started.returncode == 0, started.stdout
    assert "Listening on 127.0.0.1:" in started.stdout
    assert "Logged in to Discord as" in started.stdout
    pids = [project.pid("bot"), project.pid("agent")]

    status = project.just("status")
    assert status.returncode == 0, status.stdout
    assert re.search(rf"^bot +up +{pids[0]} +0:00:\d\d +\d+ MB +logged in to Discord", status.stdout, re.MULTILINE)
    assert re.search(rf"^agent +up +{pids[1]} +0:00:\d\d +\d+ MB +answers at .*/src; commands", status.stdout, re.M)
    assert re.search(r"^models +there .*embedded, \d+ MB on disk: silero", status.stdout, re.MULTILINE)

    second = project.just("discord-start-bg")
    assert second.returncode != 0
    assert f"The Discord bot runs already: process {pids[0]}" in second.stdout
    assert [project.pid("bot"), project.pid("agent")] == pids
    (project.folder / "src" / "note.txt").write_text("read through both\n", encoding="utf-8")
    loopback.say(world.OWNER, "!read note.txt")
    loopback.wait_for_text("read through both")

    loopback.say(world.OWNER, f"<@{world.BOT}> What is a zebrafish? One word.")
    end = time.monotonic() + 30
    while "answered" not in (text := project.log()) and time.monotonic() < end:
        time.sleep(0.1)
    lines = [json.loads(line) for line in text.splitlines()]
    assert {"text-1"} <= {line.get("turn") for line in lines if line["message"] == "answered"}
    assert "zebrafish" not in text, "what people write is logged at DEBUG alone"
    assert not any(secret in text for secret in SECRETS)

    kill(pids[1])
    status = project.just("status")
    assert status.returncode != 0
    assert f"the pid file names process {pids[1]}, which has ended" in status.stdout
    again = project.just("backend-start")
    assert again.returncode == 0, again.stdout
    assert "which has ended; starting anew" in again.stdout
    assert "Listening on" in project.just("backend-logs").stdout

    pids[1] = project.pid("agent")
    stopped = project.just("stop-all")
    assert stopped.returncode == 0
    assert stopped.stdout.count("ended in order") == 2, stopped.stdout
    assert all(map(gone, pids))
    assert project.just("status").returncode != 0
    cleaned = project.just("clean-logs")
    assert re.search(r"[2-9] logs removed", cleaned.stdout), cleaned.stdout
    assert not list((project.folder / "logs").glob("*.log"))
    assert (project.folder / "logs" / "conversations.db").exists()
