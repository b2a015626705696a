"""The gateway of the loopback Discord, with the zlib stream that Discord uses."""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import Callable

from aiohttp import WSMsgType, web

from tests.discord import world
from tests.discord.network import VOICE_HOSTS
from tests.discord.voice_server import VoiceServer, server_update
from tests.discord.world import Json


class Gateway:
    def __init__(self, voice: VoiceServer) -> None:
        self.voice = voice
        self.region = VOICE_HOSTS[0]
        """The voice server that the bot is sent to."""
        self.identified: list[Json] = []
        self.close_after_identify = 0
        """A close code instead of READY."""
        self.invited = True
        """Whether the bot is in the server."""
        self.silent_goodbye = False
        """Whether the end of a connection is left unconfirmed."""
        self.closed_with: int | None = None
        """The bot's own close code, of the last connection."""
        self.resumed = 0
        """How often a session was taken up again."""
        self.forgetful = False
        """Whether the next wish to resume is refused."""
        self._told: list[Json] = []
        """What was dispatched in this session."""
        self._socket: web.WebSocketResponse | None = None
        self._pack: Callable[[str], bytes] = str.encode
        self._sequence = 0

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(autoclose=not self.silent_goodbye)
        await socket.prepare(request)
        self._socket = socket
        if request.query.get("compress") == "zlib-stream":
            stream = zlib.compressobj()
            self._pack = lambda text: stream.compress(text.encode()) + stream.flush(zlib.Z_SYNC_FLUSH)
        await self._send({"op": 10, "d": {"heartbeat_interval": 5_000}})
        while (frame := await socket.receive()).type is WSMsgType.TEXT:
            await self._on_frame(json.loads(frame.data))
        # Not `socket.close_code`: that turns to 1006 when the bot has hung up before the answer to its goodbye is out.
        self.closed_with = frame.data if frame.type is WSMsgType.CLOSE else None
        if self.silent_goodbye:
            await asyncio.sleep(5)
        return socket

    async def _on_frame(self, frame: Json) -> None:
        if frame["op"] == 1:
            await self._send({"op": 11})
        elif frame["op"] == 6:
            await self._resume(frame["d"])
        elif frame["op"] == 2:
            self.identified.append(frame["d"])
            self._sequence, self._told = 0, []
            if self.close_after_identify:
                assert self._socket is not None
                await self._socket.close(code=self.close_after_identify, message=b"refused")
                return
            ready = {
                "v": 10,
                "user": world.user(world.BOT),
                "guilds": [{"id": str(world.GUILD), "unavailable": True}] * self.invited,
                "session_id": "a-session",
                "resume_gateway_url": "wss://gateway.discord.gg",
                "application": {"id": str(world.APPLICATION), "flags": 0},
            }
            await self.dispatch("READY", ready)
            if self.invited:
                present = [world.voice_state(*each, "theirs") for each in self.voice.present.items()]
                await self.dispatch("GUILD_CREATE", world.guild() | {"voice_states": present})
        elif frame["op"] == 4:
            channel = frame["d"]["channel_id"]
            await self.move_bot(channel and int(channel))

    async def _resume(self, wanted: Json) -> None:
        if self.forgetful:
            self.forgetful = False
            await self._send({"op": 9, "d": False})
            return
        assert wanted["session_id"] == "a-session"
        self.resumed += 1
        for frame in [each for each in self._told if each["s"] > wanted["seq"]]:
            await self._send(frame)
        await self.dispatch("RESUMED", {})

    async def hang_up(self, code: int | None = None) -> None:
        """Ends the connection, without a word when there is no `code`. What comes then is sent after it."""
        socket, self._socket = self._socket, None
        assert socket is not None
        if code is not None:
            await socket.close(code=code)
        elif socket._req is not None and socket._req.transport is not None:
            socket._req.transport.abort()

    async def ask_to_reconnect(self) -> None:
        await self._send({"op": 7, "d": None})

    async def move_bot(self, channel: int | None) -> None:
        """The bot's own wish, or a moderator's."""
        self.voice.bot_channel = channel
        session = f"voice-{world.snowflake()}"
        await self.dispatch("VOICE_STATE_UPDATE", world.voice_state(world.BOT, channel, session))
        if channel is not None:
            await self.voice.on_stage("seen")
            await self.update_voice_server(session)

    async def update_voice_server(self, session: str = "") -> None:
        """Sends the bot to `region`, with a fresh token."""
        token = f"token-{world.snowflake()}"
        told = {"token": token, "session_id": session or self.voice.expected["session_id"]}
        self.voice.expected = {**told, "user_id": str(world.BOT), "server_id": str(world.GUILD)}
        await self.dispatch("VOICE_SERVER_UPDATE", server_update(self.region, token))

    async def move(self, user: int, channel: int | None) -> None:
        """A person joins, moves, or leaves."""
        if channel is None:
            self.voice.present.pop(user, None)
        else:
            self.voice.present[user] = channel
        if self._socket is not None:
            await self.dispatch("VOICE_STATE_UPDATE", world.voice_state(user, channel, "theirs"))

    async def dispatch(self, name: str, data: Json) -> None:
        self._sequence += 1
        frame = {"op": 0, "t": name, "s": self._sequence, "d": data}
        self._told.append(frame)
        if self._socket is not None:
            await self._send(frame)

    async def _send(self, frame: Json) -> None:
        assert self._socket is not None, "no bot is connected"
        await self._socket.send_bytes(self._pack(json.dumps(frame)))
