"""What the engines take of a GPU, with a stand-in for the driver's library."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from bot import engines, vram
from bot.events import EngineInfo
from tests.fakes import FakeEngine


class NVMLError(Exception):
    pass


class Nvml(ModuleType):
    """`own` is what the driver says of this process; None where it does not tell processes apart."""

    NVMLError = NVMLError

    def __init__(self, *, gpus: int = 1, own: int | None = None, used: int = 0, driver: bool = True) -> None:
        super().__init__("pynvml")
        self.gpus, self.own, self.used, self.driver = gpus, own, used, driver

    def nvmlInit(self) -> None:
        if not self.driver:
            raise NVMLError("Driver Not Loaded")

    def nvmlDeviceGetCount(self) -> int:
        return self.gpus

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetComputeRunningProcesses(self, handle: int) -> list[Any]:
        mine = SimpleNamespace(pid=os.getpid(), usedGpuMemory=self.own)
        return [mine, SimpleNamespace(pid=1, usedGpuMemory=999)]

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> Any:
        return SimpleNamespace(used=self.used)


def found(monkeypatch: pytest.MonkeyPatch, nvml: Nvml | None) -> vram.Gpus | None:
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    return vram.find()


def test_without_a_gpu_nothing_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(monkeypatch, Nvml(driver=False)) is None
    assert found(monkeypatch, Nvml(gpus=0)) is None
    assert found(monkeypatch, None) is None, "the package is missing"


def test_the_process_alone_where_the_driver_knows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus = found(monkeypatch, Nvml(gpus=2, own=100, used=5000))
    assert gpus is not None
    assert gpus.used() == 200


def test_all_that_is_in_use_where_it_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus = found(monkeypatch, Nvml(own=None, used=5000))
    assert gpus is not None
    assert gpus.used() == 5000


class GpuEngine(FakeEngine):
    def __init__(self, nvml: Nvml, takes: int) -> None:
        self._nvml = nvml
        self._takes = takes

    async def load(self) -> EngineInfo:
        self._nvml.used += self._takes
        return await super().load()


@pytest.mark.parametrize(("takes", "warned"), [(3_000_000_000, False), (3_400_000_000, True)])
def test_too_much_is_said_at_the_start(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, takes: int, warned: bool
) -> None:
    nvml = Nvml(used=700_000_000)
    monkeypatch.setitem(sys.modules, "pynvml", nvml)

    async def main() -> engines.Loaded:
        async with engines.loaded([GpuEngine(nvml, takes)]) as loaded:
            return loaded

    with caplog.at_level(logging.WARNING):
        (info,) = asyncio.run(main()).infos
    assert info.vram_bytes == takes, "what others had taken before does not count"
    assert ("more than the 3.3 GB" in caplog.text) is warned
