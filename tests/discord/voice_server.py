"""Voice of the loopback Discord: websocket v8, UDP, DAVE; and what was heard."""

from __future__ import annotations

import asyncio
import json
import os
import struct
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

from aiohttp import WSMsgType, web

from tests.discord import world
from tests.discord.listener import Dave, Heard, Listener, Member
from tests.discord.mls import ExternalSender
from tests.discord.world import Json

MODE = "aead_xchacha20_poly1305_rtpsize"
DISCOVERY = struct.Struct(">HHI64sH")
BOT_SSRC, FIRST_SSRC = 7_001, 9_001
HEARTBEAT_MS = 2_000


@dataclass
class Connection:
    """One voice websocket of the bot's."""

    socket: web.WebSocketResponse
    host: str
    channel: int
    began: float
    """Monotonic seconds, as `described`."""
    listener: Listener | None = None
    group: Dave | None = None
    described: float = 0.0
    """When the bot got the keys."""
    sequence: int = 0
    acknowledged: int = -1
    speaking: list[tuple[float, int]] = field(default_factory=list)
    """When, and the flags, of each op 5."""
    closed_with: int | None = None
    """The bot's own close code."""
    dead: bool = False
    """Whether heartbeats remain unanswered."""

    async def send(self, op: int, data: Json) -> None:
        self.sequence += 1
        await self.socket.send_str(json.dumps({"op": op, "d": data, "seq": self.sequence}))

    async def send_binary(self, op: int, data: bytes) -> None:
        self.sequence += 1
        await self.socket.send_bytes(struct.pack(">HB", self.sequence, op) + data)


