"""WAV files: reading any of them, playing one as the microphone, and recording what was played."""

from __future__ import annotations

import asyncio
import errno
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import numpy as np

from bot.audio.pcm import to_int16
from bot.audio.resample import Reblocker, Resampler
from bot.errors import AudioFileError, DiskError, MissingPackage
from bot.events import FRAME_SAMPLES, FRAME_SECONDS, MIC_RATE, SPEECH_RATE, Frame, Int16

STREAMED = 0x7FFF0000
"""Programs that write WAV into a pipe do not know its length and put a size from here on into the header."""
SLOWEST, FASTEST = 1_000, 1_000_000
"""Samples per second; what claims to be outside is no sound."""
READ_BLOCK = 65_536
LARGEST = 2**32 - 1024
"""Bytes of sound that a WAV's header can express."""


def read_wav(path: Path) -> Int16:
    """Mono at 16 kHz, from any rate, width and number of channels. Raises AudioFileError."""
    try:
        import soundfile
    except (ImportError, OSError) as error:
        raise MissingPackage(f"The package soundfile cannot be used ({error}). Run: python scripts/run.py") from error
    _check_whole(path)
    blocks: list[Int16] = []
    try:
        with soundfile.SoundFile(str(path)) as file:
            if not SLOWEST <= file.samplerate <= FASTEST:
                raise AudioFileError(f"{path} says it has {file.samplerate} samples a second. Give a sound WAV.")
            resampler = Resampler(file.samplerate, MIC_RATE)
            parts = file.blocks(READ_BLOCK, dtype="float32", always_2d=True)
            blocks.extend(resampler.feed(to_int16(part.mean(axis=1))) for part in parts)
    except MemoryError as error:
        raise AudioFileError(f"{path} is too long for this machine's memory. Give a shorter WAV.") from error
    except soundfile.LibsndfileError as error:
        raise AudioFileError(
            f"{path} cannot be read as sound ({error.error_string.rstrip('.')}). Give a WAV file."
        ) from error
    blocks.append(resampler.feed(np.zeros(0, np.int16), last=True))
    pcm = np.concatenate(blocks)
    if not len(pcm):
        raise AudioFileError(f"{path} holds no sound. Record it again.")
    return pcm


def _check_whole(path: Path) -> None:
    """libsndfile plays what is left of a WAV that was cut short without a word, so this looks first."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(0)
            if not size:
                raise AudioFileError(f"{path} is empty. Record it again.")
            if file.read(4) != b"RIFF":
                return
            file.seek(12)
            while len(head := file.read(8)) == 8:
                declared = int.from_bytes(head[4:], "little")
                there = size - file.tell()
                if head[:4] == b"data" and there < declared < STREAMED:
                    raise AudioFileError(
                        f"{path} is cut short: {there} of {declared} bytes of sound are there. Copy or record it again."
                    )
                file.seek(declared + declared % 2, 1)
    except FileNotFoundError as error:
        raise AudioFileError(f"There is no file {path}. Check the name.") from error
    except OSError as error:
        raise AudioFileError(f"{path} cannot be opened ({error.strerror}). Give a WAV file.") from error


class WavMicrophone:
    """A recording in the place of the microphone; when it is over, silence until `close`.

    In real time frames come on an absolute schedule. Otherwise they come as fast as they are taken, and `gate` is
    awaited before each, so that the listener can hold the recording while it answers.
    """

    def __init__(self, pcm: Int16, *, realtime: bool = True, gate: Callable[[], Awaitable[None]] | None = None) -> None:
        blocks = Reblocker(FRAME_SAMPLES)
        self._blocks = [*blocks.feed(pcm), *blocks.flush()]
        self._realtime = realtime
        self._gate = gate
        self._closed = False
        self.exhausted = asyncio.Event()
        """Set when the recording's last sample has been given."""

    async def frames(self) -> AsyncIterator[Frame]:
        loop = asyncio.get_running_loop()
        start = loop.time()
        silence = np.zeros(FRAME_SAMPLES, np.int16)
        count = 0
        while not self._closed:
            due = start + (count + 1) * FRAME_SECONDS
            if self._realtime:
                await asyncio.sleep(due - loop.time())
            else:
                if self._gate:
                    await self._gate()
                await asyncio.sleep(0)
            if self._closed:
                return
            pcm = self._blocks[count] if count < len(self._blocks) else silence
            count += 1
            if count >= len(self._blocks):
                self.exhausted.set()
            yield Frame(pcm, due if self._realtime else loop.time())

    async def close(self) -> None:
        self._closed = True


class WavRecorder:
    """A WAV of what was played, on the session's own time line. The header is right after every write, so that the
    file can be played even when the process is killed."""

    def __init__(self, path: Path, rate: int = SPEECH_RATE) -> None:
        self._path = path
        self.rate = rate
        self._samples = 0
        self._open = True
        try:
            self._file = path.open("wb")
        except OSError as error:
            raise DiskError(f"{path} cannot be written ({error.strerror}). Choose another place.") from error
        self._append(np.zeros(0, np.int16))

    @property
    def seconds(self) -> float:
        return self._samples / self.rate

    def write_at(self, seconds: float, pcm: Int16) -> None:
        """Silence up to `seconds` since the start, then `pcm`. What would lie before the end follows at the end."""
        self._pad(seconds)
        self._append(pcm)

    def close(self, seconds: float = 0.0) -> None:
        """Silence up to the session's length. Nothing can be written afterwards."""
        if not self._open:
            return
        self._pad(seconds)
        self._finish()

    def _pad(self, seconds: float) -> None:
        missing = round(seconds * self.rate) - self._samples
        while missing > 0 and self._open:
            block = np.zeros(min(missing, READ_BLOCK), np.int16)
            self._append(block)
            missing -= len(block)

    def _append(self, pcm: Int16) -> None:
        if not self._open:
            return
        if 2 * (self._samples + len(pcm)) > LARGEST:
            self._finish()
            raise DiskError(f"{self._path} has reached the size that a WAV can have; the recording ends here.")
        try:
            self._file.write(pcm.astype("<i2").tobytes())
            self._file.seek(0)
            self._file.write(_header(self.rate, self._samples + len(pcm)))
            self._file.seek(0, 2)
            self._file.flush()
        except OSError as error:
            self._finish()
            why = "the disk is full" if error.errno == errno.ENOSPC else error.strerror
            raise DiskError(f"{self._path} could not be written on: {why}. The recording ends here.") from error
        self._samples += len(pcm)

    def _finish(self) -> None:
        self._open = False
        # After a failed write, closing tries to write what is left, and fails again.
        with suppress(OSError):
            self._file.close()


def _header(rate: int, samples: int) -> bytes:
    """Of a mono WAV of int16."""
    size = 2 * samples
    riff = struct.pack("<4sI4s", b"RIFF", 36 + size, b"WAVE")
    return riff + struct.pack("<4sIHHIIHH4sI", b"fmt ", 16, 1, 1, rate, 2 * rate, 2, 16, b"data", size)
