"""The product's microphones on a PulseAudio null sink into which a recording is played."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from bot.audio.level import LevelMeter
from bot.audio.microphone import DeviceMicrophone
from bot.audio.reconnect import ReconnectingMicrophone
from bot.audio.system import SoundSystem
from bot.audio.wav import read_wav
from bot.errors import AudioDeviceError, SidetoneError
from bot.events import FRAME_SAMPLES, FRAME_SECONDS, MIC_RATE, Frame
from bot.ports import Microphone
from tests.audio.compare import drift, likeness
from tests.audio.pulse import PulseDaemon

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

ROOT = Path(__file__).parents[2]
RECORDING = Path(__file__).parent / "leisure.wav"
BACKENDS = pytest.mark.parametrize("backend", ["sounddevice", "pyaudio"])


@asynccontextmanager
async def sound(backend: str) -> AsyncIterator[SoundSystem]:
    system = SoundSystem(backend)
    try:
        # PortAudio may have looked for devices before this test's daemon was there.
        await system.refresh()
        yield system
    finally:
        await system.close()


async def capture(microphone: Microphone, pulse: PulseDaemon, wav: Path) -> list[Frame]:
    """The frames from before `wav` is spoken until some time after it."""
    frames: list[Frame] = []
    speaking = None
    after = 0
    async for frame in microphone.frames():
        frames.append(frame)
        if len(frames) == 20:
            speaking = pulse.say(wav)
        if speaking and speaking.poll() is not None:
            after += 1
        if after * FRAME_SECONDS > 1.0:
            break
    return frames


@BACKENDS
def test_what_is_spoken_is_captured_whole(backend: str, pulse: PulseDaemon) -> None:
    async def run() -> tuple[list[Frame], int]:
        async with sound(backend) as system:
            microphone = DeviceMicrophone(system)
            await microphone.open()
            frames = await capture(microphone, pulse, RECORDING)
            await microphone.close()
            return frames, microphone.dropped

    frames, dropped = asyncio.run(run())
    original, heard = read_wav(RECORDING), np.concatenate([frame.pcm for frame in frames])
    alike, _ = likeness(original, heard)
    assert alike >= 0.98
    assert abs(drift(original, heard)) <= 1
    assert dropped == 0
    assert all(frame.pcm.dtype == np.int16 and frame.pcm.shape == (FRAME_SAMPLES,) for frame in frames)
    times = np.array([frame.t for frame in frames])
    assert abs((times[-1] - times[0]) / (len(times) - 1) - FRAME_SECONDS) < 0.001


@BACKENDS
def test_a_device_of_another_rate_and_two_channels(
    backend: str, pulse: PulseDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A device that takes nothing but its own format, as raw hardware does: PortAudio is asked for 44.1 kHz stereo."""
    from bot.audio import devices
    from bot.audio.backend import BackendError, RawStream

    def stubborn(device: object, kind: str, rate: int, attempt: object) -> RawStream:
        def refusing(rate: int, channels: int) -> RawStream:
            if (rate, channels) != (44_100, 2):
                raise BackendError("Invalid sample rate", -9997)
            return attempt(rate, channels)  # type: ignore[operator, no-any-return]

        return devices.open_any_way(device, kind, rate, refusing)  # type: ignore[arg-type]

    monkeypatch.setattr("bot.audio.microphone.open_any_way", stubborn)

    async def run() -> list[Frame]:
        async with sound(backend) as system:
            microphone = DeviceMicrophone(system, "PULSE")
            await microphone.open()
            assert microphone.name == "pulse"
            return await capture(microphone, pulse, RECORDING)

    heard = np.concatenate([frame.pcm for frame in asyncio.run(run())])
    alike, _ = likeness(read_wav(RECORDING), heard)
    assert alike >= 0.98


@BACKENDS
def test_an_unknown_device_is_refused_with_the_list(backend: str, pulse: PulseDaemon) -> None:
    async def run() -> None:
        async with sound(backend) as system:
            await DeviceMicrophone(system, "Yeti").open()

    with pytest.raises(AudioDeviceError, match=r"no microphone 'Yeti'.*MIC_DEVICE.*pulse"):
        asyncio.run(run())


@BACKENDS
def test_no_device_at_all(backend: str, tmp_path: Path) -> None:
    """In a process of its own, because ALSA remembers the devices that it has once seen."""
    script = (
        "import asyncio, sys; from bot.audio import devices; from bot.audio.microphone import DeviceMicrophone;"
        "from bot.audio.system import SoundSystem; name = sys.argv[1];"
        "assert not devices.has_microphone(name) and not devices.has_speaker(name);"
        "m = lambda: DeviceMicrophone(SoundSystem(name)).open();"
        "\nasync def main():\n  try: await m()\n  except Exception as e: print(type(e).__name__, e)\n"
        "asyncio.run(main())"
    )
    env = {**os.environ, "PULSE_SERVER": f"unix:{tmp_path / 'nobody'}"}
    done = subprocess.run(
        [sys.executable, "-c", script, backend], env=env, cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.startswith("AudioDeviceError There is no microphone on this machine."), done
    assert not done.stderr


@BACKENDS
def test_a_killed_sound_server_ends_in_a_sentence(backend: str, mortal_pulse: PulseDaemon) -> None:
    async def run() -> None:
        async with sound(backend) as system:
            microphone = DeviceMicrophone(system)
            await microphone.open()
            count = 0
            async with asyncio.timeout(10):
                async for _ in microphone.frames():
                    count += 1
                    if count == 20:
                        mortal_pulse.kill_daemon()

    with pytest.raises(AudioDeviceError, match="has stopped giving sound"):
        asyncio.run(run())


@BACKENDS
def test_a_microphone_that_was_lost_comes_back(backend: str, mortal_pulse: PulseDaemon) -> None:
    told: list[SidetoneError] = []
    wav = RECORDING.with_name("disposed.wav")

    async def run() -> list[Frame]:
        async with sound(backend) as system:

            async def connect() -> Microphone:
                microphone = DeviceMicrophone(system)
                await microphone.open()
                return microphone

            microphone = ReconnectingMicrophone(connect, told.append, system.refresh)
            await microphone.connect()
            frames = microphone.frames()
            async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
                for _ in range(20):
                    await anext(frames)
                mortal_pulse.kill_daemon()
                # Back only after the loss has been noticed and some attempts to open it have failed.
                tasks.create_task(asyncio.to_thread(lambda: (time.sleep(3.5), mortal_pulse.restart())))
                while not told:
                    await anext(frames)
                await frames.aclose()
                heard = await capture(microphone, mortal_pulse, wav)
            await microphone.close()
            return heard

    heard = np.concatenate([frame.pcm for frame in asyncio.run(run())])
    # On a very busy machine the new daemon may stall so long that it counts as another loss.
    assert told and all(isinstance(error, AudioDeviceError) for error in told)
    assert likeness(read_wav(wav), heard)[0] >= 0.98


def test_a_muted_microphone_is_noticed(pulse: PulseDaemon) -> None:
    async def run() -> LevelMeter:
        meter = LevelMeter()
        async with sound("sounddevice") as system:
            microphone = DeviceMicrophone(system)
            await microphone.open()
            seconds = 0.0
            async for frame in microphone.frames():
                meter.feed(frame.pcm)
                seconds += len(frame.pcm) / MIC_RATE
                if seconds > 3.5:
                    break
        return meter

    pulse.pactl("set-source-mute", "mic", "1")
    try:
        assert asyncio.run(run()).silent
    finally:
        pulse.pactl("set-source-mute", "mic", "0")
