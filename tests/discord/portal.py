"""REST of the loopback Discord on the bot itself: its log-in, its application, its servers and what it may do there."""

from __future__ import annotations

import json

from aiohttp import web

from tests.discord import world
from tests.discord.world import Json

API = "/api/v10"
READS_MESSAGES = 1 << 19
"""The flag of an application whose message content intent is on."""


class Portal:
    def __init__(self) -> None:
        self.flags = READS_MESSAGES
        self.servers: list[Json] = [world.guild()]
        """Those that the bot is in."""
        self.bot_roles: list[str] = []
        """Ids of the roles that it has there."""

    def routes(self) -> list[web.RouteDef]:
        server = f"{API}/guilds/{{guild}}"
        return [
            web.get(f"{API}/users/@me", self._me),
            web.get(f"{API}/applications/@me", self._application),
            web.get(f"{API}/users/@me/guilds", self._guilds),
            web.get(server, self._guild),
            web.get(f"{server}/channels", self._channels),
            web.get(f"{server}/members/{{member}}", self._member),
        ]

    async def _me(self, request: web.Request) -> web.Response:
        return self._answer(request, world.user(world.BOT))

    async def _application(self, request: web.Request) -> web.Response:
        return self._answer(request, {"id": str(world.APPLICATION), "name": "sidetone", "flags": self.flags})

    async def _guilds(self, request: web.Request) -> web.Response:
        # Two hundred at a time, the older after the id that is given.
        after = int(request.query.get("after", 0))
        found = [each for each in self.servers if int(each["id"]) > after]
        return self._answer(request, [{"owner": False, "permissions": "0", **each} for each in found])

    async def _guild(self, request: web.Request) -> web.Response:
        return self._answer(request, {**self._wanted(request), "channels": []})

    async def _channels(self, request: web.Request) -> web.Response:
        return self._answer(request, self._wanted(request)["channels"])

    async def _member(self, request: web.Request) -> web.Response:
        assert request.match_info["member"] == str(world.BOT)
        return self._answer(request, {**world.member(world.BOT), "roles": self.bot_roles})

    def _wanted(self, request: web.Request) -> Json:
        return next(each for each in self.servers if each["id"] == request.match_info["guild"])

    def _answer(self, request: web.Request, data: object) -> web.Response:
        if request.headers.get("Authorization") != f"Bot {world.TOKEN}":
            return reply({"message": "401: Unauthorized", "code": 0}, 401)
        return reply(data)


def reply(data: object, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    # py-cord compares the type as a whole: no charset may follow.
    headers = {"Content-Type": "application/json", **(headers or {})}
    return web.Response(body=json.dumps(data).encode(), status=status, headers=headers)
