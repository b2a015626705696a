"""The queue of sound that is being played: filled by the loop, emptied by the sound card's thread."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bot.audio.pcm import amplitude, fade_out
from bot.events import SPEECH_RATE, Int16

AUDIBLE = amplitude(-50.0)
"""Softer samples are the synthesiser's breath before the first sound."""
FADE_SAMPLES = SPEECH_RATE * 5 // 1000
"""A sound that just stops clicks."""


@dataclass(slots=True)
class _Reply:
    """What has happened since the last `clear`."""

    played: int = 0
    """Samples taken, padding not counted."""
    first_audible: float | None = None
    """Loop time in seconds."""
    audible_until: float = 0.0
    """Loop time in seconds at which the last sample taken so far leaves the loudspeaker."""
    ran_dry: bool = False


class Playback:
    """24 kHz mono. `wake` is called, on whatever thread, when something changed that a waiter may wait for: the first
    audible sample, nothing left, or less than `low_water_s` left."""

    def __init__(self, clock: Callable[[], float], wake: Callable[[], None], low_water_s: float = 20.0) -> None:
        self._clock = clock
        self._wake = wake
        self._low_water = round(low_water_s * SPEECH_RATE)
        self._lock = threading.Lock()
        self._clips: deque[Int16] = deque()
        self._queued = 0
        self._tail: Int16 = np.zeros(0, np.int16)
        self._reply = _Reply()
        self.underruns = 0
        """How often there was nothing to play in the middle of a reply."""

    @property
    def queued_s(self) -> float:
        return self._queued / SPEECH_RATE

    @property
    def idle(self) -> bool:
        """Everything has been taken, the fade after a `clear` too."""
        return not self._queued and not len(self._tail)

    @property
    def first_audible(self) -> float | None:
        return self._reply.first_audible

    @property
    def audible_until(self) -> float:
        return self._reply.audible_until

    def write(self, pcm: Int16) -> None:
        if not len(pcm):
            return
        with self._lock:
            if self._reply.ran_dry:
                self.underruns += 1
                self._reply.ran_dry = False
            self._clips.append(pcm)
            self._queued += len(pcm)
        self._wake()

    def pull(self, count: int, lead_s: float = 0.0) -> tuple[Int16, int]:
        """The next `count` samples, zeros where there are none, and how many of them are sound. The first leaves the
        loudspeaker `lead_s` from now."""
        out = np.zeros(count, np.int16)
        with self._lock:
            fade = min(count, len(self._tail))
            out[:fade] = self._tail[:fade]
            self._tail = self._tail[fade:]
            before = self._queued
            taken = self._take(out[fade:])
            wake = taken > 0 and (not self._queued or self._queued < self._low_water <= before)
            reply = self._reply
            if taken:
                begins = self._clock() + lead_s + fade / SPEECH_RATE
                reply.played += taken
                reply.audible_until = begins + taken / SPEECH_RATE
                if reply.first_audible is None:
                    loud = np.abs(out[fade : fade + taken].astype(np.int32)) > AUDIBLE
                    if loud.any():
                        reply.first_audible = begins + int(loud.argmax()) / SPEECH_RATE
                        wake = True
            if reply.played and fade + taken < count:
                reply.ran_dry = True
        if wake or (fade and not len(self._tail)):
            self._wake()
        return out, fade + taken

    def clear(self) -> int:
        """Drops what is left, but for a fade of 5 ms when it was sounding. Returns how many samples of it have left
        the loudspeaker; what the sound card has taken and not yet played is not counted."""
        with self._lock:
            ending = np.zeros(FADE_SAMPLES, np.int16)
            left = self._take(ending)
            reply, self._reply = self._reply, _Reply()
            if reply.played and left:
                self._tail = fade_out(ending[:left])
            self._clips.clear()
            self._queued = 0
        self._wake()
        unheard = round(max(0.0, reply.audible_until - self._clock()) * SPEECH_RATE)
        return max(0, reply.played - unheard)

    def _take(self, out: Int16) -> int:
        """Moves queued samples into `out`; how many."""
        done = 0
        while self._clips and done < len(out):
            clip = self._clips[0]
            part = clip[: len(out) - done]
            out[done : done + len(part)] = part
            done += len(part)
            if len(part) == len(clip):
                self._clips.popleft()
            else:
                self._clips[0] = clip[len(part) :]
        self._queued -= done
        return done
