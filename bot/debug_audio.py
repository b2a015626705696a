"""`--debug-audio DIR`: the sound of each stage of one conversation as WAV files, for finding out what went wrong where.

Off unless it is asked for, for the first conversation only, and said wherever the conversation is shown."""

from __future__ import annotations

import logging
import wave
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from bot.answer import Mouth
from bot.errors import ConfigError, DiskError
from bot.events import MIC_RATE, SPEECH_RATE, EngineInfo, Frame, Int16, Sentence, SoundRecorded, SpeechClip, Transcript
from bot.ports import EventSink, Microphone, Stt, Tts
from bot.session import Ears

log = logging.getLogger(__name__)

MICROPHONE = "microphone.wav"


class DebugAudio:
    """Makes the one recording."""

    def __init__(self, folder: Path) -> None:
        """Raises ConfigError for a folder that holds recordings already, DiskError for one that cannot be written."""
        try:
            # For its owner alone: it is somebody's voice.
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            full = any(folder.glob("*.wav"))
            if not full:
                # Whatever fails before the conversation begins leaves nothing that the next try would stumble over.
                (folder / MICROPHONE).touch()
                (folder / MICROPHONE).unlink()
        except OSError as error:
            raise DiskError(
                f"--debug-audio cannot write to {folder} ({error.strerror}). Choose another place."
            ) from error
        if full:
            raise ConfigError(f"--debug-audio names {folder}, which holds recordings already. Name another folder.")
        self._folder = folder
        self._used = False

    def begin(self) -> Recording | None:
        """None for all but the first conversation."""
        if self._used:
            return None
        self._used = True
        return Recording(self._folder)


def recorded(
    sound: DebugAudio | None, ears: Ears, mouth: Mouth, emit: EventSink, stack: AsyncExitStack
) -> tuple[Ears, Mouth]:
    """The same, recorded when this conversation is the one that is to be; `stack` ends it."""
    recording = sound.begin() if sound else None
    if recording is None:
        return ears, mouth
    stack.callback(recording.close)
    emit(SoundRecorded(0, str(recording.folder)))
    heard = replace(ears, microphone=recording.microphone(ears.microphone), stt=recording.stt(ears.stt))
    return heard, replace(mouth, tts=recording.tts(mouth.tts))


class Recording:
    """Wraps the stages of one conversation. A disk that fills up ends the recording, not the conversation."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._heard: tuple[BinaryIO, wave.Wave_write] | None = None
        self._utterances = 0
        self._broken = False

    def microphone(self, microphone: Microphone) -> Microphone:
        """What comes out of it: silence while it is muted."""
        return _RecordedMicrophone(microphone, self)

    def stt(self, stt: Stt) -> Stt:
        """Each utterance as the speech recognition is given it; a pause within one gives one more."""
        return _RecordedStt(stt, self)

    def tts(self, tts: Tts) -> Tts:
        """Each clip as it is made, played or not."""
        return _RecordedTts(tts, self)

    def frame(self, pcm: Int16) -> None:
        if self._broken:
            return
        try:
            if self._heard is None:
                # Without a buffer and with the header brought up to date each time, it is whole whenever the bot ends.
                file = (self.folder / MICROPHONE).open("wb", buffering=0)
                self._heard = file, _writer(file, MIC_RATE)
            self._heard[1].writeframes(pcm.astype("<i2").tobytes())
        except OSError as error:
            self._fail(error)

    def utterance(self, pcm: Int16) -> None:
        self._utterances += 1
        self._write(f"utterance-{self._utterances:03d}.wav", MIC_RATE, pcm)

    def clip(self, clip: SpeechClip) -> None:
        self._write(f"clip-turn{clip.sentence.turn:03d}-{clip.sentence.index:03d}.wav", SPEECH_RATE, clip.pcm)

    def close(self) -> None:
        if self._heard:
            file, writer = self._heard
            try:
                writer.close()
                file.close()
            except OSError as error:
                self._fail(error)

    def _write(self, name: str, rate: int, pcm: Int16) -> None:
        if self._broken:
            return
        try:
            with (self.folder / name).open("wb") as file, _writer(file, rate) as writer:
                writer.writeframes(pcm.astype("<i2").tobytes())
        except OSError as error:
            self._fail(error)

    def _fail(self, error: OSError) -> None:
        if not self._broken:
            self._broken = True
            log.warning("The sound is not recorded in %s any more: %s.", self.folder, error.strerror)


def _writer(file: BinaryIO, rate: int) -> wave.Wave_write:
    writer = wave.Wave_write(file)
    writer.setnchannels(1)
    writer.setsampwidth(2)
    writer.setframerate(rate)
    return writer


class _RecordedMicrophone:
    def __init__(self, microphone: Microphone, recording: Recording) -> None:
        self._microphone = microphone
        self._recording = recording

    async def frames(self) -> AsyncIterator[Frame]:
        async for frame in self._microphone.frames():
            self._recording.frame(frame.pcm)
            yield frame

    async def close(self) -> None:
        await self._microphone.close()


class _RecordedStt:
    def __init__(self, stt: Stt, recording: Recording) -> None:
        self._stt = stt
        self._recording = recording

    async def load(self) -> EngineInfo:
        return await self._stt.load()

    async def close(self) -> None:
        await self._stt.close()

    async def transcribe(self, pcm: Int16) -> Transcript:
        self._recording.utterance(pcm)
        return await self._stt.transcribe(pcm)


class _RecordedTts:
    def __init__(self, tts: Tts, recording: Recording) -> None:
        self._tts = tts
        self._recording = recording

    async def load(self) -> EngineInfo:
        return await self._tts.load()

    async def close(self) -> None:
        await self._tts.close()

    async def speak(self, sentence: Sentence) -> SpeechClip:
        clip = await self._tts.speak(sentence)
        self._recording.clip(clip)
        return clip

    def set_voice(self, name: str) -> None:
        self._tts.set_voice(name)
