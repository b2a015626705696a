"""Messages that cross rooms. All are frozen; those of one question and its answer carry the same `turn`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

Int16 = npt.NDArray[np.int16]

MIC_RATE = 16_000
"""Samples per second of everything that is heard."""
FRAME_SAMPLES = 512
"""Samples per microphone frame: 32 ms, what Silero takes at a time."""
FRAME_SECONDS = FRAME_SAMPLES / MIC_RATE
SPEECH_RATE = 24_000
"""Samples per second of everything that is spoken."""


@dataclass(frozen=True, slots=True)
class Frame:
    """32 ms of microphone."""

    pcm: Int16
    """Mono, shape (512,), 16 kHz."""
    t: float
    """Loop time in seconds when the last sample had been captured."""


@dataclass(frozen=True, slots=True)
class Utterance:
    """What was said between two silences, pre-roll included."""

    pcm: Int16
    """Mono, shape (n,), 16 kHz."""
    started: float
    """Loop time in seconds of the first voiced frame."""
    ended: float
    """Loop time in seconds of the end of the last voiced frame."""
    decided: float
    """Loop time in seconds when the turn detector called it ended."""
    seconds: float
    """From the first voiced frame to the last, by the sound itself."""


class TurnSignal(Enum):
    NONE = "none"
    STARTED = "started"
    """Enough voice in a row to be speech."""
    PAUSED = "paused"
    """A silence that may be the end: work may begin on what was heard."""
    RESUMED = "resumed"
    """Speech went on after a pause."""
    ENDED = "ended"
    """The turn is over."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What one frame brought."""

    signal: TurnSignal
    utterance: Utterance | None = None
    """Comes with PAUSED (so far) and ENDED (whole). Both hold the same audio when nothing was said in between, so work
    begun at the pause stays valid."""


@dataclass(frozen=True, slots=True)
class Transcript:
    text: str
    """Empty when nothing was said that should be answered."""
    language: str
    """Two-letter code that the model detected or was told."""
    dropped: str = ""
    """Why the text is empty, for people: "no speech", "repetition", "German, not English", ...; empty otherwise."""
    seconds: float = 0.0
    """How long the engine computed."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """A piece of an answer on its way to the voice."""

    turn: int
    index: int
    """0 for the first piece of the turn."""
    text: str
    """As the model wrote it: this is posted and kept in the history."""
    spoken: str
    """As it is to be said: no markdown, no code, no URLs. Empty when there is nothing to say aloud."""


@dataclass(frozen=True, slots=True)
class SpeechClip:
    sentence: Sentence
    pcm: Int16
    """Mono, shape (n,), 24 kHz, loudness already set."""
    leading_silence_s: float
    """Inaudible seconds at the start of `pcm`."""
    seconds: float
    """How long the engine computed."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A question and what was read or heard of its answer."""

    question: str
    answer: str
    interrupted: bool
    """Whether the answer was cut short."""


@dataclass(frozen=True, slots=True)
class Tool:
    """What a model is offered to call."""

    name: str
    description: str
    """For the model: what it does and when to use it."""
    parameters: Mapping[str, Any]
    """JSON Schema of an object."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """What a model wants to be done. Nothing has been done yet."""

    id: str
    """By which the result refers to it."""
    name: str
    arguments: Mapping[str, Any]
    problem: str = ""
    """Why it cannot be done as it is (no such tool, arguments against the schema), as a sentence for the model."""


@dataclass(frozen=True, slots=True)
class Message:
    role: str
    """"system", "user", "assistant" or "tool"."""
    content: str
    calls: tuple[ToolCall, ...] = ()
    """Of the assistant, behind its `content`."""
    call_id: str = ""
    """Of a "tool" message: the call whose result it is."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What one generation has cost: an item of the stream before its first text, and its last item."""

    prompt_tokens: int
    evaluated_tokens: int
    """Prompt tokens that were not in the prefix cache."""
    completion_tokens: int
    prompt_seconds: float
    """Evaluation of the prompt, until the first token could be sampled."""
    stop: str
    """"end", "length", "tools" (it waits for results) or "cancelled"; empty before the first text."""


@dataclass(frozen=True, slots=True)
class Notice:
    """An item of the stream before its first text: why it takes longer, as a sentence for the user."""

    text: str


@dataclass(frozen=True, slots=True)
class InputDevice:
    """A microphone of this PC."""

    number: int
    """Changes when something is plugged in."""
    name: str
    chosen: bool
    """Whether it is the one that is listened to."""


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """A line of the start-up table."""

    stage: str
    name: str
    file: str
    size_bytes: int
    device: str
    load_s: float
    memory_bytes: int
    vram_bytes: int = 0
    """Of the GPU; 0 as well where nobody counts it."""


@dataclass(frozen=True, slots=True)
class Event:
    """What the session tells the world. `name` is the "event" of the JSON line."""

    name: ClassVar[str] = ""
    turn: int


@dataclass(frozen=True, slots=True)
class Ready(Event):
    name: ClassVar[str] = "ready"


@dataclass(frozen=True, slots=True)
class SoundRecorded(Event):
    """From here to its end the sound of the conversation is kept; whoever shows the conversation says so."""

    name: ClassVar[str] = "sound_recorded"
    folder: str


@dataclass(frozen=True, slots=True)
class SpeechStarted(Event):
    name: ClassVar[str] = "speech_started"


@dataclass(frozen=True, slots=True)
class SpeechEnded(Event):
    name: ClassVar[str] = "speech_ended"
    seconds: float
    """Length of what was said, pre-roll and trailing silence not counted."""


@dataclass(frozen=True, slots=True)
class Transcribed(Event):
    name: ClassVar[str] = "transcript"
    text: str
    language: str
    dropped: str = ""


@dataclass(frozen=True, slots=True)
class Waiting(Event):
    """The answer takes longer; `message` says why."""

    name: ClassVar[str] = "waiting"
    message: str


@dataclass(frozen=True, slots=True)
class ReplyDelta(Event):
    name: ClassVar[str] = "reply_delta"
    text: str


@dataclass(frozen=True, slots=True)
class SentenceReady(Event):
    name: ClassVar[str] = "sentence"
    text: str
    spoken: str


@dataclass(frozen=True, slots=True)
class FirstAudio(Event):
    name: ClassVar[str] = "first_audio"


@dataclass(frozen=True, slots=True)
class ReplyDone(Event):
    name: ClassVar[str] = "reply_done"
    text: str


@dataclass(frozen=True, slots=True)
class Interrupted(Event):
    name: ClassVar[str] = "interrupted"
    heard: str
    """The words of the answer that had been played."""


@dataclass(frozen=True, slots=True)
class Failed(Event):
    name: ClassVar[str] = "error"
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class TurnMetrics(Event):
    """Milliseconds per span of one turn, from the end of speech to the first audible sample."""

    name: ClassVar[str] = "turn_metrics"
    spans: Mapping[str, float] = field(default_factory=dict)
