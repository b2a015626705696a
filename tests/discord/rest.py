"""REST of the loopback Discord, and the messages that a person would see there."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field

from aiohttp import web

from tests.discord import world
from tests.discord.portal import API, Portal, reply
from tests.discord.world import Json


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
    def buttons(self) -> dict[str, str]:
        """Their ids by what they say."""
        return {each["label"]: each["custom_id"] for row in self.raw["components"] for each in row["components"]}

    @property
    def replies_to(self) -> str:
        return str((self.payloads[0].get("message_reference") or {}).get("message_id", ""))


class Rest:
    def __init__(self) -> None:
        self.messages: list[Shown] = []
        self.commands: dict[str, Json] = {}
        """Registered slash commands by name."""
        self.refuse_edits: list[float] = []
        """Each of the next edits gets a 429 with this many seconds to wait."""
        self.refuse_posts: list[tuple[int, int]] = []
        """Each of the next messages gets this HTTP status and code of Discord's instead."""
        self.edits_allowed: tuple[int, float] | None = None
        """So many in so many seconds; said in the headers, and a 429 for more."""
        self.edits_refused = 0
        self._edits: list[float] = []
        self.reactions: list[tuple[str, str, bool]] = []
        """Message, emoji and whether it was added or removed, in order."""
        self.sent: list[tuple[str, Json]] = []
        """Each message, edit and answer with a text: the way it came, and what the bot sent."""
        self.typing = 0
        self.threads_allowed = True
        self.threads: dict[str, str] = {}
        """Ids of threads by the id of the message they begin at."""
        self.cdn: dict[str, bytes] = {}
        """Contents of attached files by their id."""
        self.portal = Portal()
        self._originals: dict[str, Shown] = {}

    def routes(self) -> list[web.RouteDef]:
        message = f"{API}/channels/{{channel}}/messages"
        webhook = f"{API}/webhooks/{{app}}/{{token}}"
        commands = f"{API}/applications/{{app}}/commands"
        return [
            *self.portal.routes(),
            web.get(f"{API}/gateway", self._gateway_url),
            web.get(f"{API}/soundboard-default-sounds", self._nothing),
            web.get(commands, self._nothing),
            web.put(commands, self._register),
            web.post(message, self._post),
            web.post(f"{API}/channels/{{channel}}/typing", self._typing),
            web.post(f"{message}/{{message}}/threads", self._thread),
            web.patch(f"{message}/{{message}}", self._patch),
            web.post(f"{API}/channels/{{channel}}/typing", self._typing),
            web.put(f"{message}/{{message}}/reactions/{{emoji}}/@me", self._react),
            web.delete(f"{message}/{{message}}/reactions/{{emoji}}/{{user}}", self._react),
            web.post(f"{API}/interactions/{{id}}/{{token}}/callback", self._callback),
            web.get("/attachments/{channel}/{id}/file", self._file),
            web.post(webhook, self._post),
            web.patch(f"{webhook}/messages/{{message}}", self._patch),
        ]

    async def _gateway_url(self, request: web.Request) -> web.Response:
        return reply({"url": "wss://gateway.discord.gg"})

    async def _nothing(self, request: web.Request) -> web.Response:
        return reply([])

    async def _typing(self, request: web.Request) -> web.Response:
        return web.Response(status=204)

    async def _register(self, request: web.Request) -> web.Response:
        for command in await request.json():
            ids = {"id": str(world.snowflake()), "application_id": str(world.APPLICATION), "version": "1", "type": 1}
            self.commands[command["name"]] = {**command, **ids}
        return reply(list(self.commands.values()))

    async def _post(self, request: web.Request) -> web.Response:
        payload, files = await body(request)
        if self.refuse_posts:
            status, code = self.refuse_posts.pop(0)
            return reply({"message": "Refused", "code": code}, status)
        self._note("followup" if "token" in request.match_info else "message", payload, files)
        if (too_long := refused(payload)) and (payload.get("content") or not files):
            return too_long
        channel = int(request.match_info.get("channel", world.CHANNEL))
        return reply(self._show(payload, files, channel).raw)

    async def _thread(self, request: web.Request) -> web.Response:
        if not self.threads_allowed:
            return reply({"message": "Missing Permissions", "code": 50013}, 403)
        # Discord gives a thread the id of its message.
        number = self.threads[request.match_info["message"]] = request.match_info["message"]
        name = (await request.json())["name"]
        return reply(world.thread(int(number), int(request.match_info["channel"]), world.BOT, name), 201)

    async def _callback(self, request: web.Request) -> web.Response:
        payload, files = await body(request)
        resource = {"type": payload["type"]}
        if payload["type"] in (5, 6):
            # "Wait for it": nothing is shown that a person could read.
            return reply({"interaction": {"id": request.match_info["id"], "type": 2}, "resource": resource})
        self._note("callback", payload.get("data") or {}, files)
        if (too_long := refused(payload.get("data") or {})) and not files:
            return too_long
        shown = self._show(payload.get("data") or {}, files, world.CHANNEL)
        self._originals[request.match_info["token"]] = shown
        resource = {"type": payload["type"], "message": shown.raw}
        return reply({"interaction": {"id": request.match_info["id"], "type": 2}, "resource": resource})

    async def _typing(self, request: web.Request) -> web.Response:
        self.typing += 1
        return web.Response(status=204)

    async def _react(self, request: web.Request) -> web.Response:
        self.reactions.append((request.match_info["message"], request.match_info["emoji"], request.method == "PUT"))
        return web.Response(status=204)

    async def _file(self, request: web.Request) -> web.Response:
        content = self.cdn.get(request.match_info["id"])
        return web.Response(status=404) if content is None else web.Response(body=content)

    def marks(self, message_id: str) -> list[str]:
        """The bot's reactions that a message has."""
        found: list[str] = []
        for message, emoji, added in self.reactions:
            if message == message_id:
                found = [*found, emoji] if added else [each for each in found if each != emoji]
        return found

    async def _patch(self, request: web.Request) -> web.Response:
        if self.edits_allowed is None:
            return await self._edit(request)
        number, seconds = self.edits_allowed
        now = time.monotonic()
        self._edits = [each for each in self._edits if each > now - seconds]
        reset = self._edits[0] + seconds - now if self._edits else seconds
        left = number - len(self._edits) - 1
        headers = {"X-RateLimit-Limit": str(number), "X-RateLimit-Bucket": "edits", "Via": "1.1 google"}
        headers |= {"X-RateLimit-Remaining": str(max(0, left)), "X-RateLimit-Reset-After": f"{reset:.3f}"}
        if left < 0:
            self.edits_refused += 1
            limited = {"message": "You are being rate limited.", "retry_after": reset, "global": False}
            return reply(limited, 429, headers)
        self._edits.append(now)
        response = await self._edit(request)
        response.headers.update(headers)
        return response

    async def _edit(self, request: web.Request) -> web.Response:
        payload, files = await body(request)
        if self.refuse_edits:
            wait = self.refuse_edits.pop(0)
            limited = {"message": "You are being rate limited.", "retry_after": wait, "global": False}
            return reply(limited, 429, {"Via": "1.1 google"})
        wanted = request.match_info["message"]
        if wanted == "@original":
            shown = self._originals[request.match_info["token"]]
        else:
            shown = next(each for each in self.messages if each.raw["id"] == wanted)
        if shown.deleted:
            return reply({"message": "Unknown Message", "code": 10008}, 404)
        self._note("edit", payload, files)
        if too_long := refused(payload):
            return too_long
        shown.raw["content"] = payload["content"]
        shown.raw["edited_timestamp"] = world.NOW
        if "components" in payload:
            shown.raw["components"] = payload["components"]
        shown.files |= files
        shown.payloads.append(payload)
        shown.times.append(time.monotonic())
        shown.texts.append(payload["content"])
        return reply(shown.raw)

    def _note(self, way: str, payload: Json, files: dict[str, bytes]) -> None:
        self.sent.append((f"{way} with file" if files else way, payload))

    def _show(self, payload: Json, files: dict[str, bytes], channel: int) -> Shown:
        raw = world.message(world.BOT, payload.get("content") or "", channel)
        raw["components"] = payload.get("components") or []
        shown = Shown(raw, [raw["content"]], [time.monotonic()], [payload], files)
        shown.ephemeral = bool((payload.get("flags") or 0) & 64)
        self.messages.append(shown)
        return shown


def refused(payload: Json) -> web.Response | None:
    """What Discord says to a text that is empty or too long."""
    text = payload.get("content") or ""
    if text.strip() and len(text.encode("utf-16-le", "surrogatepass")) // 2 <= 2000:
        return None
    return reply({"message": "Invalid Form Body", "code": 50035}, 400)


async def body(request: web.Request) -> tuple[Json, dict[str, bytes]]:
    """The JSON of a request and its files by name."""
    if request.content_type == "application/json":
        return await request.json(), {}
    form = await request.post()
    files = {part.filename: part.file.read() for part in form.values() if isinstance(part, web.FileField)}
    return json.loads(str(form["payload_json"])), files
