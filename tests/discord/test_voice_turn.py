"""`python -m bot` in a voice channel: a recording is spoken into its microphone, and Discord hears the answer."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Iterator

import numpy as np
import pytest

from bot.events import Int16
from tests.audio.pulse import PulseDaemon
from tests.discord.conftest import PROJECT, BotProcess, log_in
from tests.discord.hearing import audible, direct, hears
from tests.discord.listener import RATE, sound
from tests.discord.loopback import Loopback
from tests.discord.world import OWNER, TOKEN, VOICE
from tests.wer import transcribe, wer

HERALDED_S = 0.15
"""The first sound of an answer may be here so much before the bot says that it has left."""
AUDIO = PROJECT / "tests" / "audio"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(240),
    pytest.mark.skipif(not list((PROJECT / "models").glob("llm/*.gguf")), reason="python -m bot models fetch"),
]


@pytest.fixture(scope="module")
def pulse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PulseDaemon]:
    with PulseDaemon(tmp_path_factory.mktemp("pulse")) as daemon:
        yield daemon


@pytest.fixture(scope="module")
def bot(loopback: Loopback, pulse: PulseDaemon) -> Iterator[BotProcess]:
    loopback.voice.present = {OWNER: VOICE}
    process = log_in(
        loopback,
        "-m",
        "bot",
        limit_s=90,
        MODEL_PROFILE="embedded",
        LLM_SEED="1",
        PULSE_SERVER=pulse.server,
        LOG_LEVEL="debug",
    )
    yield process
    try:
        process.signal(signal.SIGTERM)
        assert process.wait(15) == 0, process.output
        assert "Traceback" not in process.output
        assert TOKEN not in process.output
        assert loopback.voice.bot_channel is None
    finally:
        process.kill()


def told(bot: BotProcess, event: str, since: float) -> float | None:
    """When the bot itself saw the first such event after `since`; its clock is the machine's, as ours is."""
    times = (float(at) for at in re.findall(rf"{event} of turn \d+ at ([\d.]+) s", bot.output))
    return next((at for at in times if at >= since), None)


def until_silence(loopback: Loopback, since: float, gap_s: float, limit_s: float = 60.0) -> Int16:
    """All that is heard from `since` on until nothing is for `gap_s`."""

    def over() -> bool:
        heard = audible(loopback, since)
        return bool(heard) and time.monotonic() - heard[-1].at > gap_s

    loopback.wait("the end of the sound", over, limit_s)
    heard = [each for each in loopback.voice.heard if each.at >= since]
    return sound(heard)


def test_a_spoken_question_is_answered_aloud_and_in_writing(
    loopback: Loopback, bot: BotProcess, pulse: PulseDaemon
) -> None:
    assert "Voice in Discord is ready." in bot.output
    before = len(loopback.messages)
    assert direct(loopback) < 3.0
    switched_in_mid_call(loopback)
    asked = time.monotonic()
    pulse.say(AUDIO / "question_undo.wav").wait(20)
    question = loopback.wait_for_text("**You:** ", 30, before)
    assert wer("How do I undo my last commit?", question.text.removeprefix("**You:** ")) <= 0.2
    answer = loopback.wait_for_text("**Sidetone:** ", 60, before)
    pcm = until_silence(loopback, asked, gap_s=1.0)
    assert all(each.encrypted for each in audible(loopback, asked))
    written = answer.text.removeprefix("**Sidetone:** ")
    heard = transcribe(pcm, RATE)
    assert wer(spoken_words(written), heard) <= 0.10, (written, heard)
    assert 10_000 < np.abs(pcm.astype(int)).max() < 32_767


def switched_in_mid_call(loopback: Loopback) -> None:
    """Both lead to the same source here; for the bot they are two microphones."""
    before = len(loopback.messages)
    loopback.say(OWNER, "!mic")
    shown = loopback.wait_for_text("The microphones of this PC", after=before).text
    other = "pulse" if re.search(r"^> +\d+  default$", shown, re.MULTILINE) else "default"
    loopback.say(OWNER, f"!mic {other}")
    loopback.wait_for_text(f"I listen with `{other}` now.", after=before)


def spoken_words(written: str) -> str:
    return written.replace("`", "").replace("*", "")


def test_speaking_over_the_answer_ends_it(loopback: Loopback, bot: BotProcess, pulse: PulseDaemon) -> None:
    if loopback.voice.bot_channel is None:
        direct(loopback)
    before, asked = len(loopback.messages), time.monotonic()
    pulse.say(AUDIO / "question_decorator.wav").wait(20)
    hears(loopback, asked, 60)
    time.sleep(1.0)
    began = time.monotonic()
    pulse.say(AUDIO / "question_status.wav").wait(20)
    onset = loopback.wait("that it hears the voice", lambda: told(bot, "speech_started", began))
    loopback.wait_for_text("*(you cut in)*", 20, before)
    loopback.wait_for_text("**You:** Stop", 30, before)
    anew = loopback.wait("the new answer", lambda: told(bot, "first_audio", onset), 60)
    assert [each for each in audible(loopback, asked) if onset - 0.5 < each.at < onset], "nothing was cut off"
    late = [each.at - onset for each in audible(loopback, onset + 0.2) if each.at < anew - HERALDED_S]
    assert not late, f"heard {late[0]:.2f} to {late[-1]:.2f} s after the onset"
    loopback.say(OWNER, "!stop")
    loopback.wait("that it is gone", lambda: loopback.voice.bot_channel is None)


def test_a_text_is_said_with_the_chosen_voice(loopback: Loopback, bot: BotProcess) -> None:
    direct(loopback)
    loopback.say(OWNER, "!voice am_michael")
    loopback.wait_for_text("I speak as `am_michael`")
    began, text = time.monotonic(), "The build is green and all tests have passed."
    loopback.say(OWNER, f"!say {text}")
    # On a busy machine the second clause takes its time.
    pcm = until_silence(loopback, began, gap_s=5.0)
    assert wer(text, transcribe(pcm, RATE)) <= 0.10
    loopback.say(OWNER, "!mute")
    loopback.wait_for_text("I do not listen")


def test_calls_leave_no_thread_and_no_socket_behind(loopback: Loopback, bot: BotProcess) -> None:
    counts = []
    for _ in range(4):
        if loopback.voice.bot_channel is None:
            direct(loopback)
        loopback.say(OWNER, "!stop")
        loopback.wait("that it is gone", lambda: loopback.voice.bot_channel is None)
        time.sleep(1.0)
        counts.append((bot.threads(), bot.sockets()))
    assert all(last <= second for last, second in zip(counts[-1], counts[1], strict=True)), counts
