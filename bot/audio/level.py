"""How loud the microphone is, and the two faults that a level shows: dead and clipping."""

from __future__ import annotations

from bot.audio.pcm import FLOOR_DBFS, dbfs, peak, rms
from bot.events import MIC_RATE, Int16

SILENT_AFTER_S = 3.0
"""A live microphone always hisses a little; digital zeros for this long are a mute or a privacy switch."""
HOLD_S = 1.0
"""How long the highest peak is held, and how long one clipped block counts as clipping."""
FALL_DB_PER_S = 20.0
CLIPPED = 32_700
"""Some converters stop just short of full scale."""


class LevelMeter:
    """Fed with every block; its time is the sound's own."""

    def __init__(self, rate: int = MIC_RATE) -> None:
        self._rate = rate
        self._zeros_s = 0.0
        self._since_clip_s = float("inf")
        self._since_peak_s = 0.0
        self._held = FLOOR_DBFS

    def feed(self, pcm: Int16) -> float:
        """The level of this block in dBFS (RMS)."""
        seconds = len(pcm) / self._rate
        highest = peak(pcm)
        self._zeros_s = 0.0 if highest else self._zeros_s + seconds
        self._since_clip_s = 0.0 if highest >= CLIPPED else self._since_clip_s + seconds
        self._since_peak_s += seconds
        if self._since_peak_s > HOLD_S:
            self._held = max(FLOOR_DBFS, self._held - FALL_DB_PER_S * seconds)
        if dbfs(highest) >= self._held:
            self._held = dbfs(highest)
            self._since_peak_s = 0.0
        return dbfs(rms(pcm))

    @property
    def held_peak(self) -> float:
        """The highest peak of the last second in dBFS, then falling."""
        return self._held

    @property
    def silent(self) -> bool:
        return self._zeros_s > SILENT_AFTER_S

    @property
    def clipping(self) -> bool:
        """A clipped microphone is understood worse and defeats echo cancelling."""
        return self._since_clip_s < HOLD_S
