"""The loopback Discord and the bot's process."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.discord import world
from tests.discord.loopback import Loopback

PROJECT = Path(__file__).resolve().parents[2]
LAUNCH = ("-m", "tests.discord.launch")


class BotProcess:
    """The real bot as a child. What it prints is kept."""

    OPTIONS: tuple[str, ...] = ("-X", "dev")
    """Of Python: its development mode finds what was left open. Benches do without."""

    def __init__(self, loopback: Loopback, *command: str, **environment: str) -> None:
        wanted = {
            "DISCORD_TOKEN": world.TOKEN,
            "DISCORD_PROXY": f"http://127.0.0.1:{loopback.proxy_port}",
            "SSL_CERT_FILE": str(loopback.authority.root),
            "DISCORD_HISTORY": "off",
            "DISCORD_COMMANDS_PER_MINUTE": "0",
            "DISCORD_QUESTIONS_PER_MINUTE": "0",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONUNBUFFERED": "1",
        }
        self.lines: list[str] = []
        self._child = subprocess.Popen(
            [sys.executable, *self.OPTIONS, *(command or LAUNCH)],
            cwd=PROJECT,
            env={**os.environ, **wanted, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    @property
    def running(self) -> bool:
        return self._child.poll() is None

    def threads(self) -> int:
        return psutil.Process(self._child.pid).num_threads()

    def sockets(self) -> int:
        return len(psutil.Process(self._child.pid).net_connections(kind="inet"))

    def signal(self, number: int) -> None:
        self._child.send_signal(number)

    def wait(self, limit_s: float = 10.0) -> int:
        """The exit code."""
        code = self._child.wait(limit_s)
        self._reader.join(5)
        return code

    def kill(self) -> None:
        if self.running:
            self._child.kill()
        self.wait()

    def _read(self) -> None:
        assert self._child.stdout is not None
        with self._child.stdout:
            for line in self._child.stdout:
                self.lines.append(line.rstrip("\n"))


@pytest.fixture(scope="module")
def loopback(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loopback]:
    server = Loopback(tmp_path_factory.mktemp("discord"))
    server.start()
    yield server
    server.stop()


def log_in(loopback: Loopback, *command: str, limit_s: float = 20.0, **environment: str) -> BotProcess:
    bot = BotProcess(loopback, *command, **environment)
    try:
        loopback.wait("the log-in", lambda: "Logged in to Discord" in bot.output or not bot.running, limit_s)
        assert bot.running, bot.output
        # Discord knows the commands before the bot says that it is ready, or soon after.
        loopback.wait("the slash commands", lambda: "ask" in loopback.rest.commands)
    except AssertionError:
        bot.kill()
        raise
    return bot
