"""A small Discord on this computer: REST and gateway behind TLS and a proxy, in a thread of its own.

What a person would see is in `messages`; what a person does are the methods `say` and `slash`.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from aiohttp import web

from tests.discord import world
from tests.discord.gateway import Gateway
from tests.discord.network import VOICE_HOSTS, Authority, Proxy
from tests.discord.rest import Rest, Shown
from tests.discord.voice_server import VoiceServer
from tests.discord.world import Json

T = TypeVar("T")


class Loopback:
    def __init__(self, folder: Path) -> None:
        self.authority = Authority(folder)
        self.rest = Rest()
        self.voice = VoiceServer()
        self.gateway = Gateway(self.voice)
        self.proxy_port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="loopback-discord")

    @property
    def messages(self) -> list[Shown]:
        """All that the bot has posted, in order."""
        return self.rest.messages

    def start(self) -> None:
        self._thread.start()
        self.run(self._start())

    def stop(self) -> None:
        self.run(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def say(self, author: int, text: str, channel: int = world.CHANNEL, reply_to: Shown | None = None) -> str:
        """Gives the id of the new message."""
        data = world.message(author, text, channel, reply_to=reply_to.raw if reply_to else None)
        self.run(self.gateway.dispatch("MESSAGE_CREATE", data))
        return str(data["id"])

    def attach(self, name: str, content: bytes) -> Json:
        """A file for a message or a slash command."""
        file = world.attachment(name, content)
        self.rest.cdn[file["id"]] = content
        return file

    def say_with(
        self, author: int, text: str, *files: Json, channel: int = world.CHANNEL, reply_to: Shown | None = None
    ) -> str:
        data = world.message(author, text, channel, files=list(files), reply_to=reply_to.raw if reply_to else None)
        self.run(self.gateway.dispatch("MESSAGE_CREATE", data))
        return str(data["id"])

    def slash(self, author: int, command: str, channel: int = world.CHANNEL, **options: str | Json) -> None:
        data = world.interaction(author, self.rest.commands[command], options, channel)
        self.run(self.gateway.dispatch("INTERACTION_CREATE", data))

    def move(self, user: int, channel: int | None) -> None:
        """`user` enters a voice channel, or leaves it."""
        self.run(self.gateway.move(user, channel))

    def click(self, author: int, shown: Shown, label: str) -> None:
        self.click_id(author, shown, shown.buttons[label])

    def click_id(self, author: int, shown: Shown, custom_id: str) -> None:
        """Also on a button that the message has no more: somebody's screen may still show it."""
        self.run(self.gateway.dispatch("INTERACTION_CREATE", world.click(author, shown.raw, custom_id)))

    def edit(self, author: int, message_id: str, text: str) -> None:
        """A person changes their own message."""
        data = {**world.message(author, text), "id": message_id, "edited_timestamp": world.NOW}
        self.run(self.gateway.dispatch("MESSAGE_UPDATE", data))

    def delete(self, message_id: str) -> None:
        """A person deletes a message of theirs."""
        data = {"id": message_id, "channel_id": str(world.CHANNEL), "guild_id": str(world.GUILD)}
        self.run(self.gateway.dispatch("MESSAGE_DELETE", data))

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

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """On the loopback's own thread."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    async def _start(self) -> None:
        app = web.Application()
        app.router.add_routes([*self.rest.routes(), web.get("/", self._websocket)])
        await self.voice.start()
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self.authority.server).start()
        self.proxy = Proxy(self._runner.addresses[0][1])
        self.proxy_port = await self.proxy.start()

    async def _websocket(self, request: web.Request) -> web.WebSocketResponse:
        server = self.voice if request.host.partition(":")[0] in VOICE_HOSTS else self.gateway
        return await server.serve(request)

    async def _stop(self) -> None:
        self.voice.stop()
        await self.proxy.stop()
        await self._runner.cleanup()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
