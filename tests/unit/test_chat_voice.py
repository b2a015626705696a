"""Calls and their status card, on a virtual clock."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from itertools import pairwise

import pytest

from bot.chat.text import Post
from bot.chat.voice import EVERYBODY_LEFT, NO_CALL, VoiceDesk
from bot.chat.voice_card import Card, Minutes, Mood, Progress
from bot.chat.voice_record import Captions, Thread
from bot.errors import AudioDeviceError, DiscordError
from bot.events import (
    Event,
    Failed,
    FirstAudio,
    Interrupted,
    Ready,
    ReplyDelta,
    ReplyDone,
    SpeechEnded,
    SpeechStarted,
    Transcribed,
)
from bot.ports import Brain, EventSink, SoundOutput
from tests.fakes import FakeBrain
from tests.unit.test_chat_text import FakeOutlet
from tests.virtual_clock import run_virtual


@pytest.mark.parametrize(
    ("events", "words"),
    [
        ([], "joining"),
        ([Ready(0)], "listening"),
        ([SpeechStarted(1)], "hearing"),
        ([SpeechStarted(1), SpeechEnded(1, 1.0)], "thinking"),
        ([SpeechEnded(1, 1.0), Transcribed(1, "", "en", "no speech")], "listening"),
        ([SpeechEnded(1, 1.0), Transcribed(1, "Yes?", "en")], "thinking"),
        ([SpeechEnded(1, 1.0), Failed(1, "stage_failed", "It failed.")], "listening"),
        ([FirstAudio(1)], "speaking"),
        ([FirstAudio(1), ReplyDone(1, "Yes.")], "listening"),
        ([FirstAudio(1), SpeechStarted(2), Interrupted(1, "Y")], "hearing"),
        ([FirstAudio(1), Failed(0, "audio_device", "The microphone is gone.")], "listening"),
    ],
)
def test_the_card_follows_the_conversation(events: Sequence[Event], words: str) -> None:
    progress = Progress()
    for event in events:
        progress.feed(event)
    assert words in progress.words


def test_muted_and_reconnecting_show() -> None:
    progress = Progress()
    progress.feed(Ready(0))
    progress.muted = True
    assert "muted" in progress.words
    progress.feed(FirstAudio(1))
    assert "speaking" in progress.words
    progress.reconnecting = True
    assert "reconnecting" in progress.words


def test_both_sides_are_written_down() -> None:
    minutes = Minutes()
    events = [
        Transcribed(1, "Why?", "en"),
        Transcribed(2, "", "en", "no speech"),
        ReplyDelta(1, "Beca"),
        ReplyDelta(1, "use."),
        ReplyDone(1, "Because."),
        ReplyDelta(3, "It is so and so."),
        Interrupted(3, "It is"),
        ReplyDelta(4, "Half of "),
        Failed(4, "stage_failed", "It failed."),
        Interrupted(5, ""),
    ]
    events.append(ReplyDone(6, "```python\nx\n```\nSo."))
    assert [line for event in events for line in minutes.feed(event)] == [
        "**You:** Why?",
        "**Sidetone:** Because.",
        "**Sidetone:** It is … *(you cut in)*",
        "**Sidetone:** Half of …",
        "⚠️ It failed.",
        "**Sidetone:** \n```python\nx\n```\nSo.",
    ]


def test_the_card_is_edited_at_most_once_a_second_and_always_to_the_newest() -> None:
    outlet = FakeOutlet(seconds=0.2)

    async def main() -> None:
        card = Card("#voice")
        async with asyncio.TaskGroup() as tasks:
            editor = tasks.create_task(card.run(outlet))
            for turn in range(40):
                card.feed(SpeechStarted(turn) if turn % 2 else FirstAudio(turn))
                await asyncio.sleep(0.13)
            card.feed(ReplyDone(1, "Yes."))
            await asyncio.sleep(3)
            editor.cancel()

    run_virtual(main())
    assert min(later - earlier for (earlier, _, _), (later, _, _) in pairwise(outlet.writes)) >= 1.0
    assert Mood.LISTENING.value in outlet.writes[-1][2]


def test_the_card_is_posted_anew_before_discord_refuses_its_edits() -> None:
    outlet = FakeOutlet()

    async def main() -> None:
        card = Card("#voice")
        async with asyncio.TaskGroup() as tasks:
            editor = tasks.create_task(card.run(outlet))
            for event in (Ready(0), SpeechStarted(1), Ready(0)):
                await asyncio.sleep(2000)
                card.feed(event)
            await asyncio.sleep(3)
            editor.cancel()

    run_virtual(main())
    assert [number for _, number, _ in outlet.writes] == [0, 0, 1, 1]


class FakeLink:
    """A voice channel that Discord lets the bot into."""

    def __init__(self) -> None:
        self.people = True
        self.gone: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.refuses = ""
        self.inside = False

    @property
    def source(self) -> SoundOutput:
        return NoOutput()

    async def join(self) -> None:
        await asyncio.sleep(0.1)
        if self.refuses:
            raise DiscordError(self.refuses)
        self.inside = True

    async def keep(self, reconnecting: Callable[[bool], None]) -> str:
        return await self.gone

    def company(self) -> bool:
        return self.people

    async def leave(self) -> None:
        self.inside = False


class NoOutput:
    realtime = True

    async def open(self, playback: object, tap: object, changed: Callable[[], Awaitable[None]]) -> None:
        return

    async def run(self) -> None:
        return

    async def close(self) -> None:
        return


class FakeThread(FakeOutlet):
    mention = "#thread"


class FakePlace:
    guild = 1
    mention = "#voice"
    channels = frozenset({5, 6})

    def __init__(self) -> None:
        self.made = FakeLink()
        self.no_threads = ""
        self.opened = FakeThread()

    def link(self) -> FakeLink:
        return self.made

    async def thread(self, post: Post, name: str) -> Thread:
        if self.no_threads:
            raise DiscordError(self.no_threads)
        return self.opened


class FakeConversation:
    voice = "af_heart"
    voices = ("af_heart",)

    def __init__(self) -> None:
        self.failure: Exception | None = None
        self.emit: EventSink
        self.muted: list[bool] = []
        self.said: list[str] = []

    def choose_voice(self, name: str) -> None:
        self.voice = name

    async def hold(self, output: SoundOutput, brain: Brain, emit: EventSink) -> None:
        self.emit = emit
        await asyncio.sleep(0.1)
        if self.failure:
            raise self.failure
        emit(Ready(0))
        await asyncio.Event().wait()

    def mute(self, on: bool) -> None:
        self.muted.append(on)

    async def say(self, text: str) -> None:
        self.said.append(text)


Script = Callable[[VoiceDesk, FakePlace, FakeConversation, FakeOutlet], Awaitable[None]]


def play(script: Script, idle_s: float = 600.0) -> list[str]:
    """What was posted."""
    outlet = FakeOutlet()

    async def main() -> None:
        conversation = FakeConversation()
        async with asyncio.TaskGroup() as tasks:
            desk = VoiceDesk(conversation, "", tasks, idle_s, lambda channel, user: FakeBrain([]))
            await script(desk, FakePlace(), conversation, outlet)
            await desk.close()

    run_virtual(main())
    return [text for _, _, text in outlet.writes]


def test_a_call_begins_and_ends() -> None:
    async def script(desk: VoiceDesk, place: FakePlace, talk: FakeConversation, outlet: FakeOutlet) -> None:
        assert await desk.stop(1) == NO_CALL
        assert await desk.begin(place, outlet, 5, 6) == ""
        assert place.made.inside
        assert "already talking in #voice" in await desk.begin(place, outlet, 5, 6)
        call = desk.call(1)
        assert call
        assert desk.call(2) is None
        call.mute(True)
        talk.emit(Transcribed(1, "Why?", "en"))
        await asyncio.sleep(2)
        assert await desk.stop(1) == ""
        assert not place.made.inside
        assert desk.call(1) is None
        assert talk.muted == [False, True]

    posted = play(script)
    assert posted[0].startswith("**Speak now**")
    assert "**You:** Why?" in posted
    assert any("muted" in text for text in posted)
    assert posted[-1] == "The conversation in #voice has ended."


def test_what_keeps_it_from_beginning_is_said() -> None:
    async def script(desk: VoiceDesk, place: FakePlace, talk: FakeConversation, outlet: FakeOutlet) -> None:
        place.made.refuses = "The channel is full."
        assert await desk.begin(place, outlet, 5, 6) == "The channel is full."
        other = FakePlace()
        talk.failure = ExceptionGroup("", [AudioDeviceError("There is no microphone.")])
        assert await desk.begin(other, outlet, 5, 6) == "There is no microphone."
        assert not other.made.inside
        talk.failure = None
        assert await desk.begin(FakePlace(), outlet, 5, 6) == ""

    play(script)


@pytest.mark.parametrize("reason", ["I was thrown out.", ""])
def test_the_end_of_the_connection_ends_the_call(reason: str) -> None:
    async def script(desk: VoiceDesk, place: FakePlace, talk: FakeConversation, outlet: FakeOutlet) -> None:
        await desk.begin(place, outlet, 5, 6)
        place.made.gone.set_result(reason)
        await asyncio.sleep(1)
        assert desk.call(1) is None

    posted = play(script)
    assert (reason in posted) == bool(reason)


def test_it_leaves_an_empty_channel_but_waits_for_who_dropped_out() -> None:
    async def script(desk: VoiceDesk, place: FakePlace, talk: FakeConversation, outlet: FakeOutlet) -> None:
        await desk.begin(place, outlet, 5, 6)
        place.made.people = False
        await asyncio.sleep(5)
        place.made.people = True
        await asyncio.sleep(20)
        assert desk.call(1)
        place.made.people = False
        await asyncio.sleep(12)
        assert desk.call(1) is None

    assert EVERYBODY_LEFT in play(script)


def test_it_leaves_when_nobody_says_anything() -> None:
    async def script(desk: VoiceDesk, place: FakePlace, talk: FakeConversation, outlet: FakeOutlet) -> None:
        await desk.begin(place, outlet, 5, 6)
        for _ in range(5):
            await asyncio.sleep(40)
            talk.emit(SpeechStarted(1))
        assert desk.call(1)
        await asyncio.sleep(65)
        assert desk.call(1) is None

    assert "Nobody has said anything for 1 minutes, so I left. `!direct` begins anew." in play(script, 60.0)


def test_captions_grow_in_a_thread_and_go_back_to_the_channel() -> None:
    thread = FakeThread()

    async def script(desk: VoiceDesk, place: FakePlace, talk: FakeConversation, outlet: FakeOutlet) -> None:
        place.opened = thread
        await desk.begin(place, outlet, 5, 6)
        call = desk.call(1)
        assert call
        assert "in the channel" in call.record.end_captions()
        place.no_threads = "I may not."
        with pytest.raises(DiscordError, match="I may not"):
            await call.record.begin_captions()
        talk.emit(Transcribed(1, "Zero?", "en"))
        place.no_threads = ""
        assert await call.record.begin_captions() == "What we say is written live in #thread now."
        assert "already" in await call.record.begin_captions()
        talk.emit(Transcribed(1, "Why?", "en"))
        for word in ("Be", "cause ", "it ", "is."):
            talk.emit(ReplyDelta(1, word))
            await asyncio.sleep(0.7)
        talk.emit(ReplyDone(1, "Because it is."))
        talk.emit(ReplyDelta(2, "It goes on and"))
        talk.emit(Interrupted(2, "It goes"))
        talk.emit(ReplyDelta(3, "Unheard"))
        talk.emit(Interrupted(3, ""))
        await asyncio.sleep(3)
        talk.emit(ReplyDelta(4, "Half "))
        talk.emit(Failed(4, "stage_failed", "It failed."))
        assert call.record.end_captions() == "What we say is written here again."
        talk.emit(Transcribed(5, "And now?", "en"))
        await asyncio.sleep(3)

    posted = play(script)
    assert [text for text in posted if text.startswith(("**You", "**Side", "⚠️"))] == [
        "**You:** Zero?",
        "**You:** And now?",
    ]
    last = {number: text for _, number, text in thread.writes}
    assert list(last.values()) == [
        "**You:** Why?",
        "**Sidetone:** Because it is.",
        "**Sidetone:** It goes … *(you cut in)*",
        "**Sidetone:** Unheard …",
        "**Sidetone:** Half …",
        "⚠️ It failed.",
    ]
    growing = [(at, text) for at, number, text in thread.writes if number == 1]
    assert len(growing) >= 3
    assert min(later - earlier for (earlier, _), (later, _) in pairwise(growing)) >= 1.0


def test_a_thread_that_takes_no_more_is_left(caplog: pytest.LogCaptureFixture) -> None:
    async def script(desk: VoiceDesk, place: FakePlace, talk: FakeConversation, outlet: FakeOutlet) -> None:
        place.opened.errors.append(DiscordError("The thread is locked."))
        await desk.begin(place, outlet, 5, 6)
        call = desk.call(1)
        assert call
        await call.record.begin_captions()
        talk.emit(Transcribed(1, "Why?", "en"))
        await asyncio.sleep(2)
        talk.emit(Transcribed(2, "And?", "en"))
        await asyncio.sleep(2)

    posted = play(script)
    assert any("The thread is locked. What we say is written here again." in text for text in posted)
    assert "**You:** Why?" in posted
    assert "**You:** And?" in posted


def test_the_last_words_of_a_call_are_written_in_the_thread() -> None:
    thread = FakeThread()

    async def script(desk: VoiceDesk, place: FakePlace, talk: FakeConversation, outlet: FakeOutlet) -> None:
        place.opened = thread
        await desk.begin(place, outlet, 5, 6)
        call = desk.call(1)
        assert call
        await call.record.begin_captions()
        talk.emit(Transcribed(1, "Why?", "en"))
        talk.emit(ReplyDelta(1, "So."))
        await desk.stop(1)

    play(script)
    assert [text for _, _, text in thread.writes] == ["**You:** Why?", "**Sidetone:** So."]


def test_long_captions_are_split() -> None:
    outlet = FakeThread()

    async def main() -> None:
        captions = Captions(outlet)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(captions.run())
            for _ in range(10):
                captions.feed(ReplyDelta(1, "word " * 100), [])
                await asyncio.sleep(0.9)
            captions.close()

    run_virtual(main())
    assert outlet.posts == 3
    assert all(len(text) <= 2000 for _, _, text in outlet.writes)
