"""A private PulseAudio daemon: a microphone that hears what is played into it, and a loudspeaker that can be heard."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

PROGRAMS = ("pulseaudio", "pactl", "pacat", "parec")
NULL_SINK = "module-null-sink sink_name={} rate=48000 channels=2 format=s16le"
REMAP = "module-remap-source source_name=mic master=mic_feed.monitor channels=2"
AWAKE_MS = 50.0
"""An idle null sink has 2 s of latency, and what is played into it then loses its beginning."""


class PulseDaemon:
    """`mic_feed` is the sink to play into; the default source `mic` hears it; the default sink is `speaker`."""

    def __init__(self, folder: Path) -> None:
        if os.name == "nt" or not os.path.exists("/proc"):
            pytest.skip("PulseAudio runs on Linux only")
        missing = [program for program in PROGRAMS if not shutil.which(program)]
        assert not missing, (
            f"{', '.join(missing)} not found; install: "
            "apt-get install pulseaudio pulseaudio-utils libasound2-plugins libportaudio2"
        )
        self._folder = folder
        self.server = f"unix:{folder / 'native'}"
        self.env = {
            **os.environ,
            "PULSE_SERVER": self.server,
            "PULSE_COOKIE": str(folder / "cookie"),
            "PULSE_RUNTIME_PATH": str(folder),
            "HOME": str(folder),
            "LC_ALL": "C",
        }
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        modules = [
            f"module-native-protocol-unix auth-anonymous=1 socket={self._folder / 'native'}",
            NULL_SINK.format("mic_feed"),
            NULL_SINK.format("speaker"),
            REMAP,
        ]
        options = ["-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no", "--disable-shm=yes"]
        log = f"--log-target=newfile:{self._folder / 'log'}"
        loads = [f"--load={module}" for module in modules]
        command = ["pulseaudio", *options, "--resample-method=speex-float-5", log, *loads]
        environment = {**self.env}
        del environment["PULSE_SERVER"]
        self._spawn(command, environment)
        self._until(lambda: subprocess.run(["pactl", "info"], env=self.env, capture_output=True).returncode == 0)
        self.pactl("set-default-source", "mic")
        self.pactl("set-default-sink", "speaker")
        for sink in ("mic_feed", "speaker"):
            with open("/dev/zero", "rb") as zeros:
                command = ["pacat", f"--device={sink}", "--latency-msec=10", "--client-name=keeper"]
                self._spawn(command, self.env, zeros.fileno())
        self._until(lambda: all(latency < AWAKE_MS for latency in self.latencies_ms()))

    def stop(self) -> None:
        for process in reversed(self._processes):
            process.kill()
            process.wait()
        self._processes.clear()

    def kill_daemon(self) -> None:
        self._processes[0].kill()
        self._processes[0].wait()

    def pactl(self, *arguments: str) -> str:
        return subprocess.run(["pactl", *arguments], env=self.env, check=True, capture_output=True, text=True).stdout

    def latencies_ms(self) -> list[float]:
        """Of both sinks; an unloaded or silent one counts as asleep."""
        found = re.findall(r"Latency: (\d+) usec, configured (\d+) usec", self.pactl("list", "sinks"))
        return [max(int(now), int(configured)) / 1000 or 9999.0 for now, configured in found] or [9999.0]

    def say(self, wav: Path) -> subprocess.Popen[bytes]:
        """Speaks a recording into the microphone."""
        return self._spawn(["paplay", "--device=mic_feed", "--latency-msec=500", str(wav)], self.env)

    def listen(self, raw: Path) -> subprocess.Popen[bytes]:
        """Records the loudspeaker as 24 kHz mono int16, until it is terminated."""
        with raw.open("wb") as out:
            command = ["parec", "--device=speaker.monitor", "--rate=24000", "--channels=1", "--format=s16le"]
            return self._spawn([*command, "--latency-msec=200"], self.env, None, out.fileno())

    def restart(self) -> None:
        """What an unplugged and replugged device comes to for a client: a module that is unloaded would not do,
        because PulseAudio moves its clients to another device without telling them."""
        self.stop()
        (self._folder / "native").unlink(missing_ok=True)
        self.start()

    def _spawn(
        self, command: list[str], env: dict[str, str], stdin: int | None = None, stdout: int | None = None
    ) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            command, env=env, stdin=stdin or subprocess.DEVNULL, stdout=stdout or subprocess.DEVNULL, stderr=None
        )
        self._processes.append(process)
        return process

    def _until(self, condition: Callable[[], bool], seconds: float = 20.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert self._processes[0].poll() is None, (self._folder / "log").read_text(encoding="utf-8")
            assert time.monotonic() < deadline, f"PulseAudio is not ready after {seconds} s: {self.latencies_ms()}"
            time.sleep(0.1)
