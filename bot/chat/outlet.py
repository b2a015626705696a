"""Discord behind the ports of `text`: posts and edits, with py-cord's errors turned into ours. Imports py-cord."""

from __future__ import annotations

import io
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import aiohttp
import discord

from bot.chat.text import MessageGone
from bot.errors import DiscordError

FILE_NAME = "answer.txt"

Send = Callable[..., Awaitable[Any]]
"""Takes `content` and `file`; gives something with `edit(content=...)`."""


class DiscordPost:
    def __init__(self, message: Any) -> None:
        self._message = message

    async def edit(self, text: str) -> None:
        with _translated():
            await self._message.edit(content=text)


class DiscordOutlet:
    """The first message answers the user's own; the others follow in the channel."""

    def __init__(self, first: Send, more: Send) -> None:
        self._next = first
        self._more = more

    async def post(self, text: str, file: str = "") -> DiscordPost:
        extra = {"file": discord.File(io.BytesIO(file.encode()), FILE_NAME)} if file else {}
        with _translated():
            message = await self._next(text, **extra)
        self._next = self._more
        return DiscordPost(message)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except discord.NotFound as error:
        raise MessageGone("The message was deleted.") from error
    except discord.Forbidden as error:
        raise DiscordError(
            "Discord does not let the bot write in this channel. Give it the permissions View Channel, Send Messages, "
            "Attach Files and Read Message History there."
        ) from error
    except discord.HTTPException as error:
        raise DiscordError(f"Discord refused a message (HTTP {error.status}, code {error.code}).") from error
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise DiscordError("Discord could not be reached.") from error
