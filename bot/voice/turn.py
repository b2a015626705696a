"""When does somebody start to speak, pause, and finish? Pure: audio time and probabilities in, signals out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from bot.events import TurnSignal


class TurnDetector(Protocol):
    """The seam for other ideas of an end of turn."""

    @property
    def silence_s(self) -> float:
        """Seconds since the last voiced frame."""

    @property
    def voiced_s(self) -> float:
        """Seconds of voice in a row that made it say STARTED."""

    def process(self, seconds: float, probability: float) -> TurnSignal:
        """Takes one frame: its length and its probability of speech."""

    def reset(self) -> None: ...


@dataclass(frozen=True, slots=True)
class TurnSettings:
    start_probability: float = 0.5
    """A silent frame becomes voiced at this probability,"""
    stay_probability: float = 0.35
    """and a voiced one stays so down to this one, so that soft syllables do not cut a word."""
    min_speech_s: float = 0.096
    """Voice in a row that counts as speech; shorter bursts are clicks."""
    pause_s: float = 0.2
    """Silence after which `PAUSED` is signalled."""
    end_silence_s: float = 0.6
    """Silence after which the turn is over."""
    max_speech_s: float = 60.0
    """A turn longer than this is ended wherever it is: somebody left a radio on."""


class SilenceTurnDetector:
    """Ends a turn after a fixed silence."""

    def __init__(self, settings: TurnSettings | None = None) -> None:
        self._settings = settings or TurnSettings()
        self.reset()

    def reset(self) -> None:
        self._speaking = False
        self._paused = False
        self._voiced = False
        self._voiced_s = 0.0
        self._turn_s = 0.0
        self._silence_s = 0.0

    @property
    def silence_s(self) -> float:
        return self._silence_s

    @property
    def voiced_s(self) -> float:
        return self._voiced_s

    def process(self, seconds: float, probability: float) -> TurnSignal:
        limits = self._settings
        threshold = limits.stay_probability if self._voiced else limits.start_probability
        self._voiced = probability >= threshold
        self._silence_s = 0.0 if self._voiced else self._silence_s + seconds
        if not self._speaking:
            return self._before_speech(seconds)
        self._turn_s += seconds
        if self._turn_s >= limits.max_speech_s or _reached(self._silence_s, limits.end_silence_s):
            self._start_over()
            return TurnSignal.ENDED
        if self._voiced and self._paused:
            self._paused = False
            return TurnSignal.RESUMED
        if not self._paused and _reached(self._silence_s, limits.pause_s):
            self._paused = True
            return TurnSignal.PAUSED
        return TurnSignal.NONE

    def _start_over(self) -> None:
        silence = self._silence_s
        self.reset()
        self._silence_s = silence

    def _before_speech(self, seconds: float) -> TurnSignal:
        self._voiced_s = self._voiced_s + seconds if self._voiced else 0.0
        if not _reached(self._voiced_s, self._settings.min_speech_s):
            return TurnSignal.NONE
        self._speaking = True
        self._turn_s = self._voiced_s
        return TurnSignal.STARTED


def _reached(total: float, limit: float) -> bool:
    """Sums of frame lengths miss round limits by rounding; a microsecond decides nothing."""
    return total >= limit - 1e-6
