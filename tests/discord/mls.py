"""What the voice server says in MLS (RFC 9420, cipher suite 2): it may add members to a group."""

from __future__ import annotations

import struct

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

MLS10 = PUBLIC_MESSAGE = BASIC_CREDENTIAL = ADD = 1
EXTERNAL = PROPOSAL = 2
REMOVE = 3
APPEND = 0


def vector(data: bytes) -> bytes:
    """Length-prefixed, as MLS writes it: one, two or four bytes of length."""
    size = len(data)
    if size < 1 << 6:
        return bytes([size]) + data
    return (struct.pack(">H", size | 1 << 14) if size < 1 << 14 else struct.pack(">I", size | 1 << 31)) + data


def after_vector(data: bytes, at: int) -> int:
    """Where the vector that begins at `at` ends; beyond the data when there is none."""
    if at >= len(data):
        return len(data) + 1
    width = 1 << (data[at] >> 6)
    return at + width + (int.from_bytes(data[at : at + width]) & (1 << 8 * width - 2) - 1)


def welcome_in(commit_and_welcome: bytes) -> tuple[bytes, bytes]:
    """Cuts op 28: a Welcome is the suite and two vectors, and nothing comes after it."""
    for at in range(len(commit_and_welcome)):
        if commit_and_welcome[at : at + 2] == b"\0\2":
            end = after_vector(commit_and_welcome, after_vector(commit_and_welcome, at + 2))
            if end == len(commit_and_welcome):
                return commit_and_welcome[:at], commit_and_welcome[at:]
    raise AssertionError("the bot's commit brings no Welcome")


class ExternalSender:
    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())

    def package(self) -> bytes:
        """Op 25."""
        public = self._key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        return vector(public) + struct.pack(">H", BASIC_CREDENTIAL) + vector(b"loopback")

    def add(self, key_package: bytes, group: int, epoch: int = 0) -> bytes:
        """Op 27: the proposal to add the owner of `key_package` to a group."""
        return self._proposal(struct.pack(">H", ADD) + key_package, group, epoch)

    def remove(self, leaf: int, group: int, epoch: int) -> bytes:
        """Op 27: the proposal to remove a member, by its place in the tree."""
        return self._proposal(struct.pack(">HI", REMOVE, leaf), group, epoch)

    def _proposal(self, proposal: bytes, group: int, epoch: int) -> bytes:
        sender = struct.pack(">BI", EXTERNAL, 0)
        content = vector(struct.pack(">Q", group)) + struct.pack(">Q", epoch) + sender + vector(b"")
        content += bytes([PROPOSAL]) + proposal
        message = struct.pack(">HH", MLS10, PUBLIC_MESSAGE) + content
        to_sign = vector(b"MLS 1.0 FramedContentTBS") + vector(message)
        signature = self._key.sign(to_sign, ec.ECDSA(hashes.SHA256()))
        return bytes([APPEND]) + vector(message + vector(signature))
