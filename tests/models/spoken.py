"""What Kokoro says in the tests, and how loud it is. Both engines are judged by the same."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bot.events import SPEECH_RATE, Int16, Sentence, SpeechClip
from tests.wer import transcribe, wer

SENTENCES = [
    "Sure, let me check that.",
    "The function returns a list of user names, but the caller expects a dictionary.",
    "You forgot to close the file before you opened it again.",
    "I would add a test for the empty list first.",
    "The server is running, but the port is blocked by the firewall.",
    "That error means that the variable was never assigned.",
    "Try running the tests again with the verbose option.",
    "The loop never ends, because the counter is not increased.",
    "Your commit changed three files and removed ten lines.",
    "Have you tried restarting the database?",
    "It looks like the memory leak comes from the cache.",
    "The build failed on the second step with exit code one.",
    "I found two functions that do exactly the same thing.",
    "You can use a set here to remove the duplicates.",
    "The request timed out after nine seconds.",
    "This branch is five commits behind the main branch.",
    "No, a tuple cannot be changed after it has been created.",
    "The password should not be stored in the source code.",
    "There is a typing mistake in the name of the module.",
    "Everything passed, so you can merge it now.",
]


def sentence(spoken: str) -> Sentence:
    return Sentence(turn=1, index=0, text=spoken, spoken=spoken)


def understood(clip: SpeechClip) -> str:
    return transcribe(np.pad(clip.pcm, SPEECH_RATE // 4), SPEECH_RATE)


def word_errors(said: Sequence[str], heard: Sequence[str]) -> float:
    """Of all sentences together."""
    return wer(" ".join(said), " ".join(heard))


def peak(pcm: Int16) -> int:
    return int(np.abs(pcm.astype(np.int32)).max())


def rms(pcm: Int16) -> float:
    return float(np.sqrt(np.mean(pcm.astype(np.float64) ** 2)))


def voiced_rms(pcm: Int16) -> float:
    """Of the 20 ms pieces within 30 dB of the loudest: pauses do not count."""
    levels = np.sqrt(np.mean(pcm[: pcm.size // 480 * 480].reshape(-1, 480).astype(np.float64) ** 2, axis=1))
    return float(np.sqrt(np.mean(levels[levels > levels.max() / 31.6] ** 2)))


def decibels(pcm: Int16) -> float:
    return float(20 * np.log10(voiced_rms(pcm)))


def assert_loud_and_whole(clip: SpeechClip) -> None:
    assert clip.pcm.dtype == np.int16
    assert 15_000 < peak(clip.pcm) <= 32_000
    assert rms(clip.pcm) > 2_000
    assert 0 <= clip.leading_silence_s <= 0.03
    lead = round(clip.leading_silence_s * SPEECH_RATE)
    assert peak(clip.pcm[: max(lead, 1)]) < 600, "the lead is not silent"
    assert peak(clip.pcm[lead : lead + SPEECH_RATE // 20]) > 100, "nothing audible after the lead"
