"""Sounds for the tests of hearing: noise of many kinds, words by espeak-ng, recordings with what is said in them."""

from __future__ import annotations

import ctypes
import functools
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from bot.events import MIC_RATE, Int16

Float = npt.NDArray[np.float64]
AUDIO = Path(__file__).resolve().parents[1] / "audio"
NUMBERS = {"2": "two", "4": "four", "5": "five", "7": "seven", "8": "eight", "10": "ten", "mr": "mister"}


def normal(text: str) -> str:
    """For comparing: lower case, no punctuation, numbers as words."""
    words = re.sub(r"[^a-z0-9' ]", " ", text.lower().replace("-", " ")).split()
    return " ".join(NUMBERS.get(word, word) for word in words)


def read(path: Path) -> Int16:
    sound, rate = soundfile.read(path, dtype="float32", always_2d=True)
    mono = sound.mean(axis=1)
    return pcm(mono if rate == MIC_RATE else soxr.resample(mono, rate, MIC_RATE))


def pcm(sound: npt.NDArray[np.floating]) -> Int16:
    return np.clip(np.round(sound * 32767), -32768, 32767).astype(np.int16)


def in_a_room(speech: Int16, noise_db: float = -60.0) -> Int16:
    """As the microphone hears it: 0.3 s before and 0.2 s after, with a little noise over all."""
    padded = np.concatenate([np.zeros(4800), speech / 32768, np.zeros(3200)])
    return pcm(padded + np.random.default_rng(3).standard_normal(len(padded)) * gain(noise_db))


def gain(db: float) -> float:
    return float(10 ** (db / 20))


def quieter(speech: Int16, db: float) -> Int16:
    return pcm(speech / 32768 * gain(db))


def noises(seconds: float) -> Iterator[tuple[str, Int16]]:
    """Everything that is no speech and that a microphone in a room may hear."""
    n, rng = round(seconds * MIC_RATE), np.random.default_rng(round(seconds * 10))
    t = np.arange(n) / MIC_RATE

    def tones(*frequencies: float) -> Float:
        return np.sum([np.sin(2 * np.pi * f * t) for f in frequencies], axis=0) / len(frequencies)

    yield "digital silence", pcm(np.zeros(n))
    for db in (-70, -50, -30, -15):
        yield f"white noise {db} dB", pcm(rng.standard_normal(n) * gain(db))
    for db in (-60, -40, -20):
        yield f"pink noise {db} dB", pcm(_shaped(rng, n, "pink") * gain(db))
    for frequency in (100, 440, 1000):
        yield f"sine {frequency} Hz", pcm(tones(frequency) * 0.3)
    yield "chord", pcm(tones(261.6, 329.6, 392, 523) * 0.3)
    yield "music", pcm(_music(n) * 0.5)
    yield "quiet music", pcm(_music(n) * 0.05)
    yield "keyboard", pcm(_clicks(rng, n) * 0.5)
    yield "quiet keyboard", pcm(_clicks(rng, n) * 0.05 + rng.standard_normal(n) * gain(-60))
    breath = _shaped(rng, n, "breath") * np.maximum(0, np.sin(2 * np.pi * t / 2.5)) ** 2
    yield "breath", pcm(breath * 0.05)
    yield "quiet breath", pcm(breath * 0.01)
    yield "hum", pcm(tones(50, 100, 150) * 0.1)
    yield "hum and noise", pcm(tones(50, 100, 150) * 0.05 + _shaped(rng, n, "pink") * 0.01)


def _shaped(rng: np.random.Generator, n: int, kind: str) -> Float:
    spectrum, frequency = np.fft.rfft(rng.standard_normal(n)), np.fft.rfftfreq(n, 1 / MIC_RATE)
    if kind == "pink":
        spectrum /= np.sqrt(np.maximum(frequency, frequency[1]))
    else:
        low, high = {"breath": (300, 3500), "click": (1500, 6500)}[kind]
        spectrum[(frequency < low) | (frequency > high)] = 0
    sound: Float = np.fft.irfft(spectrum, n)
    return sound / (np.std(sound) + 1e-9)


def _music(n: int) -> Float:
    """Chords that are struck and fade, two a second."""
    beat = np.arange(MIC_RATE // 2) / MIC_RATE
    fade = np.exp(-3 * beat) * np.minimum(1, beat / 0.01)
    chords = ((261.6, 329.6, 392), (220, 261.6, 329.6), (174.6, 220, 261.6), (196, 246.9, 293.7))
    struck = [
        np.sum([np.sin(2 * np.pi * f * h * beat) / h for f in chord for h in (1, 2, 3)], axis=0) * fade
        for chord in chords
    ]
    sound = np.concatenate([struck[i % 4] for i in range(n // len(beat) + 1)])[:n]
    return sound / np.max(np.abs(sound))


def _clicks(rng: np.random.Generator, n: int) -> Float:
    sound, at = np.zeros(n), MIC_RATE // 20
    while at < n:
        length = int(rng.uniform(0.004, 0.02) * MIC_RATE)
        click = _shaped(rng, length, "click") * np.exp(-np.arange(length) / (length / 4)) * rng.uniform(0.3, 1)
        sound[at : at + length] += click[: n - at]
        at += int(rng.uniform(0.06, 0.3) * MIC_RATE)
    return sound / (np.max(np.abs(sound)) + 1e-9)


@functools.cache
def _espeak() -> tuple[ctypes.CDLL, int]:
    import espeakng_loader

    library = ctypes.CDLL(espeakng_loader.get_library_path())
    retrieval = 1
    rate = library.espeak_Initialize(retrieval, 0, str(espeakng_loader.get_data_path()).encode(), 0)
    assert rate > 0, "espeak-ng did not start"
    return library, rate


def say(text: str, voice: str = "en") -> Int16:
    """espeak-ng, from the library that the bot's requirements bring along: robotic, but in many languages."""
    library, rate = _espeak()
    heard: list[Int16] = []

    @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
    def collect(samples: ctypes._Pointer[ctypes.c_short], count: int, _events: object) -> int:
        if samples and count:
            heard.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0

    library.espeak_SetSynthCallback(collect)
    assert library.espeak_SetVoiceByName(voice.encode()) == 0, f"espeak-ng has no voice {voice}"
    data, utf8 = text.encode(), 1
    library.espeak_Synth(data, len(data) + 1, 0, 1, 0, utf8, None, None)
    library.espeak_Synchronize()
    return pcm(soxr.resample(np.concatenate(heard) / 32768, rate, MIC_RATE))
