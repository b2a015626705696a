"""The real `python -m agent_wsl` in a process of its own, and ways to talk to it."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from agent_wsl.client import AgentConnection, connect
from agent_wsl.envelope import Call
from agent_wsl.errors import Refusal
from agent_wsl.protocol import Hello
from agent_wsl.wire import handshake

PROJECT = Path(__file__).parents[2]
KEY = "a-key-for-tests-0123456789abcdef"
R = TypeVar("R")


@dataclass
class AgentProcess:
    process: subprocess.Popen[str]
    root: Path
    """The first allowed directory."""
    other: Path
    """The second."""
    outside: Path
    """A directory beside them that is not allowed; `secret.txt` in it says SECRET."""
    state: Path
    port: int
    line: str
    """What it printed when it was ready."""

    def connect(self, **options: Any) -> AgentConnection:
        return connect("127.0.0.1", self.port, KEY, **options)

    def call(self, call: Call[R], user: str = "tester", deadline_s: float = 60) -> R:
        with self.connect() as connection:
            return connection.call(user, call, deadline_s)

    def refused(self, call: Call[Any], user: str = "tester") -> Refusal:
        """The refusal; fails when there is none, and when the agent does not answer afterwards."""
        try:
            result = self.call(call, user)
        except Refusal as refusal:
            self.is_alive()
            return refusal
        raise AssertionError(f"not refused: {result!r}")

    def is_alive(self) -> None:
        assert self.process.poll() is None, f"the agent ended with {self.process.returncode}"
        assert self.call(Hello()).version == 1

    def raw(self, authenticated: bool = True) -> socket.socket:
        """A socket on which the next byte is RPyC's, or the handshake's."""
        sock = socket.create_connection(("127.0.0.1", self.port), 20)
        if authenticated:
            handshake.respond(sock, handshake.derive(KEY))
        return sock

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(5)


def environment(root: Path, other: Path, state: Path, **settings: str) -> dict[str, str]:
    base = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "OPENBLAS_CORETYPE") if name in os.environ}
    return {
        **base,
        "PYTHONPATH": str(PROJECT),
        "API_KEY": KEY,
        "ALLOWED_DIRECTORIES": f"{root}:{other}",
        "WATCH_DIRECTORIES": "",
        "AGENT_STATE_DIR": str(state),
        "RATE_LIMIT_PER_MINUTE": "1000000",
        "JOB_FREE_DISK_MB": "64",
        "LOG_LEVEL": "info",
        "AGENT_BIND": "127.0.0.1",
        "AGENT_TLS_DIR": "",
        **settings,
    }


@contextmanager
def running(folder: Path, port: int = 0, **settings: str) -> Iterator[AgentProcess]:
    """An agent with its own two roots under `folder`. `settings` are added to its environment."""
    root, other, outside, state = (folder / name for name in ("allowed", "other", "outside", "state"))
    for path in (root, other, outside):
        path.mkdir(exist_ok=True)
    (outside / "secret.txt").write_text("SECRET\n", encoding="utf-8")
    errors = folder / "stderr.txt"
    with errors.open("w", encoding="utf-8") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "agent_wsl", "--port", str(port)],
            env=environment(root, other, state, **settings),
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
    try:
        assert process.stdout
        line = process.stdout.readline()
        found = re.match(r"Listening on \S+:(\d+)[;,]", line)
        assert found, f"the agent said {line!r} and {errors.read_text(encoding='utf-8')!r}"
        yield AgentProcess(process, root, other, outside, state, int(found[1]), line)
        # A defect is logged, and answered with a reference; no test may cause one.
        log = errors.read_text(encoding="utf-8", errors="replace")
        assert "A defect in" not in log and "Traceback" not in log, log[-5000:]
    finally:
        process.terminate()
        try:
            process.wait(6)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        if process.stdout:
            process.stdout.close()
