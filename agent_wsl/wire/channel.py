"""RPyC's channel with bounds: frames of limited size, that must arrive and leave in limited time. Both sides use it."""

from __future__ import annotations

import socket
import ssl
import time
import zlib
from collections.abc import Callable
from typing import Any

from rpyc.core.channel import Channel
from rpyc.core.stream import SocketStream

FRAME_S = 10.0
"""From a frame's first byte to its last, in either direction."""


class FrameError(EOFError):
    """RPyC ends a connection on EOFError."""


class TimedStream(SocketStream):  # type: ignore[misc]  # rpyc has no types
    """A read or write that takes longer than FRAME_S ends the connection: a slow peer must not hold a thread."""

    __slots__ = ("_clock",)

    def __init__(self, sock: socket.socket, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(sock)
        self._clock = clock

    def read(self, count: int) -> bytes:
        return self.read_until(count, self._clock() + FRAME_S)

    def read_until(self, count: int, deadline: float) -> bytes:
        pieces = []
        while count > 0:
            try:
                self.sock.settimeout(max(0.001, deadline - self._clock()))
                piece = self.sock.recv(min(count, 1 << 20))
            except OSError as error:
                self.close()
                raise FrameError(f"no whole frame arrived: {error}") from None
            if not piece:
                self.close()
                raise EOFError("connection closed by peer")
            pieces.append(piece)
            count -= len(piece)
        return b"".join(pieces)

    def write(self, data: bytes) -> None:
        try:
            self.sock.settimeout(FRAME_S)
            self.sock.sendall(data)
        except OSError as error:
            self.close()
            raise FrameError(f"the peer does not take the answer: {error}") from None

    def poll(self, timeout: Any) -> bool:
        # What TLS has already decrypted is not seen by select.
        if isinstance(self.sock, ssl.SSLSocket) and self.sock.pending():
            return True
        return bool(super().poll(timeout))


class BoundedChannel(Channel):  # type: ignore[misc]
    """Refuses a frame by its announced size, before any of it is read; sends uncompressed.

    On loopback compression costs more than it saves (1 MiB there and back: docs/agent.md has the figures).
    """

    __slots__ = ("_clock", "_largest")

    def __init__(self, stream: TimedStream, largest: int, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(stream, compress=False)
        self._largest = largest
        self._clock = clock

    def recv(self) -> bytes:
        deadline = self._clock() + FRAME_S
        length, compressed = self.FRAME_HEADER.unpack(self.stream.read_until(self.FRAME_HEADER.size, deadline))
        if length > self._largest:
            self._refuse(f"a frame of {length} bytes was announced; the limit is {self._largest}.")
        data: bytes = self.stream.read_until(length + len(self.FLUSHER), deadline)[: -len(self.FLUSHER)]
        return self._inflated(data) if compressed else data

    def _inflated(self, data: bytes) -> bytes:
        inflater = zlib.decompressobj()
        try:
            whole = inflater.decompress(data, self._largest)
        except zlib.error as error:
            self._refuse(f"a compressed frame cannot be read: {error}")
        if inflater.unconsumed_tail:
            self._refuse(f"a compressed frame is larger than {self._largest} bytes.")
        return whole

    def _refuse(self, reason: str) -> None:
        self.stream.close()
        raise FrameError(reason)
