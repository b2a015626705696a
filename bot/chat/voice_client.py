"""py-cord's voice connection with the repairs that 2.8.1 needs. Imports py-cord.

What is wrong there, and is right here:
- somebody who has spoken leaves, an exception ends the reading of the voice websocket, a minute later the call is dead;
- tasks are made from the socket's thread, which does not wake the loop: joining takes up to five seconds;
- the socket's thread waits half a minute for a packet on a socket that has been replaced, and throws away answers that
  come before they are expected: in a silent channel a new connection is never made;
- an answer that comes when joining has been called off ends in an exception;
- whatever closes the websocket ends in waiting: here it ends in `lost`, and who holds the call connects anew.
"""

from __future__ import annotations

import asyncio
import logging
import select
import struct
from typing import Any

import discord
from discord.voice import VoiceClient
from discord.voice.enums import ConnectionFlowState
from discord.voice.gateway import VoiceWebSocket
from discord.voice.state import SocketEventReader, VoiceConnectionState

log = logging.getLogger(__name__)

SELECT_S = 0.1
"""How long the reader may wait on a socket that is no longer the one."""
BETWEEN_SOCKETS_S = 0.02
DISCOVERY = struct.Struct(">HHI64sH")
"""1 or 2 for question or answer, the length of what follows it, our stream, our address, our port."""
ASKED, ANSWERED, LENGTH = 1, 2, 70
NO_NEWS_S = 13.0
"""Heartbeats are answered every 5 s: after two missed answers the connection is dead."""
NEWS_LIMIT_S = 2.0
"""From the end of the old voice server until the gateway names the new one."""
MOVE_LIMIT_S = 6.0
"""The same, until the new one has been joined."""

REPLACED = 4014
"""Close code: the bot was moved to another server or channel, or thrown out."""
NO_ENCRYPTION = 4017
SILENT_DEATH = 0
"""No close code of Discord's: the connection simply gave no more news."""


class _Reader(SocketEventReader):
    """A thread of py-cord's, with its defects left out."""

    def _do_run(self) -> None:
        """Empties the socket all the time: in a lively channel it would else be full of voices when an answer comes."""
        while not self._end.is_set():
            try:
                socket = self.state.socket
                readable, _, _ = select.select([socket], [], [], SELECT_S)
                data = socket.recv(self.buffer_size) if readable else b""
            except (OSError, ValueError, TypeError):
                # Closed meanwhile, or not yet there.
                self._end.wait(BETWEEN_SOCKETS_S)
                continue
            if len(data) == DISCOVERY.size and int.from_bytes(data[:2]) == ANSWERED:
                self._hand_over(data)

    def _hand_over(self, data: bytes) -> None:
        for callback in tuple(self._callbacks):
            try:
                self.state.loop.call_soon_threadsafe(callback, data)
            except RuntimeError:
                # The loop has been closed: nobody waits any more.
                return


class _WebSocket(VoiceWebSocket):
    async def get_ip(self) -> tuple[str, int]:
        """Our address, as the voice server sees it."""
        answer: asyncio.Future[bytes] = self.loop.create_future()

        def take(data: bytes) -> None:
            if not answer.done():
                answer.set_result(data)

        state = self.state
        state.add_socket_listener(take)
        try:
            await self.loop.sock_sendall(state.socket, DISCOVERY.pack(ASKED, LENGTH, state.ssrc, b"", 0))
            _, _, _, address, port = DISCOVERY.unpack(await answer)
        finally:
            state.remove_socket_listener(take)
        return address.rstrip(b"\0").decode("ascii"), port


class _State(VoiceConnectionState):
    client: RepairedVoiceClient

    # The base makes its own reader in its constructor and starts it at once. That one is never kept here, so that only
    # one thread ever starts.
    @property
    def _socket_reader(self) -> SocketEventReader:
        return self._reader

    @_socket_reader.setter
    def _socket_reader(self, unused: SocketEventReader) -> None:
        self._reader = _Reader(self)

    async def _connect_websocket(self, resume: bool) -> VoiceWebSocket:
        seen = self.ws.seq_ack if self.ws else -1
        ws = await _WebSocket.from_state(self, resume=resume, hook=self.hook, seq_ack=seen)
        self.state = ConnectionFlowState.websocket_connected
        return ws

    async def _poll_ws(self, reconnect: bool) -> None:
        """Reads until the connection is lost for good."""
        while True:
            try:
                async with asyncio.timeout(NO_NEWS_S):
                    await self.ws.poll_event()
            except discord.ConnectionClosed as closed:
                if closed.code == REPLACED and await self._moved():
                    continue
                self.client.lose(closed.code)
                return
            except TimeoutError:
                self.client.lose(SILENT_DEATH)
                return
            except Exception:
                log.exception("a defect in the voice connection")
                self.client.lose(SILENT_DEATH)
                return

    async def _moved(self) -> bool:
        """Whether the call goes on, on another server or in another channel."""
        timeout, self.timeout = self.timeout, NEWS_LIMIT_S
        try:
            async with asyncio.timeout(MOVE_LIMIT_S):
                return bool(await self._potential_reconnect())
        except TimeoutError:
            return False
        finally:
            self.timeout = timeout


class RepairedVoiceClient(VoiceClient):
    """For `channel.connect(cls=RepairedVoiceClient, reconnect=False)`."""

    def __init__(self, client: discord.Client, channel: discord.abc.Connectable) -> None:
        super().__init__(client, channel)
        self.lost: asyncio.Future[int] = self.loop.create_future()
        """Done when the connection has ended without our doing: its close code, or SILENT_DEATH."""
        self.evicted: asyncio.Future[None] = self.loop.create_future()
        """Done when a person has thrown the bot out of the channel, at whatever stage of joining it was."""

    def create_connection_state(self) -> VoiceConnectionState:
        return _State(self, hook=self._recv_hook)

    def lose(self, code: int) -> None:
        if not self.lost.done():
            self.lost.set_result(code)

    @property
    def secured(self) -> bool:
        """Whether what is sent now can be heard by everybody in the channel: either it is not end-to-end encrypted, or
        the keys have been agreed on. False as well while the bot is alone there."""
        session = self._connection.dave_session
        return session is None or bool(session.ready)

    def _remove_ssrc(self, *, user_id: int) -> None:
        ssrc = self._id_to_ssrc.pop(user_id, None)
        if ssrc is not None:
            self._ssrc_to_id.pop(ssrc, None)

    def cleanup(self) -> None:
        super().cleanup()
        self.lose(REPLACED)

    async def disconnect(self, *, force: bool = False) -> None:
        self.stop()
        # Of a bot that was thrown out, Discord does not confirm that it is gone.
        await self._connection.disconnect(force=force, wait=not self.evicted.done())
        self.cleanup()

    async def on_voice_state_update(self, data: Any) -> None:
        state = self._connection
        if data.channel_id is None and not state._expecting_disconnect:
            if not self.evicted.done():
                self.evicted.set_result(None)
            if not state.is_connected():
                # Whoever is joining calls it off. py-cord would tear the connection from under it, and yet wait on.
                self.lose(REPLACED)
                return
        await super().on_voice_state_update(data)
        if data.channel_id is None and state.state is ConnectionFlowState.disconnected:
            self.lose(REPLACED)
