"""Cuts the stream of frames into utterances: pre-roll in front, a little silence behind. Pure, no model, no clock."""

from __future__ import annotations

from collections import deque

import numpy as np

from bot.events import FRAME_SECONDS, Frame, Heard, TurnSignal, Utterance
from bot.voice.turn import TurnDetector

PRE_ROLL_S = 0.3
"""Kept (at least) in front of the first voiced frame: soft consonants come before Silero notices."""
POST_ROLL_S = 0.2
"""Kept behind the last voiced frame."""


class Listener:
    """Implements ports.Listener."""

    def __init__(self, detector: TurnDetector) -> None:
        self._detector = detector
        self._before: deque[Frame] = deque(maxlen=round((PRE_ROLL_S + 0.1) / FRAME_SECONDS))
        self._frames: list[Frame] = []
        self._started = 0.0
        self._pre_roll_s = 0.0

    @property
    def speaking(self) -> bool:
        return bool(self._frames)

    def feed(self, frame: Frame, probability: float) -> Heard:
        signal = self._detector.process(FRAME_SECONDS, probability)
        if signal is TurnSignal.STARTED:
            self._frames = [*self._before, frame]
            self._pre_roll_s = len(self._frames) * FRAME_SECONDS - self._detector.voiced_s
            self._started = frame.t - self._detector.voiced_s
            self._before.clear()
        elif self._frames:
            self._frames.append(frame)
        else:
            self._before.append(frame)
        if signal is TurnSignal.PAUSED:
            return Heard(signal, self._cut(frame.t))
        if signal is TurnSignal.ENDED:
            utterance = self._cut(frame.t)
            # The silence that ended this turn is the pre-roll of the next.
            self._before.extend(self._frames[-(self._before.maxlen or 0) :])
            self._frames = []
            return Heard(signal, utterance)
        return Heard(signal)

    def reset(self) -> None:
        self._detector.reset()
        self._before.clear()
        self._frames = []

    def _cut(self, now: float) -> Utterance:
        silent = round(self._detector.silence_s / FRAME_SECONDS)
        surplus = max(0, silent - round(POST_ROLL_S / FRAME_SECONDS))
        kept = self._frames[: len(self._frames) - surplus]
        last_voiced = self._frames[-1 - min(silent, len(self._frames) - 1)]
        seconds = (len(self._frames) - silent) * FRAME_SECONDS - self._pre_roll_s
        return Utterance(np.concatenate([f.pcm for f in kept]), self._started, last_voiced.t, now, seconds)
