"""The loudspeaker of a conversation: clips in, sound out, and exact answers to what has been heard."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Self

from bot.audio.outputs import Output
from bot.audio.playback import Playback
from bot.audio.wav import WavRecorder
from bot.errors import DiskError, SidetoneError
from bot.events import Int16, SpeechClip

QUEUED_S = 20.0
"""Above this `play` waits."""
RECORD_EVERY_S = 0.25
JITTER_S = 0.03
"""Blocks of one clip come with a little jitter; in the recording they follow each other without a gap."""


class PlaybackSpeaker:
    """An `async with` owns its tasks. `notify` hears of what went wrong meanwhile: a lost device, a full disk."""

    def __init__(
        self,
        output: Output,
        notify: Callable[[SidetoneError], None],
        recorder: WavRecorder | None = None,
        began: float | None = None,
    ) -> None:
        """`began`: loop time of the recording's first sample; now, when not given."""
        self._loop = asyncio.get_running_loop()
        self._output = output
        self._notify = notify
        self._recorder = recorder
        self._began = self._loop.time() if began is None else began
        self._played: deque[tuple[float, Int16]] = deque()
        self._recorded_until = 0.0
        self._changed = asyncio.Event()
        self._generation = 0
        self._playback = Playback(self._loop.time, self._wake, QUEUED_S)
        self._tasks: asyncio.TaskGroup | None = None
        self._running: list[asyncio.Task[None]] = []

    @property
    def playback(self) -> Playback:
        return self._playback

    async def __aenter__(self) -> Self:
        """Raises AudioDeviceError, MissingPackage."""
        await self._output.open(self._playback, self._tap, self._change)
        self._tasks = asyncio.TaskGroup()
        await self._tasks.__aenter__()
        self._running = [self._tasks.create_task(self._output.run())]
        if self._recorder:
            self._running.append(self._tasks.create_task(self._keep_recording()))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def play(self, clip: SpeechClip) -> None:
        generation = self._generation
        while self._playback.queued_s > QUEUED_S and self._generation == generation:
            await self._change()
        if self._generation == generation:
            self._playback.write(clip.pcm)

    async def first_audible(self) -> float:
        while self._playback.first_audible is None:
            await self._change()
        return self._playback.first_audible

    async def drained(self) -> None:
        while True:
            left = self._playback.audible_until - self._loop.time() if self._output.realtime else 0.0
            if not self._playback.idle:
                await self._change()
            elif left > 0:
                await asyncio.sleep(left)
            else:
                return

    def clear(self) -> int:
        self._generation += 1
        return self._playback.clear()

    async def close(self) -> None:
        """Silence, and everything that was played is in the recording. The recording stays open: its owner knows how
        long the session was."""
        if not self._tasks:
            return
        self.clear()
        for task in self._running:
            task.cancel()
        self._running = []
        tasks, self._tasks = self._tasks, None
        try:
            # Not handed the body's own exception, which must not come out wrapped in a group.
            await tasks.__aexit__(None, None, None)
        finally:
            await self._output.close()
            self._record()

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    def _wake(self) -> None:
        """On any thread."""
        try:
            self._loop.call_soon_threadsafe(self._changed.set)
        except RuntimeError:
            # The loop has been closed: nobody waits any more.
            return

    def _tap(self, at: float, pcm: Int16) -> None:
        """On any thread; files are written elsewhere, for the sound card does not wait."""
        if self._recorder:
            self._played.append((at, pcm))

    async def _keep_recording(self) -> None:
        while True:
            await asyncio.sleep(RECORD_EVERY_S)
            self._record()

    def _record(self) -> None:
        while self._played and self._recorder:
            at, pcm = self._played.popleft()
            seconds = at - self._began
            if abs(seconds - self._recorded_until) < JITTER_S:
                seconds = self._recorder.seconds
            try:
                self._recorder.write_at(seconds, pcm)
            except DiskError as error:
                self._recorder = None
                self._notify(error)
                return
            self._recorded_until = at - self._began + len(pcm) / self._recorder.rate
