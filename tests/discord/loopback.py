"""A small Discord on this computer: REST and gateway behind TLS and a proxy, in a thread of its own.

What a person would see is in `messages`; what a person does are the methods `say`, `slash` and `delete`.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
import zlib
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from aiohttp import WSMsgType, web

from tests.discord import world
from tests.discord.network import Authority, Proxy
from tests.discord.world import Json

T = TypeVar("T")


@dataclass
class Shown:
    """A message of the bot's."""

    raw: Json
    texts: list[str]
    """As posted, then after each edit."""
    times: list[float]
    """Monotonic seconds of the same."""
    payloads: list[Json]
    """What the bot sent, each time."""
    files: dict[str, bytes] = field(default_factory=dict)
    ephemeral: bool = False
    deleted: bool = False

    @property
    def text(self) -> str:
        return self.texts[-1]

    @property
    def replies_to(self) -> str:
        return str((self.payloads[0].get("message_reference") or {}).get("message_id", ""))


class Loopback:
    def __init__(self, folder: Path) -> None:
        self.authority = Authority(folder)
        self.messages: list[Shown] = []
        self.commands: dict[str, Json] = {}
        """Registered slash commands by name."""
        self.identified: list[Json] = []
        self.close_after_identify = 0
        """A gateway close code instead of READY."""
        self.invited = True
        """Whether the bot is in the server."""
        self.silent_goodbye = False
        """Whether the end of a connection is left unconfirmed."""
        self.closed_with: int | None = None
        """The bot's own close code, of the last connection."""
        self.proxy_port = 0
        self.proxy = Proxy(0)
        self._refuse_edits: list[float] = []
        self._originals: dict[str, Shown] = {}
        self._socket: web.WebSocketResponse | None = None
        self._pack: Callable[[str], bytes] = str.encode
        self._sequence = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="loopback-discord")

    def start(self) -> None:
        self._thread.start()
        self._call(self._start())

    def stop(self) -> None:
        self._call(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def say(self, author: int, text: str, channel: int = world.CHANNEL, reply_to: Shown | None = None) -> str:
        """Gives the id of the new message."""
        data = world.message(author, text, channel, reply_to=reply_to.raw if reply_to else None)
        self._call(self._dispatch("MESSAGE_CREATE", data))
        return str(data["id"])

    def slash(self, author: int, name: str, **options: str) -> None:
        self._call(self._dispatch("INTERACTION_CREATE", world.interaction(author, self.commands[name], options)))

    def delete(self, shown: Shown) -> None:
        shown.deleted = True

    def refuse_edits(self, *retry_after: float) -> None:
        """The next edits get a 429 each."""
        self._refuse_edits = list(retry_after)

    def wait(self, what: str, found: Callable[[], T | None], limit_s: float = 10.0) -> T:
        end = time.monotonic() + limit_s
        while time.monotonic() < end:
            if (result := found()) is not None and result is not False:
                return result
            time.sleep(0.02)
        shown = "\n".join(repr(each.text[:200]) for each in self.messages[-8:])
        raise AssertionError(f"did not see {what} within {limit_s:g} s; shown last:\n{shown}")

    def wait_for_text(self, text: str, limit_s: float = 10.0, after: int = 0) -> Shown:
        """A message from number `after` on whose newest version contains `text`."""
        return self.wait(
            repr(text), lambda: next((each for each in self.messages[after:] if text in each.text), None), limit_s
        )

    def _call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    async def _start(self) -> None:
        app = web.Application()
        api = "/api/v10"
        message = f"{api}/channels/{{channel}}/messages"
        app.router.add_get(f"{api}/users/@me", self._me)
        app.router.add_get(f"{api}/gateway", self._gateway_url)
        app.router.add_get(f"{api}/soundboard-default-sounds", self._nothing)
        app.router.add_get(f"{api}/applications/{{app}}/commands", self._nothing)
        app.router.add_put(f"{api}/applications/{{app}}/commands", self._register)
        app.router.add_post(message, self._post)
        app.router.add_patch(f"{message}/{{message}}", self._patch)
        app.router.add_post(f"{api}/interactions/{{id}}/{{token}}/callback", self._callback)
        app.router.add_post(f"{api}/webhooks/{{app}}/{{token}}", self._post)
        app.router.add_patch(f"{api}/webhooks/{{app}}/{{token}}/messages/{{message}}", self._patch)
        app.router.add_get("/", self._gateway)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self.authority.server)
        await site.start()
        self.proxy = Proxy(self._runner.addresses[0][1])
        self.proxy_port = await self.proxy.start()

    async def _stop(self) -> None:
        await self.proxy.stop()
        await self._runner.cleanup()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    # --- REST

    async def _me(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Bot {world.TOKEN}":
            return reply({"message": "401: Unauthorized", "code": 0}, 401)
        return reply(world.user(world.BOT))

    async def _gateway_url(self, request: web.Request) -> web.Response:
        return reply({"url": "wss://gateway.discord.gg"})

    async def _nothing(self, request: web.Request) -> web.Response:
        return reply([])

    async def _register(self, request: web.Request) -> web.Response:
        for command in await request.json():
            ids = {"id": str(world.snowflake()), "application_id": str(world.APPLICATION), "version": "1", "type": 1}
            self.commands[command["name"]] = {**command, **ids}
        return reply(list(self.commands.values()))

    async def _post(self, request: web.Request) -> web.Response:
        payload, files = await body(request)
        channel = int(request.match_info.get("channel", world.CHANNEL))
        return reply(self._show(payload, files, channel).raw)

    async def _callback(self, request: web.Request) -> web.Response:
        payload, files = await body(request)
        shown = self._show(payload.get("data") or {}, files, world.CHANNEL)
        self._originals[request.match_info["token"]] = shown
        resource = {"type": payload["type"], "message": shown.raw}
        return reply({"interaction": {"id": request.match_info["id"], "type": 2}, "resource": resource})

    async def _patch(self, request: web.Request) -> web.Response:
        payload, _ = await body(request)
        if self._refuse_edits:
            wait = self._refuse_edits.pop(0)
            limited = {"message": "You are being rate limited.", "retry_after": wait, "global": False}
            return reply(limited, 429, {"Via": "1.1 google"})
        wanted = request.match_info["message"]
        if wanted == "@original":
            shown = self._originals[request.match_info["token"]]
        else:
            shown = next(each for each in self.messages if each.raw["id"] == wanted)
        if shown.deleted:
            return reply({"message": "Unknown Message", "code": 10008}, 404)
        if too_long := refused(payload):
            return too_long
        shown.raw["content"] = payload["content"]
        shown.payloads.append(payload)
        shown.times.append(time.monotonic())
        shown.texts.append(payload["content"])
        return reply(shown.raw)

    def _show(self, payload: Json, files: dict[str, bytes], channel: int) -> Shown:
        raw = world.message(world.BOT, payload.get("content") or "", channel)
        shown = Shown(raw, [raw["content"]], [time.monotonic()], [payload], files)
        shown.ephemeral = bool((payload.get("flags") or 0) & 64)
        self.messages.append(shown)
        return shown

    # --- gateway

    async def _gateway(self, request: web.Request) -> web.WebSocketResponse:
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
            await self._dispatch("READY", ready)
            if self.invited:
                await self._dispatch("GUILD_CREATE", world.guild())

    async def _dispatch(self, name: str, data: Json) -> None:
        self._sequence += 1
        await self._send({"op": 0, "t": name, "s": self._sequence, "d": data})

    async def _send(self, frame: Json) -> None:
        assert self._socket is not None, "no bot is connected"
        await self._socket.send_bytes(self._pack(json.dumps(frame)))


def reply(data: object, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    # py-cord compares the type as a whole: no charset may follow.
    headers = {"Content-Type": "application/json", **(headers or {})}
    return web.Response(body=json.dumps(data).encode(), status=status, headers=headers)


def refused(payload: Json) -> web.Response | None:
    """What Discord says to a text that is empty or too long."""
    text = payload.get("content") or ""
    if text.strip() and len(text.encode("utf-16-le")) // 2 <= 2000:
        return None
    return reply({"message": "Invalid Form Body", "code": 50035}, 400)


async def body(request: web.Request) -> tuple[Json, dict[str, bytes]]:
    """The JSON of a request and its files by name."""
    if request.content_type == "application/json":
        return await request.json(), {}
    form = await request.post()
    files = {part.filename: part.file.read() for part in form.values() if isinstance(part, web.FileField)}
    return json.loads(str(form["payload_json"])), files
