"""One message that always shows the newest text, however slowly Discord takes it. Knows no py-cord."""

from __future__ import annotations

import asyncio
import logging

from bot.chat.text import EDIT_GAP_S, RETRY_S, MessageGone, Outlet, Post
from bot.errors import DiscordError

log = logging.getLogger(__name__)


class LiveMessage:
    """Who makes the text only leaves it here; `run` is the one task that writes to Discord."""

    def __init__(self, outlet: Outlet) -> None:
        self._outlet = outlet
        self._text = ""
        self._file = ("", "")
        self._done = False
        self._changed = asyncio.Event()
        self._post: Post | None = None
        self._shown = ""

    def show(self, text: str) -> None:
        """Must not be blank, nor longer than a message may be. After the last text it has no effect."""
        if not self._done:
            self._text = text
            self._changed.set()

    def finish(self, text: str, file: str = "", name: str = "") -> None:
        """The last text, with a file of that name when `file` has anything in it."""
        self._file = (file, name)
        self.show(text)
        self._done = True

    async def run(self) -> None:
        """Returns when the last text is in Discord. Raises DiscordError when that is not possible, and MessageGone as
        soon as the message is deleted."""
        loop = asyncio.get_running_loop()
        written = loop.time() - EDIT_GAP_S
        while True:
            if not self._done:
                await self._changed.wait()
            self._changed.clear()
            await asyncio.sleep(written + EDIT_GAP_S - loop.time())
            if self._done:
                await self._show_last()
                return
            try:
                await self._write()
            except MessageGone:
                raise
            except DiscordError as error:
                if self._post is None:
                    raise
                log.info("one edit was lost, a newer one follows: %s", error)
            written = loop.time()

    async def _write(self) -> None:
        text = self._text
        if self._post is None:
            self._post = await self._outlet.post(text, *self._file)
        elif text != self._shown or self._file[0]:
            await self._post.edit(text, *self._file)
        self._shown = text

    async def _show_last(self) -> None:
        for wait in RETRY_S:
            try:
                await self._write()
                return
            except MessageGone:
                raise
            except DiscordError as error:
                log.info("the last text was refused, trying again: %s", error)
                await asyncio.sleep(wait)
        # Messages older than an hour, and answers to slash commands after a quarter of one, take no edits any more.
        self._post = None
        await self._write()
