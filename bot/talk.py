"""Composition root of the voice loop: `python -m bot talk`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from bot.answer import Mouth
from bot.audio import devices
from bot.audio.level import LevelMeter
from bot.audio.microphone import DeviceMicrophone
from bot.audio.outputs import DeviceOutput, Output, PacedOutput
from bot.audio.reconnect import ReconnectingMicrophone
from bot.audio.speaker import PlaybackSpeaker
from bot.audio.system import SoundSystem
from bot.audio.wav import WavMicrophone, WavRecorder, read_wav
from bot.config import Settings
from bot.console import TalkConsole, engines_table, make_console, written
from bot.debug_audio import DebugAudio, recorded
from bot.engines import Voice, checked, loaded, make_brain, make_llm, make_voice
from bot.errors import ConfigError, DiskError, SidetoneError
from bot.eventlog import EventLog
from bot.events import FRAME_SECONDS, Event, Failed, Frame, Int16
from bot.llm.sentences import SentenceSplitter
from bot.ports import Brain, EventSink, Microphone
from bot.session import Ears, Session
from bot.voice.listener import Listener
from bot.voice.speakable import speakable
from bot.voice.turn import SilenceTurnDetector, TurnSettings

LEVEL_EVERY = 4
"""Frames between two redrawings of the level meter."""


@dataclass(frozen=True, slots=True)
class TalkOptions:
    wav: Path | None = None
    """Heard instead of the microphone."""
    out: Path | None = None
    """Recording of what is played."""
    events: Path | None = None
    fast: bool = False
    turns: int | None = None
    debug_audio: Path | None = None
    """Folder for the sound of each stage."""


class Metered:
    """A microphone that shows its level as it passes the frames on."""

    def __init__(self, microphone: Microphone, console: TalkConsole) -> None:
        self._microphone = microphone
        self._console = console
        self._meter = LevelMeter()

    async def frames(self) -> AsyncIterator[Frame]:
        # Noise suppression gives zeros between words, so only a microphone that never gave anything is suspicious.
        suspicious = True
        count = 0
        async for frame in self._microphone.frames():
            level = self._meter.feed(frame.pcm)
            count += 1
            if count % LEVEL_EVERY == 0:
                self._console.level(level)
            if suspicious and self._meter.silent:
                self._console.note(
                    "The microphone gives pure silence: is it muted, or switched off in the privacy settings?"
                )
            suspicious = suspicious and not self._meter.silent and not frame.pcm.any()
            yield frame

    async def close(self) -> None:
        await self._microphone.close()


def make_listener(settings: Settings) -> Listener:
    return Listener(SilenceTurnDetector(TurnSettings(end_silence_s=settings.voice.end_silence_s)))


def make_splitter(turn: int) -> SentenceSplitter:
    return SentenceSplitter(turn, speakable=speakable)


async def open_microphone(system: SoundSystem, wanted: str, notify: Callable[[SidetoneError], None]) -> Microphone:
    """One that comes back after it was unplugged; `notify` hears of that. Raises AudioDeviceError."""

    async def open_device() -> Microphone:
        microphone = DeviceMicrophone(system, wanted)
        await microphone.open()
        return microphone

    microphone = ReconnectingMicrophone(open_device, notify, system.refresh)
    await microphone.connect()
    return microphone


async def talk(settings: Settings, options: TalkOptions) -> int:
    console = make_console()
    # Whatever is wrong with a file or a device is said before the models are loaded.
    check_files(options)
    recording = read_wav(options.wav) if options.wav else None
    sound = DebugAudio(options.debug_audio) if options.debug_audio else None
    aloud = plays_aloud(settings, options, console)
    catalogue = await checked(settings, voice=True)
    voice, llm = make_voice(settings, catalogue), make_llm(settings, catalogue)
    async with loaded([voice.vad, voice.stt, llm, voice.tts]) as engines:
        console.print(engines_table(engines.infos, engines.seconds))
        brain = make_brain(settings, llm)
        await brain.warm()
        face = TalkConsole(console, spoken_to=str(options.wav or "microphone"))
        await Talk(settings, options, face, aloud=aloud).hold(voice, brain, recording, sound)
    if options.out:
        written(console, options.out)
    return 0


def check_files(options: TalkOptions) -> None:
    """Raises ConfigError when one file would overwrite another, DiskError when one cannot be written."""
    named = {"--wav": options.wav, "--out": options.out, "--events": options.events}
    places: dict[Path, str] = {}
    for option, path in named.items():
        if path and (other := places.setdefault(path.resolve(), option)) != option:
            raise ConfigError(f"{option} and {other} name the same file, {path}. Give each a file of its own.")
    for path in (options.out, options.events):
        if path:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                new = not path.exists()
                path.open("ab").close()
                if new:
                    # Whatever fails before the conversation begins leaves no empty file behind.
                    path.unlink()
            except OSError as error:
                raise DiskError(f"{path} cannot be written ({error.strerror}). Choose another place.") from error


def plays_aloud(settings: Settings, options: TalkOptions, console: Console) -> bool:
    """Whether the answers go to a loudspeaker. Raises AudioDeviceError for devices that were asked for and are not
    there, before the models are loaded."""
    audio = settings.audio
    if not options.wav:
        devices.choose(devices.inputs(audio.backend), audio.microphone, devices.INPUT)
    if options.fast or (options.wav and options.out):
        return False
    if not audio.speaker and not devices.has_speaker(audio.backend):
        hint = "" if options.out else " --out FILE keeps their sound."
        console.print(f"There is no loudspeaker on this machine: the answers are written here only.{hint}")
        return False
    devices.choose(devices.outputs(audio.backend), audio.speaker, devices.OUTPUT)
    return True


class Talk:
    """Opens the ends of one conversation, holds it, and closes them whatever happens."""

    def __init__(self, settings: Settings, options: TalkOptions, face: TalkConsole, *, aloud: bool) -> None:
        self._aloud = aloud
        self._settings = settings
        self._options = options
        self._face = face
        self._loop = asyncio.get_running_loop()
        self._began = 0.0
        self._sinks: list[EventSink] = [face]

    async def hold(self, voice: Voice, brain: Brain, recording: Int16 | None, sound: DebugAudio | None = None) -> None:
        async with AsyncExitStack() as stack:
            system = SoundSystem(self._settings.audio.backend)
            stack.push_async_callback(system.close)
            file = None if recording is None else self._play_file(recording)
            microphone = file or Metered(
                await open_microphone(system, self._settings.audio.microphone, self._notify), self._face
            )
            stack.push_async_callback(microphone.close)
            self._began = self._loop.time()
            self._write_events(stack)
            speaker = await self._open_speaker(system, stack)
            listener = make_listener(self._settings)
            ears = Ears(microphone, voice.vad, listener, voice.stt)
            mouth = Mouth(brain, voice.tts, speaker, make_splitter)
            ears, mouth = recorded(sound, ears, mouth, self._emit, stack)
            barge_in = self._settings.audio.barge_in
            turns, realtime = self._options.turns, not self._options.fast
            self._session = Session(ears, mouth, self._emit, barge_in=barge_in, turns=turns, realtime=realtime)
            async with asyncio.TaskGroup() as tasks:
                ending = tasks.create_task(self._end_with(file)) if file else None
                await self._session.run()
                if ending:
                    ending.cancel()

    def _emit(self, event: Event) -> None:
        for sink in self._sinks:
            sink(event)

    def _notify(self, error: SidetoneError) -> None:
        self._emit(Failed(0, error.code, str(error)))

    def _elapsed(self) -> float:
        return self._loop.time() - self._began

    def _write_events(self, stack: AsyncExitStack) -> None:
        if self._options.events:
            log = EventLog(self._options.events, self._elapsed)
            stack.callback(log.close)
            self._sinks.append(log)

    def _play_file(self, recording: Int16) -> WavMicrophone:
        if not self._options.fast:
            return WavMicrophone(recording)
        return WavMicrophone(recording, realtime=False, gate=lambda: self._session.wait_at_rest())

    async def _open_speaker(self, system: SoundSystem, stack: AsyncExitStack) -> PlaybackSpeaker:
        output: Output = PacedOutput(realtime=not self._options.fast)
        if self._aloud:
            output = DeviceOutput(system, self._settings.audio.speaker, self._notify)
        recorder = WavRecorder(self._options.out) if self._options.out else None
        if recorder:
            # Not in real time, what was played is longer or shorter than the session, so nothing is padded.
            stack.callback(lambda: recorder.close(0.0 if self._options.fast else self._elapsed()))
        return await stack.enter_async_context(PlaybackSpeaker(output, self._notify, recorder, self._began))

    async def _end_with(self, file: WavMicrophone) -> None:
        """The session ends when the recording has, and everything in it has been answered."""
        await file.exhausted.wait()
        # At rest depends on each frame that passes, so this looks once a frame.
        while not self._session.at_rest:  # noqa: ASYNC110
            await asyncio.sleep(FRAME_SECONDS)
        await file.close()
