"""The bot in one voice channel: joins, stays joined whatever happens to the connection, leaves. Imports py-cord."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

import aiohttp
import discord

from bot.chat.live_source import LiveSource
from bot.chat.voice_client import NO_ENCRYPTION, REPLACED, RepairedVoiceClient
from bot.errors import DiscordError, MissingPackage

log = logging.getLogger(__name__)

Channel = discord.VoiceChannel | discord.StageChannel

JOIN_LIMIT_S = 10.0
LEAVE_LIMIT_S = 2.0
SECURE_LIMIT_S = 2.0
"""For the keys of the end-to-end encryption; while the bot is alone in the channel they never come."""
SECURE_EVERY_S = 0.02
REJOIN_S = (0.0, 1.0, 3.0, 8.0)
"""Waits before each attempt to join again."""
FOR_GOOD = (REPLACED, 4021, 4022)
"""Close codes after which Discord does not want the bot back."""

KICKED = "I was disconnected from the voice channel, so this conversation ends here. `!direct` begins a new one."
LOST = (
    "The connection to Discord's voice server was lost and could not be made again. Check the network, then `!direct`."
)
NO_DAVE = (
    "Discord lets only end-to-end encrypted voice into this channel, and the bot's encryption does not work. "
    'Install it with: pip install -U "py-cord[voice]>=2.8.1,<2.9"; then start the bot again.'
)
NO_OPUS = (
    "The Opus library is missing, so there is no voice in Discord. Install it (Debian, Ubuntu: "
    "sudo apt install libopus0) and start the bot again."
)


class Unwelcome(DiscordError):
    """Joining again would be refused, or would be against a person's will."""


def refusal() -> str:
    """Why this machine cannot speak in Discord at all, as a sentence; empty when it can."""
    return no_encryption() or no_opus()


def no_encryption() -> str:
    try:
        import davey  # noqa: F401
        import nacl.secret  # noqa: F401
    except ImportError:
        return NO_DAVE
    return ""


def no_opus() -> str:
    try:
        discord.opus.Decoder.get_opus_version()
    except discord.opus.OpusNotLoaded:
        return NO_OPUS
    return ""


def forbidden(channel: Channel) -> str:
    """What keeps the bot out of `channel`, as a sentence; empty when nothing does."""
    may = channel.permissions_for(channel.guild.me)
    missing = [
        name
        for name, given in (("View Channel", may.view_channel), ("Connect", may.connect), ("Speak", may.speak))
        if not given
    ]
    if missing:
        return f"I may not talk in {channel.mention}: give me the permission {' and '.join(missing)} there."
    if channel.user_limit and len(channel.voice_states) >= channel.user_limit and not may.move_members:
        return f"{channel.mention} is full. Raise its user limit, or take another channel."
    return ""


class VoiceLink:
    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._client: RepairedVoiceClient | None = None
        self.source = LiveSource(self._pause, self._resume)

    def company(self) -> bool:
        """Whether a person is in the bot's channel, to which a moderator may have moved it."""
        here = self._client.channel if self._client else self._channel
        if not isinstance(here, Channel):
            return False
        people = (here.guild.get_member(user) for user in here.voice_states)
        return any(member is None or not member.bot for member in people)

    async def join(self) -> None:
        """Returns when the bot can be heard. Raises DiscordError, MissingPackage."""
        if problem := refusal():
            raise MissingPackage(problem)
        if problem := forbidden(self._channel):
            raise DiscordError(problem)
        try:
            self._client = await self._connected()
            await self._secure(self._client)
            self._client.play(
                self.source, application="voip", bitrate=64, signal_type="voice", fec=True, expected_packet_loss=0.05
            )
        except discord.ConnectionClosed as error:
            if error.code == NO_ENCRYPTION:
                raise Unwelcome(NO_DAVE) from error
            raise DiscordError(_closed(error.code)) from error
        except TimeoutError as error:
            raise DiscordError(
                f"Discord's voice server did not answer within {JOIN_LIMIT_S:.0f} s. Voice needs UDP to the internet: "
                "check the firewall, then try again."
            ) from error
        except (discord.DiscordException, aiohttp.ClientError, OSError) as error:
            if self._client and self._client.evicted.done():
                raise Unwelcome(KICKED) from error
            log.warning("joining failed: %r", error)
            raise DiscordError("The voice channel could not be joined. Try again in a moment.") from error

    async def _connected(self) -> RepairedVoiceClient:
        """Raises what py-cord raises; Unwelcome as soon as somebody sends the bot away again."""
        made: list[RepairedVoiceClient] = []

        def make(client: discord.Client, channel: discord.abc.Connectable) -> RepairedVoiceClient:
            made.append(RepairedVoiceClient(client, channel))
            made[0].evicted.add_done_callback(lambda _: _end_now(limit))
            return made[0]

        try:
            async with asyncio.timeout(JOIN_LIMIT_S) as limit:
                return await self._channel.connect(cls=make, timeout=JOIN_LIMIT_S, reconnect=False)
        except (TimeoutError, discord.ConnectionClosed) as error:
            if (made and made[0].evicted.done()) or getattr(error, "code", 0) == REPLACED:
                raise Unwelcome(KICKED) from error
            raise

    async def keep(self, reconnecting: Callable[[bool], None]) -> str:
        """Watches the connection and makes it anew; `reconnecting` is told when that begins and ends. Returns when the
        call is over, with the reason."""
        while self._client is not None:
            code = await asyncio.shield(self._client.lost)
            log.info("the voice connection ended with code %d", code)
            if code in FOR_GOOD:
                return KICKED
            reconnecting(True)
            if problem := await self._rejoin():
                return problem
            reconnecting(False)
        return KICKED

    async def leave(self) -> None:
        # A connection that was being made when it was called off is known to py-cord only.
        client = self._client or self._channel.guild.voice_client
        self._client = None
        if client is None:
            return
        try:
            async with asyncio.timeout(LEAVE_LIMIT_S):
                await client.disconnect(force=True)
        except TimeoutError:
            log.info("Discord did not confirm that the bot has left")
            client.cleanup()
        except (discord.DiscordException, aiohttp.ClientError, OSError) as error:
            log.info("leaving was not confirmed: %r", error)

    async def _rejoin(self) -> str:
        """Why it is not there again, as a sentence, or nothing."""
        await self.leave()
        for wait in REJOIN_S:
            await asyncio.sleep(wait)
            try:
                await self.join()
            except Unwelcome as error:
                return str(error)
            except DiscordError as error:
                log.warning("joining again failed: %s", error)
                await self.leave()
            else:
                return ""
        return LOST

    async def _secure(self, client: RepairedVoiceClient) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(SECURE_LIMIT_S):
                # py-cord tells nobody when the keys are there.
                while not client.secured and not client.evicted.done():  # noqa: ASYNC110
                    await asyncio.sleep(SECURE_EVERY_S)

    def _pause(self) -> None:
        if self._client and self._client.is_playing():
            self._client.pause()

    def _resume(self) -> None:
        if self._client and self._client.is_paused():
            self._client.resume()


def _end_now(limit: asyncio.Timeout) -> None:
    # It may be over already.
    with suppress(RuntimeError):
        limit.reschedule(0.0)


def _closed(code: int) -> str:
    return f"Discord's voice server refused the connection (code {code}). Try again in a moment."
