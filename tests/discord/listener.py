"""Who listens in the voice channel: RTP, DAVE (with Discord's own libdave) and Opus, back to sound."""

from __future__ import annotations

import time
from dataclasses import dataclass

import dave
import numpy as np
from discord.opus import Decoder
from nacl.secret import Aead

from bot.events import Int16
from tests.discord import world
from tests.discord.mls import ExternalSender, welcome_in

HEADER = 12
NONCE = 4
SILENCE = b"\xf8\xff\xfe"
RATE = 48_000
AUDIBLE = 300
"""Steps of int16."""


@dataclass(frozen=True, slots=True)
class Heard:
    """20 ms that came in."""

    at: float
    """Monotonic seconds of its arrival."""
    sequence: int
    timestamp: int
    pcm: Int16
    """Left channel, 48 kHz; empty for the silence frame that ends a stretch of sound."""
    encrypted: bool
    """By DAVE."""

    @property
    def audible(self) -> bool:
        return len(self.pcm) > 0 and int(np.abs(self.pcm.astype(np.int32)).max()) > AUDIBLE


class Dave:
    """The other member of the end-to-end encrypted group, in one connection of the bot's."""

    def __init__(self, channel: int, sender: ExternalSender) -> None:
        self._sender = sender
        self._channel = channel
        self._session = dave.Session()
        self._session.init(1, channel, str(world.OWNER), dave.SignatureKeyPair.generate(1))
        self._session.set_external_sender(sender.package())
        self._decryptor: dave.Decryptor | None = None

    def proposal(self) -> bytes:
        package = self._session.get_marshalled_key_package()
        assert package
        return self._sender.add(package, self._channel)

    def committed(self, data: bytes) -> bytes:
        """Takes op 28 of the bot and joins; gives the commit for op 29."""
        commit, welcome = welcome_in(data)
        assert self._session.process_welcome(welcome, {str(world.OWNER), str(world.BOT)}), "libdave refuses the Welcome"
        ratchet = self._session.get_key_ratchet(str(world.BOT))
        assert ratchet
        self._decryptor = dave.Decryptor()
        self._decryptor.transition_to_key_ratchet(ratchet)
        return commit

    def decrypt(self, frame: bytes) -> bytes | None:
        return self._decryptor.decrypt(dave.MediaType.audio, frame) if self._decryptor else None


class Listener:
    """`secret` is the transport's key."""

    def __init__(self, secret: bytes, group: Dave | None) -> None:
        self._box = Aead(secret)
        self._group = group
        self._decoder = Decoder()
        self.heard: list[Heard] = []
        self.unreadable = 0
        """Packets that could not be decrypted."""

    def feed(self, packet: bytes) -> None:
        now = time.monotonic()
        header, nonce = packet[:HEADER], packet[-NONCE:]
        assert header[:2] == b"\x80\x78", "no RTP of Discord's kind"
        frame = self._box.decrypt(packet[HEADER:-NONCE], header, nonce + bytes(24 - NONCE))
        opus, encrypted = frame, False
        if self._group and frame != SILENCE:
            clear = self._group.decrypt(frame)
            if clear is None:
                self.unreadable += 1
                return
            opus, encrypted = clear, True
        pcm = np.zeros(0, np.int16)
        if opus != SILENCE:
            pcm = np.frombuffer(self._decoder.decode(opus, fec=False), np.int16)[::2].copy()
        sequence, timestamp = int.from_bytes(header[2:4]), int.from_bytes(header[4:8])
        self.heard.append(Heard(now, sequence, timestamp, pcm, encrypted))


def sound(heard: list[Heard]) -> Int16:
    """One after the other, 48 kHz."""
    return np.concatenate([each.pcm for each in heard]) if heard else np.zeros(0, np.int16)
