"""The source of the bot's voice, as py-cord's thread reads it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import numpy as np
import pytest

from bot.audio.speaker import PlaybackSpeaker
from bot.chat.doubling import Doubler
from bot.chat.live_source import FRAME_BYTES, IDLE_S, LiveSource
from bot.events import SPEECH_RATE, Int16, Sentence, SpeechClip
from tests.virtual_clock import run_virtual

FRAME_S = 0.02


@pytest.mark.parametrize("hz", [50, 440, 4000, 9000])
def test_doubling_keeps_a_tone_and_adds_no_other(hz: int) -> None:
    doubler = Doubler()
    tone = np.rint(20_000 * np.sin(2 * np.pi * hz * np.arange(SPEECH_RATE) / SPEECH_RATE)).astype(np.int16)
    out = np.concatenate([doubler.feed(part) for part in np.split(tone, 50)]).astype(float)
    spectrum = np.abs(np.fft.rfft(out[2000:] * np.blackman(len(out) - 2000)))
    per_hz = (len(out) - 2000) / 48_000
    at = round(hz * per_hz)
    assert abs(int(spectrum.argmax()) - at) <= 1
    rest = np.delete(spectrum, slice(max(0, at - 5), at + 6))
    assert 20 * np.log10(spectrum.max() / rest.max()) > 60


def test_doubling_is_exact_on_silence_and_does_not_wrap_around() -> None:
    assert not Doubler().feed(np.zeros(960, np.int16)).any()
    square = np.repeat(np.tile(np.array([32767, -32768], np.int16), 30), 16)
    out = Doubler().feed(square)
    assert (np.sign(out[0::2]) * np.sign(out[1::2]) >= 0).mean() > 0.9


def clip(pcm: Int16) -> SpeechClip:
    return SpeechClip(Sentence(1, 0, "", ""), pcm, 0.0, 0.0)


def sine(seconds: float, begin: float = 0.0) -> Int16:
    at = np.arange(round(seconds * SPEECH_RATE)) / SPEECH_RATE + begin
    return np.asarray(9000 * np.sin(2 * np.pi * 440 * at), np.int16)


class Player:
    """py-cord's thread, on the loop's clock."""

    def __init__(self, source: LiveSource) -> None:
        self._source = source
        self.heard: list[Int16] = []

    async def run(self, seconds: float) -> None:
        for _ in range(round(seconds / FRAME_S)):
            frame = self._source.read()
            assert len(frame) == FRAME_BYTES
            stereo = np.frombuffer(frame, np.int16).reshape(-1, 2)
            assert (stereo[:, 0] == stereo[:, 1]).all()
            self.heard.append(stereo[:, 0])
            await asyncio.sleep(FRAME_S)

    @property
    def sound(self) -> Int16:
        return np.concatenate(self.heard)


def played(script: Callable[[PlaybackSpeaker, LiveSource, Player], object]) -> Player:
    async def main() -> Player:
        source = LiveSource()
        player = Player(source)
        async with PlaybackSpeaker(source, lambda error: None) as speaker:
            await script(speaker, source, player)  # type: ignore[misc]
        return player

    return run_virtual(main())


def test_it_is_silent_and_endless_when_there_is_nothing_to_say() -> None:
    async def script(speaker: PlaybackSpeaker, source: LiveSource, player: Player) -> None:
        await player.run(3)
        assert source.frames == 150

    assert not played(script).sound.any()


@pytest.mark.parametrize("length", [100, 479, 480, 481, 24_000])
def test_clips_of_any_length_come_out_whole(length: int) -> None:
    async def script(speaker: PlaybackSpeaker, source: LiveSource, player: Player) -> None:
        await speaker.play(clip(np.full(length, 8000, np.int16)))
        await player.run(1.5)

    total = played(script).sound.astype(float).sum()
    assert total == pytest.approx(8000 * length * 2, rel=0.01, abs=200)


def test_two_clips_follow_each_other_without_a_click() -> None:
    async def script(speaker: PlaybackSpeaker, source: LiveSource, player: Player) -> None:
        for part in range(5):
            await speaker.play(clip(sine(0.333, part * 0.333)))
        await player.run(2)

    sound = played(script).sound.astype(float)
    loud = np.flatnonzero(np.abs(sound) > 4000)
    middle = sound[loud[0] + 480 : loud[-1] - 480]
    # The steepest step of this sine at 48 kHz; a click is steeper.
    assert np.abs(np.diff(middle)).max() < 9000 * 2 * np.pi * 440 / 48_000 * 1.02
    assert len(middle) / 48_000 == pytest.approx(5 * 0.333, abs=0.05)


def test_clear_fades_within_a_frame_and_counts_what_was_heard() -> None:
    async def script(speaker: PlaybackSpeaker, source: LiveSource, player: Player) -> None:
        await speaker.play(clip(sine(5)))
        await player.run(1)
        assert speaker.clear() / SPEECH_RATE == pytest.approx(1.0, abs=0.05)
        await player.run(1)
        await speaker.drained()

    sound = played(script).sound.astype(float)
    end = np.flatnonzero(np.abs(sound) > 100)[-1] / 48_000
    assert 1.0 <= end < 1.06
    assert np.abs(np.diff(sound)).max() < 1200
    assert not sound[round(1.1 * 48_000) :].any()


def test_first_audible_drained_and_underruns() -> None:
    async def script(speaker: PlaybackSpeaker, source: LiveSource, player: Player) -> None:
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(player.run(4))
            await asyncio.sleep(1)
            await speaker.play(clip(np.concatenate([np.zeros(2400, np.int16), sine(1)])))
            assert await speaker.first_audible() == pytest.approx(1.1, abs=0.05)
            await speaker.drained()
            assert loop.time() == pytest.approx(2.1, abs=0.1)
            await asyncio.sleep(0.3)
            await speaker.play(clip(sine(0.2)))
            await speaker.drained()
            assert speaker.playback.underruns == 1

    played(script)


def test_too_much_waits_until_some_of_it_was_said() -> None:
    async def script(speaker: PlaybackSpeaker, source: LiveSource, player: Player) -> None:
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(player.run(8))
            for _ in range(4):
                await speaker.play(clip(sine(8)))
            assert loop.time() > 3.5

    played(script)


def test_the_ring_goes_out_in_silence_and_lights_for_the_next_words() -> None:
    async def main() -> None:
        lit: list[tuple[float, bool]] = []
        loop = asyncio.get_running_loop()
        source = LiveSource(lambda: lit.append((loop.time(), False)), lambda: lit.append((loop.time(), True)))
        player = Player(source)
        async with PlaybackSpeaker(source, lambda error: None) as speaker, asyncio.TaskGroup() as tasks:
            tasks.create_task(player.run(30))
            await asyncio.sleep(IDLE_S + 2)
            assert lit == [(pytest.approx(IDLE_S), False)]
            await speaker.play(clip(sine(1)))
            await speaker.drained()
            assert lit[-1] == (pytest.approx(IDLE_S + 2, abs=0.1), True)

    run_virtual(main())