class VoiceServer:
    def __init__(self) -> None:
        self.dave = True
        """Whether the channel is end-to-end encrypted."""
        self.refuse_with = 0
        """A close code instead of READY."""
        self.crash_with = 0
        """A close code once, right after the keys."""
        self.on_stage: Callable[[str], Awaitable[None]] = _nothing
        """Told how far a connection has come: "hello", "identified", "described"."""
        self.connections: list[Connection] = []
        self.identified: list[Json] = []
        self.present: dict[int, int] = {}
        """Who is in which voice channel, besides the bot."""
        self.expected: Json = {}
        """Token and session that the gateway has told the bot."""
        self.bot_channel: int | None = None
        self.udp: asyncio.DatagramTransport
        self._sender = ExternalSender()

    @property
    def connection(self) -> Connection:
        return self.connections[-1]

    @property
    def heard(self) -> list[Heard]:
        """Over all connections."""
        return [each for one in self.connections if one.listener for each in one.listener.heard]

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self.udp, _ = await loop.create_datagram_endpoint(lambda: _Udp(self), local_addr=("127.0.0.1", 0))

    def stop(self) -> None:
        self.udp.close()

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        assert request.query["v"] == "8"
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        connection = Connection(socket, request.host, self.bot_channel or 0, time.monotonic())
        self.connections.append(connection)
        # Whoever was thrown out hangs up in the middle of things.
        with suppress(ConnectionResetError):
            await self._talk(connection)
        return socket

    async def _talk(self, connection: Connection) -> None:
        socket = connection.socket
        await self.on_stage("hello")
        await socket.send_str(json.dumps({"op": 8, "d": {"v": 8, "heartbeat_interval": HEARTBEAT_MS}}))
        while (frame := await socket.receive()).type in (WSMsgType.TEXT, WSMsgType.BINARY):
            if frame.type is WSMsgType.BINARY:
                await self._on_binary(connection, frame.data)
            else:
                message = json.loads(frame.data)
                await self._on_text(connection, message["op"], message["d"])
        connection.closed_with = frame.data if frame.type is WSMsgType.CLOSE else None

    async def _on_text(self, connection: Connection, op: int, data: Json) -> None:
        if op == 0:
            await self._identify(connection, data)
        elif op == 1:
            assert data["protocol"] == "udp"
            assert data["data"]["mode"] == MODE
            await self._describe(connection)
        elif op == 3:
            connection.acknowledged = data["seq_ack"]
            if not connection.dead:
                await connection.socket.send_str(json.dumps({"op": 6, "d": {"t": data["t"]}}))
        elif op == 5:
            connection.speaking.append((time.monotonic(), data["speaking"]))
        elif op == 7:
            await connection.send(9, {})
        elif op == 23:
            await connection.send(22, {"transition_id": data["transition_id"]})

    async def _identify(self, connection: Connection, data: Json) -> None:
        self.identified.append(data)
        code = self.refuse_with
        if {name: data[name] for name in self.expected} != self.expected:
            code = 4006
        elif self.dave and not data["max_dave_protocol_version"]:
            code = 4017
        if code:
            await connection.socket.close(code=code)
            return
        port = self.udp.get_extra_info("sockname")[1]
        modes = ["aead_aes256_gcm_rtpsize", MODE]
        await self.on_stage("identified")
        await connection.send(2, {"ssrc": BOT_SSRC, "ip": "127.0.0.1", "port": port, "modes": modes})

    async def _describe(self, connection: Connection) -> None:
        others = [user for user, channel in self.present.items() if channel == connection.channel]
        if self.dave and others:
            connection.group = Dave(connection.channel, self._sender)
        secret = os.urandom(32)
        connection.listener = Listener(secret, connection.group)
        keys = {"mode": MODE, "secret_key": list(secret), "dave_protocol_version": int(self.dave)}
        await connection.send(4, keys)
        connection.described = time.monotonic()
        await self.on_stage("described")
        if self.crash_with:
            code, self.crash_with = self.crash_with, 0
            await connection.socket.close(code=code)
            return
        await connection.send(11, {"user_ids": [str(user) for user in others]})
        if self.dave:
            await connection.send_binary(25, self._sender.package())

    async def _on_binary(self, connection: Connection, data: bytes) -> None:
        op, rest = data[0], data[1:]
        if connection.group is None:
            return
        if op == 26:
            await connection.send_binary(27, connection.group.proposal())
        elif op == 28:
            commit = connection.group.committed(rest)
            await connection.send_binary(29, struct.pack(">H", connection.group.transition) + commit)

    # What people and Discord do

    async def speaks(self, user: int) -> None:
        await self.connection.send(5, {"user_id": str(user), "ssrc": FIRST_SSRC + user % 10, "speaking": 1, "delay": 0})

    async def leaves(self, user: int) -> None:
        await self.connection.send(13, {"user_id": str(user)})

    async def joins_group(self, user: int) -> Member:
        """Somebody comes into the channel, and into its encrypted group."""
        group = self._group()
        await self.connection.send(11, {"user_ids": [str(user)]})
        await self.connection.send_binary(27, group.invite(user))
        await group.changed.wait()
        return group.members[-1]

    async def leaves_group(self, user: int) -> None:
        group = self._group()
        await self.leaves(user)
        await self.connection.send_binary(27, group.dismiss(user))
        await group.changed.wait()

    def _group(self) -> Dave:
        group = self.connection.group
        assert group
        group.changed.clear()
        return group

    async def crash(self, code: int) -> None:
        await self.connection.socket.close(code=code)

    def on_packet(self, data: bytes, address: tuple[str, int]) -> None:
        if len(data) == DISCOVERY.size and data[:2] == b"\0\1":
            ssrc = int.from_bytes(data[4:8])
            self.udp.sendto(DISCOVERY.pack(2, 70, ssrc, address[0].encode(), address[1]), address)
        elif self.connections and (listener := self.connection.listener):
            listener.feed(data)


async def _nothing(stage: str) -> None:
    return


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, server: VoiceServer) -> None:
        self._server = server

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._server.on_packet(data, addr)


def server_update(host: str, token: str) -> Json:
    return {"token": token, "guild_id": str(world.GUILD), "endpoint": f"{host}:443"}
