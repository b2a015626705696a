"""The bot in a voice channel, heard by whoever listens there; the conversation behind it is scripted."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np
import pytest

from tests.discord import world
from tests.discord.conftest import BotProcess
from tests.discord.hearing import audible, direct, hears, outside_a_call, say, voice_bot
from tests.discord.listener import RATE, sound
from tests.discord.loopback import Loopback
from tests.discord.network import VOICE_HOSTS
from tests.discord.world import FRIEND, OTHER_VOICE, OWNER, VOICE

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def bot(loopback: Loopback) -> Iterator[BotProcess]:
    with voice_bot(loopback) as process:
        yield process


@pytest.fixture(autouse=True)
def quiet(loopback: Loopback, bot: BotProcess) -> Iterator[None]:
    with outside_a_call(loopback):
        yield


@pytest.mark.parametrize("encrypted", [True, False], ids=["dave", "plain"])
def test_a_tone_arrives_whole(loopback: Loopback, bot: BotProcess, encrypted: bool) -> None:
    loopback.voice.dave = encrypted
    direct(loopback)
    began = say(loopback, "tone 2")
    hears(loopback, began)
    loopback.wait("the end", lambda: not audible(loopback, time.monotonic() - 0.5))
    tones = audible(loopback, began)
    assert all(each.encrypted == encrypted for each in tones)
    assert loopback.voice.connection.listener.unreadable == 0
    assert len(tones) == pytest.approx(100, abs=2)
    assert all(later.sequence - earlier.sequence == 1 for earlier, later in pairwise(tones))
    assert all(later.timestamp - earlier.timestamp == 960 for earlier, later in pairwise(tones))
    pcm = sound(tones)[RATE // 5 : -RATE // 5].astype(float)
    spectrum = np.abs(np.fft.rfft(pcm * np.hanning(len(pcm))))
    peak = int(spectrum.argmax())
    assert peak * RATE / len(pcm) == pytest.approx(440.0, abs=1.0)
    beside = np.delete(spectrum, slice(max(0, peak - 10), peak + 10))
    assert spectrum[peak] > 30 * beside.max(), "the tone has clicks in it"


def test_joining_takes_no_half_second_in_a_silent_channel(loopback: Loopback, bot: BotProcess) -> None:
    """py-cord alone takes up to five seconds."""
    began = time.monotonic()
    direct(loopback)
    assert loopback.voice.connection.described - began < 0.5


def test_interrupted_sound_ends_at_once(loopback: Loopback, bot: BotProcess) -> None:
    direct(loopback)
    began = say(loopback, "tone 20")
    hears(loopback, began)
    time.sleep(1)
    said = bot.output.count("cut ")
    say(loopback, "cut")
    loopback.wait("the cut", lambda: bot.output.count("cut ") > said)
    time.sleep(1)
    at = float(re.findall(r"cut ([\d.]+)", bot.output)[-1])
    assert audible(loopback, began)[-1].at - at < 0.2
    after = say(loopback, "tone 1")
    hears(loopback, after)


def test_what_is_said_is_written_and_the_card_is_kept(loopback: Loopback, bot: BotProcess) -> None:
    before = len(loopback.messages)
    direct(loopback)
    card = loopback.wait_for_text("Speak now", after=before)
    assert card.raw["channel_id"] == str(world.CHANNEL)
    say(loopback, "answer What is it?")
    loopback.wait("that it speaks", lambda: "speaking" in card.text)
    loopback.wait_for_text("**You:** What is it?", after=before)
    loopback.wait_for_text("**Sidetone:** It begins and ends.", after=before)
    loopback.wait("that it listens", lambda: "listening" in card.text)
    loopback.say(OWNER, "!mute")
    loopback.wait("that it is muted", lambda: "🔇 muted" in card.text)
    assert "muted True" in bot.output
    loopback.slash(OWNER, "unmute")
    loopback.wait("that it listens", lambda: "listening" in card.text)
    say(loopback, "fail")
    loopback.wait_for_text("⚠️ The voice failed; try again.", after=before)
    assert min(later - earlier for earlier, later in pairwise(card.times)) > 0.95
    loopback.slash(OWNER, "stop")
    loopback.wait("the end on the card", lambda: "has ended" in card.text)
    loopback.wait_for_text("I have left the voice channel.", after=before)


def test_voices(loopback: Loopback, bot: BotProcess) -> None:
    loopback.say(OWNER, "!voice")
    loopback.wait_for_text("I speak as `af_heart`. There are: af_heart, am_michael.")
    loopback.slash(OWNER, "voice", name="am_michael")
    loopback.wait_for_text("From the next sentence on I speak as `am_michael`.")
    loopback.say(OWNER, "!voice nobody")
    loopback.wait_for_text('There is no voice "nobody".')


def test_microphones(loopback: Loopback, bot: BotProcess) -> None:
    loopback.say(OWNER, "!mic")
    shown = loopback.wait_for_text("The microphones of this PC").text
    assert ">  0  Headset @everyone\n   1  Webcam" in shown
    loopback.slash(OWNER, "mic", device="1")
    loopback.wait_for_text("I listen with `Webcam \u02cbx\u02cb` now.")
    loopback.say(OWNER, "!mic")
    loopback.wait_for_text("   0  Headset @everyone\n>  1  Webcam")
    loopback.say(OWNER, "!mic nobody")
    loopback.wait_for_text("There is no microphone 'nobody'.")


def test_commands_without_a_call(loopback: Loopback, bot: BotProcess) -> None:
    for text in ("!mute", "!unmute", "!say hello", "!stop"):
        before = len(loopback.messages)
        loopback.say(OWNER, text)
        loopback.wait_for_text("There is no spoken conversation.", after=before)
    before = len(loopback.messages)
    loopback.say(OWNER, "!say")
    loopback.wait_for_text("There is nothing to say.", after=before)
    loopback.move(OWNER, None)
    loopback.slash(OWNER, "direct")
    loopback.wait_for_text("Join a voice channel first", after=before)


def test_one_conversation_at_a_time(loopback: Loopback, bot: BotProcess) -> None:
    direct(loopback)
    before = len(loopback.messages)
    loopback.slash(OWNER, "direct")
    loopback.wait_for_text("I am already talking in", after=before)


def test_a_speaker_who_leaves_does_not_end_the_call(loopback: Loopback, bot: BotProcess) -> None:
    """py-cord alone stops reading the voice websocket then."""
    direct(loopback)
    loopback.run(loopback.voice.speaks(FRIEND))
    loopback.run(loopback.voice.leaves(FRIEND))
    loopback.run(loopback.voice.speaks(OWNER))
    connection = loopback.voice.connection
    loopback.wait("that it goes on reading", lambda: connection.acknowledged == connection.sequence, 8)
    assert loopback.voice.connection is connection
    hears(loopback, say(loopback, "tone 0.5"))


def test_members_who_come_and_go_in_mid_speech(loopback: Loopback, bot: BotProcess) -> None:
    """The keys change each time; whoever is there hears all of it, whoever has left nothing more."""
    direct(loopback)
    began = say(loopback, "tone 5")
    hears(loopback, began)
    time.sleep(0.5)
    friend = loopback.run(loopback.voice.joins_group(FRIEND))
    joined = time.monotonic()
    loopback.move(FRIEND, VOICE)
    loopback.run(loopback.voice.speaks(FRIEND))
    time.sleep(1.2)
    parting = time.monotonic()
    loopback.move(FRIEND, None)
    loopback.run(loopback.voice.leaves_group(FRIEND))
    left, so_far = time.monotonic(), len(friend.tries)
    time.sleep(1)
    tones = audible(loopback, began)
    listener = loopback.voice.connection.listener
    assert listener
    assert listener.unreadable == 0
    assert all(each.encrypted for each in tones)
    assert tones[-1].at > left + 0.8, "it fell silent"
    assert all(later.sequence - earlier.sequence == 1 for earlier, later in pairwise(tones))
    heard = [ok for at, ok in friend.tries if joined + 0.2 < at < parting]
    assert len(heard) > 30
    assert all(heard)
    assert len(friend.tries) == so_far
    late = listener.last_encrypted
    assert friend.decrypt(late) is None, "who has left still understands"


def test_another_region_leaves_no_hole(loopback: Loopback, bot: BotProcess) -> None:
    direct(loopback)
    began = say(loopback, "tone 6")
    hears(loopback, began)
    time.sleep(1)
    connections = len(loopback.voice.connections)
    loopback.gateway.region = VOICE_HOSTS[1]
    loopback.run(loopback.gateway.update_voice_server())
    loopback.wait("the other region", lambda: len(loopback.voice.connections) > connections)
    loopback.wait("its keys", lambda: loopback.voice.connection.described > 0)
    time.sleep(2)
    assert loopback.voice.connection.host.startswith(VOICE_HOSTS[1])
    heard = [each.at for each in audible(loopback, began)]
    assert max(later - earlier for earlier, later in pairwise(heard)) < 0.5


@pytest.mark.parametrize("code", [4006, 4015, 4009, 1006])
def test_a_lost_connection_is_made_anew(loopback: Loopback, bot: BotProcess, code: int) -> None:
    direct(loopback)
    connections = len(loopback.voice.connections)
    loopback.run(loopback.voice.crash(4000 if code == 1006 else code))
    loopback.wait("another connection", lambda: len(loopback.voice.connections) > connections)
    loopback.wait("its keys", lambda: loopback.voice.connection.described > 0)
    time.sleep(0.3)
    hears(loopback, say(loopback, "tone 0.5"))


def test_a_connection_that_dies_without_a_word_is_made_anew(loopback: Loopback, bot: BotProcess) -> None:
    direct(loopback)
    connections = len(loopback.voice.connections)
    loopback.voice.connection.dead = True
    loopback.wait("another connection", lambda: len(loopback.voice.connections) > connections, 20)
    loopback.wait("its keys", lambda: loopback.voice.connection.described > 0)
    time.sleep(0.3)
    hears(loopback, say(loopback, "tone 0.5"))


def test_a_connection_that_is_lost_at_once_is_tried_again(loopback: Loopback, bot: BotProcess) -> None:
    direct(loopback)
    connections = len(loopback.voice.connections)
    loopback.voice.crash_with = 4015
    loopback.run(loopback.voice.crash(4015))
    loopback.wait("a third connection", lambda: len(loopback.voice.connections) >= connections + 2, 8)
    loopback.wait("its keys", lambda: loopback.voice.connection.described > 0)
    time.sleep(0.3)
    hears(loopback, say(loopback, "tone 0.5"))


def kicked(loopback: Loopback) -> None:
    loopback.run(loopback.gateway.move_bot(None))
    loopback.run(loopback.voice.crash(4014))


@pytest.mark.parametrize("how", [kicked, lambda loopback: loopback.run(loopback.voice.crash(4014))])
def test_thrown_out(loopback: Loopback, bot: BotProcess, how: Callable[[Loopback], None]) -> None:
    before = len(loopback.messages)
    direct(loopback)
    # Somebody has to see the bot there first.
    hears(loopback, say(loopback, "tone 0.5"))
    how(loopback)
    loopback.wait_for_text("I was disconnected from the voice channel", after=before)
    loopback.wait("that it is gone", lambda: loopback.voice.bot_channel is None)
    direct(loopback)


def test_a_moderator_moves_the_bot(loopback: Loopback, bot: BotProcess) -> None:
    direct(loopback)
    loopback.move(OWNER, OTHER_VOICE)
    connections = len(loopback.voice.connections)
    loopback.run(loopback.gateway.move_bot(OTHER_VOICE))
    loopback.wait("the other channel", lambda: len(loopback.voice.connections) > connections)
    loopback.wait("its keys", lambda: loopback.voice.connection.described > 0)
    time.sleep(0.3)
    hears(loopback, say(loopback, "tone 0.5"))


def test_refused_connections_are_explained(loopback: Loopback, bot: BotProcess) -> None:
    for code, words in ((4017, "Discord lets only end-to-end encrypted voice"), (4011, "(code 4011)")):
        before = len(loopback.messages)
        loopback.voice.refuse_with = code
        loopback.say(OWNER, "!direct")
        loopback.wait_for_text(words, after=before)
        loopback.wait("that it is gone", lambda: loopback.voice.bot_channel is None)


def test_it_leaves_when_everybody_has_left(loopback: Loopback, bot: BotProcess) -> None:
    before = len(loopback.messages)
    direct(loopback)
    loopback.move(OWNER, None)
    loopback.wait_for_text("Everybody has left the voice channel", 15, before)
    assert loopback.voice.bot_channel is None
