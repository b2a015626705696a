"""Who listens in the voice channel: RTP, DAVE (with Discord's own libdave) and Opus, back to sound."""

from __future__ import annotations

import asyncio
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


class Member:
    """Another member of an end-to-end encrypted group, in one connection of the bot's."""

    def __init__(self, user: int, channel: int, sender: ExternalSender) -> None:
        self.user = user
        self.tries: list[tuple[float, bool]] = []
        """When a frame came in, and whether it could be decrypted."""
        self._session = dave.Session()
        self._session.init(1, channel, str(user), dave.SignatureKeyPair.generate(1))
        self._session.set_external_sender(sender.package())
        self._decryptor = dave.Decryptor()

    def key_package(self) -> bytes:
        package = self._session.get_marshalled_key_package()
        assert package
        return package

    def propose(self, proposals: bytes, members: set[str]) -> None:
        self._session.process_proposals(proposals, members)

    def join(self, welcome: bytes, members: set[str]) -> None:
        assert self._session.process_welcome(welcome, members), "libdave refuses the Welcome"
        self._listen()

    def commit(self, commit: bytes) -> None:
        assert isinstance(self._session.process_commit(commit), dict), "libdave refuses the commit"
        self._listen()

    def decrypt(self, frame: bytes) -> bytes | None:
        clear = self._decryptor.decrypt(dave.MediaType.audio, frame)
        self.tries.append((time.monotonic(), clear is not None))
        return clear

    def _listen(self) -> None:
        ratchet = self._session.get_key_ratchet(str(world.BOT))
        assert ratchet
        self._decryptor.transition_to_key_ratchet(ratchet)


class Dave:
    """The group in one connection of the bot's: the bot, the owner, and who comes and goes."""

    def __init__(self, channel: int, sender: ExternalSender) -> None:
        self._sender = sender
        self._channel = channel
        self._owner = Member(world.OWNER, channel, sender)
        self.members: list[Member] = []
        """In the order of the tree, behind the bot."""
        self.changed = asyncio.Event()
        """Set by each commit."""
        self._newcomer: Member | None = self._owner
        self._epoch = 0

    @property
    def transition(self) -> int:
        """Number of the change that the last commit made; the first takes effect at once."""
        return self._epoch - 1

    def proposal(self) -> bytes:
        return self._sender.add(self._owner.key_package(), self._channel)

    def invite(self, user: int) -> bytes:
        """Op 27."""
        self._newcomer = Member(user, self._channel, self._sender)
        return self._proposed(self._sender.add(self._newcomer.key_package(), self._channel, self._epoch))

    def dismiss(self, user: int) -> bytes:
        """Op 27 for the last who came."""
        gone = self.members.pop()
        assert gone.user == user
        return self._proposed(self._sender.remove(len(self.members) + 1, self._channel, self._epoch))

    def committed(self, data: bytes) -> bytes:
        """Takes op 28 of the bot; gives the commit for op 29."""
        commit, newcomer = data, self._newcomer
        if newcomer:
            commit, welcome = welcome_in(data)
        for member in self.members:
            member.commit(commit)
        if newcomer:
            newcomer.join(welcome, self._users({str(newcomer.user)}))
            self.members.append(newcomer)
            self._newcomer = None
        self._epoch += 1
        self.changed.set()
        return commit

    def decrypt(self, frame: bytes) -> bytes | None:
        """As the owner hears it."""
        heard = [member.decrypt(frame) for member in self.members]
        return heard[0] if heard else None

    def _proposed(self, proposals: bytes) -> bytes:
        more = {str(self._newcomer.user)} if self._newcomer else set()
        for member in self.members:
            member.propose(proposals, self._users(more))
        return proposals

    def _users(self, more: set[str]) -> set[str]:
        return {str(world.BOT), *(str(member.user) for member in self.members)} | more


class Listener:
    """`secret` is the transport's key."""

    def __init__(self, secret: bytes, group: Dave | None) -> None:
        self._box = Aead(secret)
        self._group = group
        self._decoder = Decoder()
        self.heard: list[Heard] = []
        self.unreadable = 0
        """Packets that could not be decrypted."""
        self.last_encrypted = b""
        """As DAVE has it."""

    def feed(self, packet: bytes) -> None:
        now = time.monotonic()
        header, nonce = packet[:HEADER], packet[-NONCE:]
        assert header[:2] == b"\x80\x78", "no RTP of Discord's kind"
        frame = self._box.decrypt(packet[HEADER:-NONCE], header, nonce + bytes(24 - NONCE))
        opus, encrypted = frame, False
        if self._group and frame != SILENCE:
            self.last_encrypted = frame
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
