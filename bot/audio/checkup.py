"""Listens to the microphone for a second and says how loud it was, for `python -m bot doctor`."""

from __future__ import annotations

import numpy as np

from bot.audio.level import CLIPPED
from bot.audio.microphone import DeviceMicrophone
from bot.audio.pcm import dbfs, peak, rms
from bot.audio.system import SoundSystem
from bot.checks import Check
from bot.config import AudioSettings
from bot.errors import SidetoneError
from bot.events import MIC_RATE, Int16

LISTEN_S = 1.0
SETTLE_S = 0.2
"""Many devices begin with a click or with zeros."""
QUIET_DBFS = -45.0
"""Speech at half a metre peaks at -25 to -6; the noise of a room stays below this."""
CLIPS = 3
"""Samples at full scale: one may be a knock on the table."""
LEVEL = "microphone level"


async def listen(settings: AudioSettings) -> Check:
    system = SoundSystem(settings.backend)
    try:
        return judge(*await _record(system, settings.microphone))
    except SidetoneError as error:
        return Check(LEVEL, "warn", "nothing could be recorded", str(error))
    finally:
        await system.close()


async def _record(system: SoundSystem, wanted: str) -> tuple[Int16, str]:
    microphone = DeviceMicrophone(system, wanted)
    blocks: list[Int16] = []
    try:
        await microphone.open()
        async for frame in microphone.frames():
            blocks.append(frame.pcm)
            if sum(map(len, blocks)) >= (SETTLE_S + LISTEN_S) * MIC_RATE:
                break
    finally:
        await microphone.close()
    return np.concatenate(blocks)[round(SETTLE_S * MIC_RATE) :], microphone.name


def judge(pcm: Int16, name: str) -> Check:
    highest, average = dbfs(peak(pcm)), dbfs(rms(pcm))
    figures = f"peak {highest:.0f} dBFS, average {average:.0f} dBFS, from {name}"
    if not peak(pcm):
        fix = (
            "Only zeros came in: switch off its mute key, raise its level in the system's sound settings, allow "
            "desktop apps to use it (Windows: Settings, Privacy & security, Microphone), or choose another with "
            "MIC_DEVICE."
        )
        return Check(LEVEL, "warn", f"silent: {name}", fix)
    if highest < QUIET_DBFS:
        fix = (
            "If you spoke meanwhile: raise its level in the system's sound settings, go nearer, or choose another with "
            "MIC_DEVICE. If not: run this again and speak."
        )
        return Check(LEVEL, "warn", f"too quiet: {figures}", fix)
    if np.count_nonzero(np.abs(pcm.astype(np.int32)) >= CLIPPED) >= CLIPS:
        fix = "Lower its level in the system's sound settings: clipped speech is understood worse."
        return Check(LEVEL, "warn", f"clipping: {figures}", fix)
    return Check(LEVEL, "ok", f"fine: {figures}")
