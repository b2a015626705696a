"""Who is there: a mutual challenge over the API key, before the first byte of RPyC. Standard library only.

    agent  -> client   MAGIC, 32 random bytes
    client -> agent    32 random bytes, HMAC-SHA256(key, "client" + both)
    agent  -> client   "+", HMAC-SHA256(key, "server" + both)   or   one other byte: why not

The key is derived from API_KEY and never travels. Both nonces are fresh, so nothing can be replayed; the labels differ,
so nothing can be reflected.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import socket
from functools import lru_cache

MAGIC = b"SIDETONE-AGENT/1\n"
NONCE = 32
PROOF = 32
WELCOME = b"+"
WRONG_KEY = b"-"
BUSY = b"!"


class HandshakeError(Exception):
    """The sentence says what the other side is or did."""


class WrongKey(HandshakeError):
    pass


class TooBusy(HandshakeError):
    pass


class Vanished(HandshakeError):
    """The peer left, or was too slow."""


@lru_cache(maxsize=4)
def derive(api_key: str) -> bytes:
    """32 bytes. Slow on purpose (about 50 ms), so that a recorded handshake does not give away a weak key cheaply."""
    return hashlib.scrypt(api_key.encode(), salt=b"sidetone-agent-1", n=1 << 14, r=8, p=1, dklen=PROOF)


def proof(key: bytes, role: bytes, server_nonce: bytes, client_nonce: bytes) -> bytes:
    return hmac.digest(key, MAGIC + role + server_nonce + client_nonce, "sha256")


def challenge(sock: socket.socket, key: bytes) -> bytes:
    """The agent's first half. The answer that `welcome` sends; raises WrongKey, Vanished."""
    server_nonce = os.urandom(NONCE)
    _send(sock, MAGIC + server_nonce)
    answer = receive(sock, NONCE + PROOF)
    client_nonce = answer[:NONCE]
    if not hmac.compare_digest(answer[NONCE:], proof(key, b"client", server_nonce, client_nonce)):
        raise WrongKey("the peer does not have the API key.")
    return WELCOME + proof(key, b"server", server_nonce, client_nonce)


def refuse(sock: socket.socket, reason: bytes) -> None:
    _send(sock, reason)


def welcome(sock: socket.socket, answer: bytes) -> None:
    _send(sock, answer)


def respond(sock: socket.socket, key: bytes) -> None:
    """The client's side. Raises WrongKey, TooBusy, Vanished, or HandshakeError when the peer is no agent."""
    greeting = receive(sock, len(MAGIC) + NONCE)
    if not greeting.startswith(MAGIC):
        raise HandshakeError("what answers there is no Sidetone agent of this version.")
    server_nonce, client_nonce = greeting[len(MAGIC) :], os.urandom(NONCE)
    _send(sock, client_nonce + proof(key, b"client", server_nonce, client_nonce))
    verdict = receive(sock, 1)
    if verdict == BUSY:
        raise TooBusy("the agent has all the connections it takes.")
    if verdict != WELCOME:
        raise WrongKey("the agent has another API_KEY: it must be the same in both .env files.")
    if not hmac.compare_digest(receive(sock, PROOF), proof(key, b"server", server_nonce, client_nonce)):
        raise WrongKey("what answers there does not have the API_KEY, so it is not your agent.")


def receive(sock: socket.socket, count: int) -> bytes:
    """Exactly `count` bytes; the socket's time-out is per piece, the overall one is the caller's business."""
    data = b""
    while len(data) < count:
        try:
            piece = sock.recv(count - len(data))
        except OSError as error:
            raise Vanished(f"the connection broke during the handshake ({error}).") from None
        if not piece:
            raise Vanished("the peer closed the connection during the handshake.")
        data += piece
    return data


def _send(sock: socket.socket, data: bytes) -> None:
    try:
        sock.sendall(data)
    except OSError as error:
        raise Vanished(f"the connection broke during the handshake ({error}).") from None
