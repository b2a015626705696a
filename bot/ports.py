"""The seams. `session` and the tests know only these; `app` chooses what stands behind them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from typing import Protocol

from bot.agent_types import Changes, Command, FilePage, Hits, Job, Output, Watched
from bot.events import (
    EngineInfo,
    Event,
    Frame,
    Heard,
    InputDevice,
    Int16,
    Message,
    Notice,
    Sentence,
    SpeechClip,
    Tool,
    ToolCall,
    Transcript,
    Usage,
)
from bot.findings import Finding


class Microphone(Protocol):
    def frames(self) -> AsyncIterator[Frame]:
        """Frames in order until the source ends (a file) or is closed. AudioDeviceError when it is lost."""

    async def close(self) -> None: ...


class Engine(Protocol):
    """A model in memory, or the way to one elsewhere."""

    async def load(self) -> EngineInfo:
        """Loads and warms up with one real inference; one elsewhere is not asked before the first question. Raises
        ConfigError, ModelMissing, ModelBroken, OutOfMemory, MissingPackage."""

    async def close(self) -> None: ...


class Vad(Engine, Protocol):
    def probability(self, frame: Frame) -> float:
        """Of speech in this frame, 0 to 1. Stateful; well under a millisecond, so it runs in the loop."""

    def reset(self) -> None: ...


class Listener(Protocol):
    """Cuts the stream of frames into utterances."""

    @property
    def speaking(self) -> bool: ...

    def feed(self, frame: Frame, probability: float) -> Heard: ...

    def reset(self) -> None: ...


class Stt(Engine, Protocol):
    async def transcribe(self, pcm: Int16) -> Transcript:
        """Mono 16 kHz in. Never raises for odd sound: what is no speech comes back empty, with the reason."""


class Llm(Engine, Protocol):
    def stream(
        self, messages: Sequence[Message], tools: Sequence[Tool] = (), *, answer: bool = False
    ) -> AsyncGenerator[str | ToolCall | Notice | Usage, None]:
        """Text deltas, then calls of `tools`, with a Usage before the first and after the last. Pull-based: closing the
        iterator or cancelling its consumer stops a local generation within one token, and closes the stream to one
        elsewhere. With `answer` no call can come, though the prompt offers `tools` as before. Raises StageError,
        ProviderError."""

    async def warm(self, messages: Sequence[Message], tools: Sequence[Tool] = ()) -> None:
        """Evaluates `messages` as a prefix, so that the next question costs only its own tokens."""

    def count(self, text: str) -> int:
        """Tokens in `text`; for a model elsewhere an estimate that is rather too high."""


class Toolbox(Protocol):
    """What a model may call, and who does it."""

    @property
    def tools(self) -> Sequence[Tool]:
        """The same each time, in the same order: they are a part of the prompt that is evaluated once."""

    async def call(self, call: ToolCall) -> str:
        """Its result, as text for the model. Only what has no `problem`. Raises SidetoneError, whose sentence the model
        is told."""


Talk = tuple[int, int]
"""A conversation, written or spoken: Discord's ids of channel and user."""


class Models(Protocol):
    """The language models at hand, and the one that each conversation thinks with."""

    @property
    def names(self) -> Sequence[str]:
        """The one that conversations begin with first."""

    def current(self, talk: Talk) -> str: ...

    def ready(self, name: str) -> bool:
        """Whether it needs no loading."""

    def find(self, name: str) -> str:
        """The one that is meant; the beginning of a name is enough. Raises ConfigError."""

    async def choose(self, talk: Talk, name: str) -> None:
        """Loads it where needed. Raises ConfigError, OutOfMemory and what loading raises; the choice is then as it
        was."""


class Splitter(Protocol):
    """Cuts one answer's stream of text into pieces that can be said."""

    def feed(self, delta: str) -> list[Sentence]: ...

    def finish(self) -> list[Sentence]: ...


class Tts(Engine, Protocol):
    async def speak(self, sentence: Sentence) -> SpeechClip: ...

    def set_voice(self, name: str) -> None:
        """From the next sentence on. Raises UnknownVoice, ModelDamaged."""


class Speaker(Protocol):
    """Plays clips in order. Sound of an older turn never follows `clear`."""

    async def play(self, clip: SpeechClip) -> None:
        """Queues; waits while more than a few seconds are queued already."""

    async def first_audible(self) -> float:
        """Loop time at which the first audible sample since `clear` left, once it has."""

    async def drained(self) -> None:
        """Returns when everything queued has been played."""

    def clear(self) -> int:
        """Silence now. Returns how many samples (24 kHz) had been played since the last `clear`."""

    async def close(self) -> None: ...


class SoundQueue(Protocol):
    """Sound that waits to be played, 24 kHz mono. Emptied on any thread."""

    def pull(self, count: int, lead_s: float = 0.0) -> tuple[Int16, int]:
        """The next `count` samples, zeros where there are none, and how many of them are sound. The first is heard
        `lead_s` from now."""

    @property
    def idle(self) -> bool:
        """Nothing is left to play."""


