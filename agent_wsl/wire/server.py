"""Listens, lets in who has the key, and serves each connection on a thread of its own."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from agent_wsl.config import ListenSettings
from agent_wsl.envelope import MAX_REQUEST
from agent_wsl.errors import ListenError
from agent_wsl.wire import handshake, tls
from agent_wsl.wire.channel import BoundedChannel, TimedStream
from agent_wsl.wire.connection import CONFIG, Dispatch, HardenedConnection, Surface
from agent_wsl.wire.gate import Gate
from agent_wsl.worker import spawn

HANDSHAKE_S = 5.0
"""For all of it, TLS included; a slowed address has its delay on top."""
PENDING = 64
"""Connections that have not shown the key yet. One more pushes the oldest out, so that a flood locks nobody out."""
TICK_S = 0.25
log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Pending:
    sock: socket.socket
    deadline: float
    dropped: threading.Event = field(default_factory=threading.Event)
    """Wakes a thread that makes a slowed address wait: what was pushed out must not keep a thread and a descriptor."""

    def drop(self) -> None:
        self.dropped.set()
        _shut(self.sock)


class Server:
    def __init__(
        self, settings: ListenSettings, key: bytes, dispatch: Dispatch, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings = settings
        self._key = key
        self._dispatch = dispatch
        self._clock = clock
        self._gate = Gate(clock)
        self._context = tls.agent_side(settings.tls) if settings.tls else None
        self._lock = threading.Lock()
        self._pending: dict[int, _Pending] = {}
        self._serving: set[socket.socket] = set()
        self._stop = threading.Event()
        self._listener: socket.socket | None = None

    def listen(self) -> int:
        """The port. Raises ListenError."""
        host, port = self._settings.host, self._settings.port
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            self._listener = socket.create_server((host, port), family=family, backlog=128)
        except OSError as error:
            raise ListenError(
                f"{host} port {port} cannot be listened on ({os.strerror(error.errno or 0)}): "
                "another agent may be running; end it, or set PORT to another number."
            ) from None
        self._listener.settimeout(TICK_S)
        return int(self._listener.getsockname()[1])

    def serve(self) -> None:
        """Until `close`."""
        listener = self._listener
        while listener and not self._stop.is_set():
            self._drop_slow()
            try:
                sock, address = listener.accept()
            except TimeoutError:
                continue
            except OSError as error:
                # Out of descriptors, most likely: those in use will come free.
                if not self._stop.is_set():
                    log.warning("A connection could not be accepted: %s.", error)
                self._stop.wait(TICK_S)
                continue
            self._start(sock, str(address[0]))

    def end(self) -> None:
        """`serve` returns. Safe in a signal handler."""
        self._stop.set()

    def close(self) -> None:
        self._stop.set()
        if self._listener:
            self._listener.close()
        with self._lock:
            pending, serving = list(self._pending.values()), list(self._serving)
        for waiting in pending:
            waiting.drop()
        for sock in serving:
            _shut(sock)

    def _start(self, sock: socket.socket, address: str) -> None:
        delay = self._gate.delay(address)
        waiting = _Pending(sock, self._clock() + HANDSHAKE_S + delay)
        with self._lock:
            if len(self._pending) >= PENDING:
                self._pending.pop(next(iter(self._pending))).drop()
            self._pending[id(sock)] = waiting
        try:
            spawn("connection", self._admit_and_serve, sock, address, delay, waiting.dropped)
        except RuntimeError as error:
            # No threads left, most likely: those in use will end.
            log.warning("A connection could not be served: %s.", error)
            with self._lock:
                self._pending.pop(id(sock), None)
            sock.close()
            self._stop.wait(TICK_S)

    def _drop_slow(self) -> None:
        now = self._clock()
        with self._lock:
            slow = [key for key, waiting in self._pending.items() if waiting.deadline < now]
            for key in slow:
                self._pending.pop(key).drop()

    def _admit_and_serve(self, sock: socket.socket, address: str, delay: float, dropped: threading.Event) -> None:
        key = id(sock)
        try:
            if delay and dropped.wait(delay):
                raise handshake.Vanished("it was pushed out while it waited.")
            sock.settimeout(HANDSHAKE_S)
            _keep_alive(sock)
            if self._context:
                sock = self._context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
                self._pending_is(key, sock)
                sock.do_handshake()
            self._admit(sock, address)
        except (handshake.HandshakeError, OSError) as error:
            log.info("%s was not let in: %s", address, error)
            sock.close()
            return
        finally:
            with self._lock:
                self._pending.pop(key, None)
        self._serve(sock)

    def _pending_is(self, key: int, sock: socket.socket) -> None:
        """TLS has taken over the descriptor: the new socket is the one to shut."""
        with self._lock:
            if key in self._pending:
                self._pending[key].sock = sock

    def _admit(self, sock: socket.socket, address: str) -> None:
        try:
            answer = handshake.challenge(sock, self._key)
        except handshake.WrongKey:
            self._gate.failed(address)
            handshake.refuse(sock, handshake.WRONG_KEY)
            raise
        self._gate.passed(address)
        with self._lock:
            full = len(self._serving) >= self._settings.connections or self._stop.is_set()
            if not full:
                self._serving.add(sock)
        if full:
            handshake.refuse(sock, handshake.BUSY)
            raise handshake.TooBusy("all connections are taken.")
        try:
            handshake.welcome(sock, answer)
        except handshake.HandshakeError:
            with self._lock:
                self._serving.discard(sock)
            raise

    def _serve(self, sock: socket.socket) -> None:
        channel = BoundedChannel(TimedStream(sock), MAX_REQUEST)
        connection = HardenedConnection(Surface(self._dispatch), channel, CONFIG)
        try:
            connection.serve_all()
        except Exception as error:
            # Whatever a peer sends that RPyC cannot read ends its connection, and nothing else.
            log.info("A connection was ended: %s: %s", type(error).__name__, str(error)[:200])
        finally:
            with self._lock:
                self._serving.discard(sock)
            connection.close()
            sock.close()


def _shut(sock: socket.socket) -> None:
    """Wakes the thread that waits on it; that thread closes it."""
    with contextlib.suppress(OSError):
        socket.socket.shutdown(sock, socket.SHUT_RDWR)


def _keep_alive(sock: socket.socket) -> None:
    """A peer that vanished without a word (a PC put to sleep) is noticed within about two minutes."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4)):
        if hasattr(socket, option):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
