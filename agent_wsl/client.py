"""A blocking client of the agent: for scripts, and under the bot's asynchronous one. Needs rpyc alone.

with connect("127.0.0.1", 18861, api_key) as agent:
    print(agent.call("me", ReadFile("README.md")).text)
"""

from __future__ import annotations

import contextlib
import dataclasses
import socket
import ssl
from pathlib import Path
from typing import Any, TypeVar

import rpyc
from rpyc.core.async_ import AsyncResultTimeout
from rpyc.core.protocol import Connection

from agent_wsl import codec, envelope, protocol
from agent_wsl.envelope import Call, Reply, Request, WireError
from agent_wsl.errors import KeyRejected, Refusal, Unreachable
from agent_wsl.wire import handshake, tls
from agent_wsl.wire.channel import BoundedChannel, TimedStream
from agent_wsl.wire.connection import CONFIG

R = TypeVar("R")
HANDSHAKE_S = 20.0
"""The agent lets an address that has shown wrong keys wait for up to 8 s."""
CONNECT_S = 5.0
DEADLINE_S = 40.0
"""More than the longest deadline in the agent (30 s), so that it is the agent who says what happened."""


def connect(
    host: str,
    port: int,
    api_key: str,
    tls_folder: Path | None = None,
    timeout_s: float = HANDSHAKE_S,
    *,
    certified: str | None = None,
) -> AgentConnection:
    """`certified`: the name that the agent's certificate must have, where that is not `host`. Raises Unreachable
    (nobody there, no agent, wrong key, too busy) and Refusal(VERSION_MISMATCH)."""
    where = f"{host} port {port}"
    try:
        sock = socket.create_connection((host, port), min(timeout_s, CONNECT_S))
        sock.settimeout(timeout_s)
    except OSError as error:
        reason = error.strerror or str(error)
        raise Unreachable(f"No agent answers at {where} ({reason}): start it with `python -m agent_wsl`.") from None
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls_folder:
            sock = tls.client_side(tls_folder).wrap_socket(sock, server_hostname=certified or host)
        handshake.respond(sock, handshake.derive(api_key))
    except (handshake.WrongKey, ssl.SSLCertVerificationError) as error:
        sock.close()
        raise KeyRejected(f"The agent at {where} cannot be used: {error}") from None
    except (handshake.HandshakeError, OSError) as error:
        sock.close()
        raise Unreachable(f"The agent at {where} cannot be used: {error}") from None
    except BaseException:
        sock.close()
        raise
    channel = BoundedChannel(TimedStream(sock), envelope.MAX_REPLY)
    connection = AgentConnection(Connection(rpyc.VoidService(), channel, {**CONFIG, "close_catchall": True}), where)
    try:
        connection.call("hello", protocol.Hello())
    except BaseException:
        connection.close()
        raise
    return connection


class AgentConnection:
    """One call at a time. After Unreachable it is of no more use."""

    def __init__(self, connection: Connection, where: str) -> None:
        self._connection = connection
        self._where = where
        self._remote: Any = None

    def call(self, user: str, call: Call[R], deadline_s: float = DEADLINE_S) -> R:
        """Raises Refusal (the agent's answer is an error) and Unreachable (no answer, or none in time)."""
        payload = codec.encode(Request(user, _fields(call)))
        try:
            if self._remote is None:
                self._connection._config["sync_request_timeout"] = deadline_s
                self._remote = rpyc.async_(self._connection.root.call)
            pending = self._remote(call.NAME, payload)
            pending.set_expiry(deadline_s)
            reply = codec.decode(Reply, pending.value)
        except (AsyncResultTimeout, TimeoutError):
            self.close()
            raise Unreachable(f"The agent at {self._where} did not answer within {deadline_s:g} s.") from None
        except (EOFError, OSError, ReferenceError) as error:
            self.close()
            raise Unreachable(f"The connection to the agent at {self._where} broke during the call: {error}") from None
        except codec.InvalidMessage as error:
            self.close()
            raise Unreachable(f"The agent at {self._where} does not keep to the protocol: {error}") from None
        if reply.error:
            raise _refusal(reply.error)
        result: R = codec.build(call.RESULT, reply.ok)
        return result

    def stale(self) -> bool:
        """Between two calls: whether the agent has gone. It never speaks unasked, so something to read is the end."""
        try:
            return bool(self._connection._channel.poll(0))
        except (EOFError, OSError, ValueError):
            return True

    def abort(self) -> None:
        """From any thread: a call in progress ends with Unreachable."""
        with contextlib.suppress(Exception):
            socket.socket.shutdown(self._connection._channel.stream.sock, socket.SHUT_RDWR)

    def close(self) -> None:
        # Without RPyC's farewell, which would wait for an answer.
        with contextlib.suppress(Exception):
            self._connection._cleanup(_anyway=True)
        self._connection._closed = True

    def __enter__(self) -> AgentConnection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _fields(call: Call[Any]) -> dict[str, Any]:
    return {field.name: getattr(call, field.name) for field in dataclasses.fields(call)}


def _refusal(error: WireError) -> Refusal:
    return Refusal(error.code, error.message, retry_after_s=error.retry_after_s, approval=error.approval)