class SoundOutput(Protocol):
    """What empties a SoundQueue in real time."""

    realtime: bool

    async def open(
        self, playback: SoundQueue, tap: Callable[[float, Int16], None], changed: Callable[[], Awaitable[None]]
    ) -> None:
        """`tap` is told what is played: loop time of its first sample, and the samples. `changed` waits for the next
        change of the queue."""

    async def run(self) -> None:
        """Until it is cancelled."""

    async def close(self) -> None: ...


class Conversation(Protocol):
    """A spoken conversation: this PC's microphone in, any output out. One at a time."""

    @property
    def voice(self) -> str:
        """The name that speaks."""

    @property
    def voices(self) -> Sequence[str]: ...

    def choose_voice(self, name: str) -> None:
        """From the next sentence on. Raises UnknownVoice."""

    async def hold(self, output: SoundOutput, brain: Brain, emit: EventSink) -> None:
        """Listens and lets `brain` answer until it is cancelled. Raises AudioDeviceError."""

    def mute(self, on: bool) -> None:
        """Whether the microphone is heard."""

    async def say(self, text: str) -> None:
        """Speaks `text` as soon as nobody speaks. Returns when it has been said or was cut off. Raises StageError."""


class Microphones(Protocol):
    """Both raise AudioDeviceError, MissingPackage."""

    async def listed(self) -> Sequence[InputDevice]: ...

    async def choose(self, wanted: str) -> InputDevice:
        """By number or a part of its name. A conversation that is going on goes on with it; when it does not open, the
        one before stays."""


class Brain(Protocol):
    """One conversation: history, prompt, model."""

    def reply(self, question: str) -> AsyncGenerator[str | Notice | Usage, None]:
        """Streams the answer; the question is in the history from now on. A question whose answer was never heard
        is completed or replaced by the one that follows it."""

    def answered(self, text: str, *, interrupted: bool = False) -> None:
        """Puts into the history what the user has heard (voice) or read (text) of the last answer."""

    async def warm(self) -> None:
        """Evaluates the history in an idle moment."""


class Diagnosis(Protocol):
    def question(self, finding: Finding) -> tuple[str, int]:
        """What a brain is asked about it, and how many lines of its text are left out because it takes no more."""


class Findings(Protocol):
    async def latest(self, user: str) -> Finding | None:
        """What went wrong last, for this Discord user to know; None when nothing did. Raises AgentError."""


class Files(Protocol):
    """Reading, through the tool agent. `user` is the Discord user's id, in these three: limits and the audit log are
    per user. Every failure is an AgentError."""

    async def read(self, user: str, path: str, first_line: int, lines: int) -> FilePage:
        """Relative paths start at the first allowed directory; lines count from 1."""

    async def find(self, user: str, pattern: str, *, regex: bool) -> Hits: ...


class Watching(Protocol):
    async def watch(self, user: str, path: str) -> Watched: ...

    async def unwatch(self, user: str, path: str) -> None: ...

    async def watches(self, user: str) -> tuple[Watched, ...]: ...

    async def changes(self, user: str, cursor: str, *, wait_s: float = 0.0) -> Changes:
        """What happened after `cursor`; empty for all that is kept. Waits up to `wait_s` for something."""


class Commands(Protocol):
    async def run(self, user: str, command: Command, approval: str | None) -> Job:
        """AgentError "approval_needed" carries the token with which the same call passes, once, within two minutes."""

    async def output(self, user: str, job_id: str, offset: int) -> Output:
        """Waits for something new, for up to 20 s."""

    async def job(self, user: str, job_id: str, wait_s: float) -> Job:
        """Waits up to `wait_s` for its end."""

    async def jobs(self, user: str) -> tuple[Job, ...]:
        """The user's own, newest first."""

    async def kill(self, user: str, job_id: str) -> Job: ...


class ToolAgent(Files, Watching, Commands, Protocol):
    """All that the tool agent does for the bot."""


class Detector(Protocol):
    """Finds errors in what watched logs, jobs and people say. Reads in the loop; a feed is best at most some 100 KB."""

    def feed(self, source: str, data: bytes) -> tuple[Finding, ...]:
        """More of what `source` ("job 12", a log's path) says, cut anywhere. Returns what is found in it, known errors
        with their count."""

    def flush(self, source: str) -> tuple[Finding, ...]:
        """Nothing follows: a job has ended, a text was pasted."""

    def flush_quiet(self) -> tuple[Finding, ...]:
        """To be called every second or so: flushes what said nothing for two seconds."""

    def forget(self, source: str) -> None:
        """What is open of it is dropped; its findings stay."""

    def latest(self) -> Finding | None:
        """The error that was seen last."""

    def recent(self, count: int) -> tuple[Finding, ...]:
        """The last seen first."""

    def listen(self, listener: Callable[[Finding], None]) -> None:
        """`listener` is told of each new error once, while it is fed; it must not raise."""


class EventSink(Protocol):
    def __call__(self, event: Event) -> None:
        """Must not block and must not raise."""
