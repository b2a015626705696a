"""All that the bot sends to Discord passes here: no secret, and no mention that pings anybody. Imports py-cord.

At the two methods of py-cord through which every request goes, and not where messages are made: a new command, or an
edit that was forgotten, cannot get around it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import discord
from discord.webhook.async_ import AsyncWebhookAdapter, async_context

from bot.masking import Mask

NOBODY: dict[str, list[str]] = {"parse": []}
NO_TEXT = frozenset({"allowed_mentions", "custom_id", "id", "message_reference", "nonce"})


def guard(bot: discord.Client, mask: Mask) -> None:
    """From here on, in this task and those that it starts."""
    send = bot.http.request

    async def request(route: Any, **options: Any) -> Any:
        if isinstance(options.get("json"), dict):
            options["json"] = safe(options["json"], mask)
        if options.get("form"):
            options["form"] = _safe_form(options["form"], mask)
        return await send(route, **options)

    setattr(bot.http, "request", request)  # noqa: B010 - py-cord has no other place for it
    async_context.set(_SafeAdapter(mask))


class _SafeAdapter(AsyncWebhookAdapter):
    """Answers to slash commands and clicks."""

    def __init__(self, mask: Mask) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._mask = mask

    async def request(self, *given: Any, **options: Any) -> Any:
        if options.get("payload"):
            options["payload"] = safe(options["payload"], self._mask)
        if options.get("multipart"):
            options["multipart"] = _safe_form(options["multipart"], self._mask)
        return await super().request(*given, **options)


def safe(payload: dict[str, Any], mask: Mask) -> dict[str, Any]:
    masked: dict[str, Any] = {
        name: value if name in NO_TEXT else _masked(value, mask) for name, value in payload.items()
    }
    message = masked["data"] if isinstance(masked.get("data"), dict) else masked
    if "content" in message:
        message["allowed_mentions"] = NOBODY
    return masked


def _masked(value: Any, mask: Mask) -> Any:
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, dict):
        return {name: each if name in NO_TEXT else _masked(each, mask) for name, each in value.items()}
    return [_masked(each, mask) for each in value] if isinstance(value, list | tuple) else value


def _safe_form(form: Iterable[dict[str, Any]], mask: Mask) -> list[dict[str, Any]]:
    return [
        part | {"value": _file(part["value"], mask) if "filename" in part else _json(part["value"], mask)}
        for part in form
    ]


def _json(text: str, mask: Mask) -> str:
    return json.dumps(safe(json.loads(text), mask))


def _file(content: Any, mask: Mask) -> bytes:
    """The whole of it, so that a second attempt sends it again."""
    raw: bytes = content if isinstance(content, bytes) else content.read()
    try:
        return mask(raw.decode()).encode()
    except UnicodeDecodeError:
        return raw
