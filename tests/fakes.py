"""Stand-ins for microphone, models and loudspeaker, at the ports only. All time is the loop's; none uses a thread."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from bot.events import (
    FRAME_SAMPLES,
    FRAME_SECONDS,
    SPEECH_RATE,
    EngineInfo,
    Event,
    Frame,
    Int16,
    Message,
    Sentence,
    SpeechClip,
    Tool,
    Transcript,
    Usage,
)


class FakeEngine:
    async def load(self) -> EngineInfo:
        return EngineInfo("fake", "fake", "", 0, "cpu", 0.0, 0)

    async def close(self) -> None:
        return


class ScriptedMicrophone:
    """Frames in real time; those inside a span of `speech` (seconds) are loud, the others silent."""

    def __init__(self, speech: Sequence[tuple[float, float]], seconds: float) -> None:
        self._speech = speech
        self._frames = round(seconds / FRAME_SECONDS)

    async def frames(self) -> AsyncIterator[Frame]:
        loop = asyncio.get_running_loop()
        start = loop.time()
        for n in range(1, self._frames + 1):
            t = n * FRAME_SECONDS
            await asyncio.sleep(start + t - loop.time())
            loud = any(begin < t <= end for begin, end in self._speech)
            yield Frame(np.full(FRAME_SAMPLES, 9000 if loud else 0, np.int16), loop.time())

    async def close(self) -> None:
        self._frames = 0


class LoudnessVad(FakeEngine):
    def probability(self, frame: Frame) -> float:
        return 0.95 if frame.pcm[0] else 0.02

    def reset(self) -> None:
        return


@dataclass
class FakeStt(FakeEngine):
    """Gives the texts in the order of the utterances; the same utterance (by length) keeps its text. A function is
    asked with the number of samples."""

    texts: Sequence[str | Exception] | Callable[[int], str]
    seconds: float = 0.3
    calls: list[int] = field(default_factory=list)
    """Samples of each utterance that was transcribed."""
    answers: dict[int, str | Exception] = field(default_factory=dict)

    async def transcribe(self, pcm: Int16) -> Transcript:
        self.calls.append(len(pcm))
        await asyncio.sleep(self.seconds)
        if len(pcm) not in self.answers:
            new = self.texts(len(pcm)) if callable(self.texts) else self.texts[len(self.answers)]
            self.answers[len(pcm)] = new
        text = self.answers[len(pcm)]
        if isinstance(text, Exception):
            raise text
        return Transcript(text, "en", "" if text else "no speech", self.seconds)


@dataclass
class FakeBrain:
    """Answers word by word."""

    answers: Sequence[str | Exception]
    prompt_s: float = 0.2
    word_s: float = 0.03
    questions: list[str] = field(default_factory=list)
    history: list[tuple[str, bool]] = field(default_factory=list)
    """What the user has heard, and whether it was interrupted."""
    words: int = 0
    """Words that were made."""
    warmed: int = 0

    async def reply(self, question: str) -> AsyncGenerator[str | Usage, None]:
        answer = self.answers[len(self.questions)]
        self.questions.append(question)
        await asyncio.sleep(self.prompt_s)
        if isinstance(answer, Exception):
            raise answer
        for word in answer.split(" "):
            await asyncio.sleep(self.word_s)
            self.words += 1
            yield word + " "
        yield Usage(10, 10, len(answer.split()), self.prompt_s, "end")

    def answered(self, text: str, *, interrupted: bool = False) -> None:
        self.history.append((text.strip(), interrupted))

    async def warm(self) -> None:
        self.warmed += 1


class FullStopSplitter:
    def __init__(self, turn: int) -> None:
        self._turn = turn
        self._index = 0
        self._text = ""

    def feed(self, delta: str) -> list[Sentence]:
        self._text += delta
        return self.finish() if self._text.rstrip().endswith((".", ",")) else []

    def finish(self) -> list[Sentence]:
        if not self._text:
            return []
        sentence = Sentence(self._turn, self._index, self._text, self._text.strip())
        self._index, self._text = self._index + 1, ""
        return [sentence]


@dataclass
class FakeTts(FakeEngine):
    """Takes `factor` of the time that the words last; 0.3 s a word. A sentence of "(silent)" has no audible sample."""

    factor: float = 0.5
    failure: Exception | None = None
    spoken: list[str] = field(default_factory=list)
    voice: str = ""

    def set_voice(self, name: str) -> None:
        self.voice = name

    async def speak(self, sentence: Sentence) -> SpeechClip:
        if self.failure and sentence.index:
            raise self.failure
        seconds = 0.3 * len(sentence.spoken.split())
        await asyncio.sleep(seconds * self.factor)
        self.spoken.append(sentence.spoken)
        value = 0 if sentence.spoken == "(silent)" else 8000
        return SpeechClip(sentence, np.full(round(seconds * SPEECH_RATE), value, np.int16), 0.0, seconds * self.factor)


class FakeSpeaker:
    """Plays in real time on the loop's clock, without a device."""

    def __init__(self) -> None:
        self._start = 0.0
        self._end = 0.0
        self._first = asyncio.Event()
        self._first_at = 0.0
        self.cleared_at: list[float] = []
        self.played_at: list[tuple[float, str]] = []

    async def play(self, clip: SpeechClip) -> None:
        now = asyncio.get_running_loop().time()
        self.played_at.append((now, clip.sentence.text))
        if self._end <= now and not self._start:
            self._start = self._end = now
        self._end = max(self._end, now) + len(clip.pcm) / SPEECH_RATE
        if clip.pcm.any() and not self._first.is_set():
            self._first_at = now
            self._first.set()

    async def first_audible(self) -> float:
        await self._first.wait()
        return self._first_at

    async def drained(self) -> None:
        await asyncio.sleep(self._end - asyncio.get_running_loop().time())

    def clear(self) -> int:
        now = asyncio.get_running_loop().time()
        played = round((min(now, self._end) - self._start) * SPEECH_RATE) if self._start else 0
        self._start = self._end = 0.0
        self._first.clear()
        self.cleared_at.append(now)
        return played

    async def close(self) -> None:
        return


class FakeLlm(FakeEngine):
    """Streams a fixed answer and remembers what it was asked."""

    def __init__(self, answer: Callable[[Sequence[Message]], str]) -> None:
        self._answer = answer
        self.prompts: list[Sequence[Message]] = []

    async def stream(
        self, messages: Sequence[Message], tools: Sequence[Tool] = (), *, answer: bool = False
    ) -> AsyncGenerator[str | Usage, None]:
        self.prompts.append(tuple(messages))
        for word in self._answer(messages).split(" "):
            yield word + " "
        yield Usage(1, 1, 1, 0.0, "end")

    async def warm(self, messages: Sequence[Message], tools: Sequence[Tool] = ()) -> None:
        return

    def count(self, text: str) -> int:
        return len(text.split())


class Recorder:
    """An EventSink that keeps the loop time of each event."""

    def __init__(self) -> None:
        self.events: list[tuple[float, Event]] = []

    def __call__(self, event: Event) -> None:
        self.events.append((asyncio.get_running_loop().time(), event))

    def named(self, name: str) -> list[tuple[float, Event]]:
        return [(t, e) for t, e in self.events if e.name == name]

    def names(self) -> list[str]:
        return [e.name for _, e in self.events]
