"""Composition root of the agent: builds the rooms, wires the calls, owns the orderly end."""

from __future__ import annotations

import logging
import shlex
import threading
import time
from collections.abc import Callable

from agent_wsl import envelope, protocol
from agent_wsl.audit import Audit
from agent_wsl.config import Settings
from agent_wsl.envelope import ErrorCode
from agent_wsl.errors import AgentFailure, Refusal
from agent_wsl.files.reading import Files
from agent_wsl.files.root import Roots
from agent_wsl.files.search import Searcher
from agent_wsl.jobs.approvals import Approvals
from agent_wsl.jobs.board import JobBoard
from agent_wsl.jobs.brakes import brakes, sweep
from agent_wsl.limits import RateLimits
from agent_wsl.sandbox.confine import Sandbox
from agent_wsl.sandbox.selftest import run_selftest
from agent_wsl.service import Dispatcher, Handler
from agent_wsl.watching.watcher import Watcher
from agent_wsl.wire import handshake
from agent_wsl.wire.server import Server

log = logging.getLogger(__name__)


class Agent:
    """Everything in its place, listening after `start`."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._started = clock()
        self._testing = threading.Lock()
        self._audit = Audit(settings.state / "audit.jsonl", [settings.api_key])
        hidden = [path.resolve() for path in (settings.state, settings.listen.tls) if path]
        self._roots = Roots(settings.files.roots, hidden=hidden)
        self.sandbox = Sandbox(settings.files.roots, settings.sandbox, settings.jobs, hidden=hidden)
        self._board = JobBoard(self._roots, self.sandbox, Approvals(clock), settings.jobs, settings.state)
        self._watcher = Watcher(self._roots, settings.watch)
        self._dispatcher = Dispatcher(self._handlers(), RateLimits(settings.rate_per_minute), self._audit, clock)
        self._server = Server(settings.listen, handshake.derive(settings.api_key), self._dispatcher, clock)

    def start(self) -> int:
        """The port. Raises StartupError. What is to be watched but cannot be is said in the log."""
        port = self._server.listen()
        sweep(self._settings.state)
        for path in self._settings.watch.paths:
            try:
                self._watcher.add(path)
            except AgentFailure as error:
                log.warning("WATCH_DIRECTORIES: %s", error)
        self._audit.write("agent", "start", f"port {port}", "ok", self._clock() - self._started)
        return port

    def serve(self) -> None:
        self._server.serve()

    def end(self) -> None:
        """From a signal handler: `serve` returns."""
        self._server.end()

    def close(self) -> None:
        self._dispatcher.stop()
        self._server.close()
        self._board.close()
        self._watcher.close()
        self.sandbox.close()
        self._audit.write("agent", "stop", "", "ok", self._clock() - self._started)
        self._audit.close()

    def _handlers(self) -> dict[str, Handler]:
        files = Files(self._roots, self._settings.files.max_file_size)
        searcher = Searcher(self._roots, self._settings.files.max_file_size)
        board, watcher = self._board, self._watcher
        return {
            "hello": lambda user, call: self._hello(),
            "read_file": lambda user, call: files.read(call),
            "list_dir": lambda user, call: files.list(call),
            "search": lambda user, call: searcher.search(call),
            "watch_add": lambda user, call: watcher.add(call.path),
            "watch_remove": lambda user, call: watcher.remove(call.path) or protocol.Done(),
            "watches": lambda user, call: watcher.watches(),
            "changes": lambda user, call: watcher.changes(call),
            "run": board.run,
            "job_status": board.status,
            "job_output": board.output,
            "job_kill": board.kill,
            "jobs": lambda user, call: board.jobs(user),
            "selftest": lambda user, call: self._selftest(),
        }

    def _selftest(self) -> protocol.SelftestResult:
        """One at a time: it takes as much of the machine as several commands."""
        if not self._testing.acquire(blocking=False):
            message = "A selftest is going on already; ask again when it has ended."
            raise Refusal(ErrorCode.BUSY, message, retry_after_s=30)
        settings = self._settings
        try:
            return run_selftest(self.sandbox, brakes(settings.jobs, settings.sandbox, settings.state))
        finally:
            self._testing.release()

    def _hello(self) -> protocol.HelloResult:
        settings = self._settings
        return protocol.HelloResult(
            version=envelope.VERSION,
            roots=tuple(map(str, settings.files.roots)),
            limits=protocol.Limits(
                max_file_size=settings.files.max_file_size,
                rate_per_minute=settings.rate_per_minute,
                jobs_at_once=settings.jobs.at_once,
                job_timeout_s=settings.jobs.max_timeout_s,
                job_output=settings.jobs.output,
                job_memory=settings.jobs.memory,
                job_processes=settings.jobs.processes,
            ),
            sandbox=self.sandbox.state,
            allowed_commands=tuple(shlex.join(prefix) for prefix in settings.jobs.allowed),
            uptime_s=self._clock() - self._started,
        )
