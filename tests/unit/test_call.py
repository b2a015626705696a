"""The composed conversation behind `!direct`, with stand-ins for microphone and models, on a virtual clock."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from bot import call, config
from bot.audio.choice import MicrophoneChoice
from bot.audio.outputs import PacedOutput
from bot.call import SpokenConversation
from bot.engines import Voice
from bot.errors import StageError, UnavailableFeature
from tests.fakes import FakeBrain, FakeStt, FakeTts, LoudnessVad, Recorder, ScriptedMicrophone
from tests.virtual_clock import run_virtual

TEXT = "The build is green. All of the tests have passed on every machine. There is nothing left to do."


@pytest.fixture
def microphone(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, float]]:
    """When somebody speaks."""
    speech: list[tuple[float, float]] = []

    async def opened(*_: object) -> ScriptedMicrophone:
        return ScriptedMicrophone(speech, 60)

    monkeypatch.setattr(call, "open_microphone", opened)
    return speech


def hold(
    script: Callable[[SpokenConversation], Awaitable[None]], tts: FakeTts | None = None, **settings: str
) -> tuple[Recorder, FakeTts]:
    tts, seen = tts or FakeTts(), Recorder()

    async def main() -> None:
        voice = Voice(LoudnessVad(), FakeStt(["What is it?", "And then?"]), tts)
        brain = FakeBrain(["It is a test.", "Then it ends."])
        talk = SpokenConversation(
            config.load(None, settings), voice, lambda each: each, ["af_heart"], MicrophoneChoice("sounddevice", "")
        )
        with pytest.raises(UnavailableFeature, match="no spoken conversation"):
            await talk.say("Hello.")
        async with asyncio.TaskGroup() as tasks:
            holding = tasks.create_task(talk.hold(PacedOutput(), brain, seen))
            await asyncio.sleep(0.2)
            await script(talk)
            holding.cancel()

    run_virtual(main())
    return seen, tts


def test_a_text_is_said_to_its_end(microphone: list[tuple[float, float]]) -> None:
    async def script(talk: SpokenConversation) -> None:
        began = asyncio.get_running_loop().time()
        await talk.say(TEXT)
        words = len(TEXT.split())
        assert asyncio.get_running_loop().time() - began == pytest.approx(0.3 * words, abs=1.5)
        talk.choose_voice("am_michael")
        with pytest.raises(UnavailableFeature, match="nothing in this"):
            await talk.say("```\nx = 1\n```")

    _, tts = hold(script)
    assert " ".join(tts.spoken) == TEXT
    assert tts.voice == "am_michael"


def test_speaking_over_it_cuts_it_off_and_is_answered(microphone: list[tuple[float, float]]) -> None:
    microphone.append((1.0, 2.0))

    async def script(talk: SpokenConversation) -> None:
        await talk.say(TEXT)
        assert asyncio.get_running_loop().time() < 1.5
        await asyncio.sleep(6)

    seen, _ = hold(script)
    assert "reply_done" in seen.names()


def test_a_second_text_is_refused_and_the_end_of_the_call_ends_the_first(microphone: list[tuple[float, float]]) -> None:
    async def script(talk: SpokenConversation) -> None:
        async with asyncio.TaskGroup() as tasks:
            first = tasks.create_task(talk.say(TEXT))
            await asyncio.sleep(0.5)
            with pytest.raises(UnavailableFeature, match="already"):
                await talk.say("Hello.")
            first.cancel()

    hold(script)


def test_the_voice_that_fails_is_said(microphone: list[tuple[float, float]]) -> None:
    async def script(talk: SpokenConversation) -> None:
        with pytest.raises(StageError, match="It failed"):
            await talk.say(TEXT)
        await talk.say("Short.")

    hold(script, FakeTts(failure=StageError("It failed.")))


def test_a_muted_microphone_hears_nothing(microphone: list[tuple[float, float]]) -> None:
    microphone += [(1.0, 2.0), (6.0, 7.0)]

    async def script(talk: SpokenConversation) -> None:
        talk.mute(True)
        await asyncio.sleep(4)
        talk.mute(False)
        await asyncio.sleep(8)

    seen, _ = hold(script)
    assert [event.text for _, event in seen.named("transcript")] == ["What is it?"]  # type: ignore[attr-defined]
    assert seen.named("speech_started")[0][0] > 6


def test_without_barge_in_it_does_not_hear_itself(microphone: list[tuple[float, float]]) -> None:
    microphone.append((1.0, 2.0))

    async def script(talk: SpokenConversation) -> None:
        await talk.say(TEXT)

    seen, tts = hold(script, BARGE_IN="off")
    assert "speech_started" not in seen.names()
    assert " ".join(tts.spoken) == TEXT


def test_what_was_heard_when_the_call_ended_is_kept(microphone: list[tuple[float, float]]) -> None:
    microphone.append((0.3, 1.0))

    async def script(talk: SpokenConversation) -> None:
        # In the middle of the answer, which takes 1.2 s to say.
        await asyncio.sleep(3.5)

    seen, _ = hold(script)
    ((_, cut),) = seen.named("interrupted")
    assert cut.heard.startswith("It is")  # type: ignore[attr-defined]
    assert "reply_done" not in seen.names()
