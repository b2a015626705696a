"""`!debug`: what went wrong, from a pasted text, a log, a message, or what failed last. Imports py-cord."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence

import discord
from discord.ext import bridge, commands

from bot.chat.asking import Asking, Request, attached
from bot.chat.attached import MAX_LOG_BYTES, texts
from bot.chat.bridging import Context, command, option
from bot.chat.client import Debugging
from bot.chat.command_line import unformatted
from bot.chat.marks import State
from bot.chat.showing import failure, inline
from bot.errors import AgentError
from bot.findings import Finding

log = logging.getLogger(__name__)

COLOUR = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
HOW = "Paste an error after `!debug`, attach a log to it, or reply with it to the message that shows the error."
NOTHING = f"Nothing has failed that I know of. {HOW}"
GONE = f"I cannot see the message that you replied to. {HOW}"
EMPTY_REPLY = f"There is no text in the message that you replied to. {HOW}"


class DebugCommand(commands.Cog):
    def __init__(self, asking: Asking, debugging: Debugging) -> None:
        self._asking = asking
        self._debugging = debugging

    @command(
        description="Says what went wrong: in a text, a log, the message you reply to, or what failed last",
        usage="[TEXT]",
    )
    @option("text", str, description="The error, as it was printed", required=False)
    @option("file", discord.Attachment, description="A log", required=False)
    async def debug(self, ctx: Context, *, text: str = "", file: discord.Attachment | None = None) -> None:
        request = self._asking.by_command(ctx)
        if not await self._asking.admit(request):
            return
        request.mark.set(State.WORKING)
        # Fetching a log may take longer than the 3 s that Discord gives to slash commands.
        await ctx.defer()
        if isinstance(ctx, bridge.BridgeApplicationContext):
            given, nothing = [text], ""
            files = [file] if file else []
        else:
            replied, theirs, nothing = _replied(ctx.message)
            given, files = [text, replied], [*ctx.message.attachments, *theirs]
        finding, notes = await self._given(given, files)
        if finding is None and not files:
            # The message that was meant is not there: what failed last is something else.
            finding, nothing = (None, nothing) if nothing else await self._latest(ctx.author.id)
            if finding:
                notes = (f"What failed last is {inline(finding.message or finding.type)}, from {finding.source}.",)
        if finding is None:
            request.mark.set(State.REFUSED)
            await request.refuse("\n".join(filter(None, (*notes, nothing))))
            return
        await self._ask(ctx, request, finding, notes)

    async def _ask(self, ctx: Context, request: Request, finding: Finding, notes: Sequence[str]) -> None:
        question, left_out = self._debugging.diagnosis.question(finding)
        if left_out:
            cut = f"{left_out} lines in the middle are left out: the model takes no more at once."
            notes = (*notes, f"I look at the beginning and the end of it; {cut}")
        if notes:
            await ctx.respond("\n".join(notes))
        await self._asking.ask(request, question)

    async def _given(
        self, given: Sequence[str], files: Sequence[discord.Attachment]
    ) -> tuple[Finding | None, tuple[str, ...]]:
        """What stands in the request itself, and sentences on files that were not read."""
        read, notes = await texts(attached(files), self._asking.fetch, MAX_LOG_BYTES, tolerant=True)
        names = ", ".join(name for name, _ in read)
        parts = [*map(unformatted, given), *(text for _, text in read)]
        text = COLOUR.sub("", "\n\n".join(part.strip("\n") for part in parts if part.strip()))
        if not text:
            return None, notes
        return Finding("", "", "", (), None, text, f"the file {names}" if names else "", ""), notes

    async def _latest(self, user: int) -> tuple[Finding | None, str]:
        """What failed last, or a sentence."""
        try:
            for findings in self._debugging.findings:
                if found := await findings.latest(str(user)):
                    return found, ""
        except AgentError as error:
            log.info("what failed last is not known: %s", error.reason)
            return None, f"{failure(error)} {HOW}"
        return None, NOTHING


def _replied(message: discord.Message) -> tuple[str, Sequence[discord.Attachment], str]:
    """Text and files of the message that `message` answers; a sentence when it is not there, or empty."""
    if message.reference is None:
        return "", (), ""
    replied = message.reference.resolved
    if not isinstance(replied, discord.Message):
        return "", (), GONE
    # Build servers write into embeds.
    embeds = [
        text
        for embed in replied.embeds
        for text in (embed.title, embed.description, *(f"{field.name}: {field.value}" for field in embed.fields))
    ]
    return "\n".join(filter(None, (replied.content, *embeds))), replied.attachments, EMPTY_REPLY
