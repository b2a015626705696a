"""The gateway of the loopback Discord, with the zlib stream that Discord uses."""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import Callable

from aiohttp import WSMsgType, web

from tests.discord import world
from tests.discord.world import Json


class Gateway:
    def __init__(self) -> None:
        self.identified: list[Json] = []
        self.close_after_identify = 0
        """A close code instead of READY."""
        self.invited = True
        """Whether the bot is in the server."""
        self.silent_goodbye = False
        """Whether the end of a connection is left unconfirmed."""
        self.closed_with: int | None = None
        """The bot's own close code, of the last connection."""
        self._socket: web.WebSocketResponse | None = None
        self._pack: Callable[[str], bytes] = str.encode
        self._sequence = 0

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(autoclose=not self.silent_goodbye)
        await socket.prepare(request)
        self._socket, self._sequence = socket, 0
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
        elif frame["op"] == 2:
            self.identified.append(frame["d"])
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
                await self.dispatch("GUILD_CREATE", world.guild())

    async def dispatch(self, name: str, data: Json) -> None:
        self._sequence += 1
        await self._send({"op": 0, "t": name, "s": self._sequence, "d": data})

    async def _send(self, frame: Json) -> None:
        assert self._socket is not None, "no bot is connected"
        await self._socket.send_bytes(self._pack(json.dumps(frame)))
