"""Watched directories, for real: by inotify and by polling."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent_wsl.envelope import ErrorCode
from agent_wsl.errors import Refusal
from agent_wsl.protocol import Changes
from agent_wsl.watching.watcher import MOST_WATCHES
from tests.agent.watching import Row, Watched, watched


@pytest.fixture(params=["inotify", "polling"])
def both(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    code = tmp_path / "code"
    (code / "pkg").mkdir(parents=True)
    (code / "a.py").write_text("a", encoding="utf-8")
    (code / "pkg/b.py").write_text("b", encoding="utf-8")
    past = time.time() - 100
    for path in ("a.py", "pkg/b.py"):
        os.utime(code / path, (past, past))
    with watched(tmp_path, monkeypatch, request.param) as state:
        time.sleep(0.2)
        yield state


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    with watched(tmp_path, monkeypatch) as found:
        yield found


def vim(path: Path) -> None:
    """backupcopy=no: the file becomes the backup, a new one is written, the backup is deleted."""
    (path.parent / "4913").write_text("", encoding="utf-8")
    (path.parent / "4913").unlink()
    path.rename(f"{path}~")
    path.write_text("new by vim", encoding="utf-8")
    Path(f"{path}~").unlink()


def by_rename(path: Path, content: str = "new by rename") -> None:
    temporary = path.with_name(f".{path.name}.tmp-123")
    temporary.write_text(content, encoding="utf-8")
    temporary.replace(path)


def in_place(path: Path) -> None:
    """As VS Code does it: truncated, then written."""
    with path.open("r+", encoding="utf-8") as file:
        file.truncate(0)
        file.flush()
        file.write("new in place")


def create_and_delete(path: Path) -> None:
    other = path.with_name("gone")
    other.write_text("x", encoding="utf-8")
    other.unlink()


def touch(path: Path) -> None:
    path.touch()
    path.chmod(0o600)


ACTIONS: dict[str, tuple[Callable[[Path], object], list[Row]]] = {
    "create": (lambda a: a.with_name("n").write_text("x"), [("created", "code/n")]),
    "modify": (lambda a: a.write_text("aa"), [("modified", "code/a.py")]),
    "append": (lambda a: a.open("ab").write(b"more"), [("modified", "code/a.py")]),
    "delete": (lambda a: a.unlink(), [("deleted", "code/a.py")]),
    "rename": (lambda a: a.rename(a.with_name("z.py")), [("moved", "code/z.py", "code/a.py")]),
    "rename-into-directory": (
        lambda a: a.rename(a.with_name("pkg") / "a.py"),
        [("moved", "code/pkg/a.py", "code/a.py")],
    ),
    "save-as-vim": (vim, [("modified", "code/a.py")]),
    "save-by-rename": (by_rename, [("modified", "code/a.py")]),
    "save-in-place": (in_place, [("modified", "code/a.py")]),
    "save-of-the-same": (lambda a: a.write_text("a"), []),
    "save-of-the-same-by-rename": (lambda a: by_rename(a, "a"), []),
    "touch-and-chmod": (touch, []),
    "create-and-delete": (create_and_delete, []),
    "symlink": (lambda a: a.with_name("l").symlink_to("/etc"), [("created", "code/l")]),
    "fifo": (lambda a: os.mkfifo(a.with_name("f")), [("created", "code/f")]),
    "moved-out": (lambda a: a.rename(a.parent.parent / "out"), [("deleted", "code/a.py")]),
    "moved-out-directory": (
        lambda a: a.with_name("pkg").rename(a.parent.parent / "out"),
        [("deleted", "code/pkg/b.py"), ("deleted", "code/pkg")],
    ),
    "directory-deleted": (
        lambda a: shutil.rmtree(a.with_name("pkg")),
        [("deleted", "code/pkg/b.py"), ("deleted", "code/pkg")],
    ),
    "name-that-is-no-utf-8": (lambda a: os.mkdir(os.fsencode(a.parent) + b"/\xff"), [("created", "code/\udcff")]),
}


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("name", ACTIONS)
def test_one_change_for_one_deed(both: Watched, name: str) -> None:
    deed, expected = ACTIONS[name]
    deed(both.code / "a.py")
    assert sorted(both.rows()) == sorted(expected)


def test_a_directory_that_is_renamed_moves_with_what_is_in_it(state: Watched) -> None:
    (state.code / "old/deep").mkdir(parents=True)
    (state.code / "old/deep/f").write_text("1", encoding="utf-8")
    state.rows()
    (state.code / "old").rename(state.code / "new")
    assert state.rows() == [("moved", "code/new", "code/old")]
    (state.code / "new/deep/f").write_text("2", encoding="utf-8")
    assert state.rows() == [("modified", "code/new/deep/f")]
    (state.code / "new/deep").rename(state.code / "deep")
    (state.code / "deep/g").write_text("3", encoding="utf-8")
    assert state.rows() == [("moved", "code/deep", "code/new/deep"), ("created", "code/deep/g")]


def test_polling_sees_a_renamed_directory_as_its_files_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "code/old").mkdir(parents=True)
    (tmp_path / "code/old/f").write_text("1", encoding="utf-8")
    with watched(tmp_path, monkeypatch, "polling") as state:
        (state.code / "old").rename(state.code / "new")
        assert sorted(state.rows()) == [
            ("created", "code/new"),
            ("deleted", "code/old"),
            ("moved", "code/new/f", "code/old/f"),
        ]
        (state.code / "new/f").write_text("22", encoding="utf-8")
        assert state.rows() == [("modified", "code/new/f")]


def test_without_descriptors_nothing_is_lost_but_late(state: Watched) -> None:
    (state.code / "d").mkdir()
    state.rows()
    held: list[int] = []
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 20, before[1]))
    try:
        (state.code / "d/f").write_text("x", encoding="utf-8")
        (state.code / "d/deep").mkdir()
        with pytest.raises(OSError, match="Too many open files"):
            while True:
                held.append(os.dup(0))
        time.sleep(2.5)
    finally:
        for descriptor in held:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    state.until(lambda seen: {("created", "code/d/f"), ("created", "code/d/deep")} <= set(map(state.row, seen)))
    (state.code / "d/deep/g").write_text("x", encoding="utf-8")
    state.until(lambda seen: ("created", "code/d/deep/g") in map(state.row, seen))
    assert ("deleted", "code") not in map(state.row, state.seen)


def test_a_directory_moved_in_is_new_with_all_that_is_in_it(state: Watched) -> None:
    (state.root / "out/deep").mkdir(parents=True)
    (state.root / "out/deep/f").write_text("1", encoding="utf-8")
    (state.root / "out").rename(state.code / "in")
    assert state.rows() == [("created", f"code/{name}") for name in ("in", "in/deep", "in/deep/f")]
    (state.code / "in/deep/f").write_text("2", encoding="utf-8")
    assert state.rows() == [("modified", "code/in/deep/f")]


def test_a_directory_moved_out_is_not_watched_any_more(state: Watched) -> None:
    (state.code / "d/deep").mkdir(parents=True)
    state.rows()
    (state.code / "d").rename(state.root / "out")
    assert sorted(state.rows()) == [("deleted", "code/d"), ("deleted", "code/d/deep")]
    (state.root / "out/deep/f").write_text("1", encoding="utf-8")
    (state.root / "out/new").mkdir()
    assert state.rows() == []


@pytest.mark.parametrize("attempt", range(20))
def test_a_deep_tree_made_at_once_loses_no_file(state: Watched, attempt: int) -> None:
    names = ["x"]
    for level in range(30):
        directory = state.code / "/".join(f"d{n}" for n in range(level + 1))
        directory.mkdir()
        (directory / "f").write_text("x", encoding="utf-8")
        names += [str(directory.relative_to(state.root)), str((directory / "f").relative_to(state.root))]
    assert sorted(state.rows()) == sorted(("created", name) for name in names[1:])


def test_ten_thousand_files_at_once(both: Watched) -> None:
    for directory in range(10):
        (both.code / f"d{directory}").mkdir()
        for number in range(1000):
            (both.code / f"d{directory}/{number}").write_bytes(b"%d" % number)
    wanted = {str(both.code / f"d{d}/{n}") for d in range(10) for n in range(1000)}
    both.until(lambda seen: len(seen) >= 10_010 and wanted <= {change.path for change in seen}, 60)
    paths = [change.path for change in both.seen if change.kind == "created"]
    assert len(paths) == len(set(paths))
    both.from_now()
    shutil.rmtree(both.code / "d3")
    both.until(lambda seen: sum(change.kind == "deleted" for change in seen) == 1001, 60)


def kernel_watches(state: Watched) -> list[Path]:
    placement = state.watcher._notified._placement
    return sorted(Path(path) for target in placement.targets for path in placement.directories(target))


def test_ignored_directories_are_not_even_watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("node_modules/a/b", ".git/objects", "__pycache__", ".venv/lib", "target/debug", "src"):
        (tmp_path / "code" / name).mkdir(parents=True)
    with watched(tmp_path, monkeypatch) as state:
        assert kernel_watches(state) == [state.code, state.code / "src"]
        for name in ("node_modules/a/b", ".git/objects", "__pycache__", ".venv/lib", "target/debug", "src"):
            (state.code / name / "f").write_text("x", encoding="utf-8")
        (state.code / "src/node_modules/x").mkdir(parents=True)
        (state.code / "src/node_modules/x/y").write_text("x", encoding="utf-8")
        assert state.rows() == [("created", "code/src/f")]
        assert kernel_watches(state) == [state.code, state.code / "src"]


def test_gitignore_nested_and_of_the_directory_above(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "code/sub").mkdir(parents=True)
    (tmp_path / ".gitignore").write_text("*.log\n", encoding="utf-8")
    (tmp_path / "code/.gitignore").write_text("/build/\n", encoding="utf-8")
    (tmp_path / "code/sub/.gitignore").write_text("!keep.log\nsecret*\n", encoding="utf-8")
    with watched(tmp_path, monkeypatch) as state:
        for name in ("a.log", "sub/b.log", "sub/keep.log", "sub/secret1", "secret2", "build/x", "sub/build/y"):
            (state.code / name).parent.mkdir(exist_ok=True)
            (state.code / name).write_text("x", encoding="utf-8")
        assert sorted(path for _, path in state.rows()) == [
            f"code/{name}" for name in ("secret2", "sub/build", "sub/build/y", "sub/keep.log")
        ]


def test_a_gitignore_that_changes_counts_from_then_on(both: Watched) -> None:
    (both.code / "out").mkdir()
    (both.code / "out/f").write_text("1", encoding="utf-8")
    both.rows()
    (both.code / ".gitignore").write_text("out/\n*.tmp\n", encoding="utf-8")
    assert both.rows() == [("created", "code/.gitignore")]
    (both.code / "out/f").write_text("2", encoding="utf-8")
    (both.code / "x.tmp").write_text("2", encoding="utf-8")
    assert both.rows() == []
    (both.code / ".gitignore").write_text("*.tmp\n", encoding="utf-8")
    both.rows()
    (both.code / "out/f").write_text("3", encoding="utf-8")
    assert both.rows() == [("modified", "code/out/f")]


def test_an_ignored_directory_can_be_watched_expressly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".gitignore").write_text("code/\n", encoding="utf-8")
    with watched(tmp_path, monkeypatch) as state:
        (state.code / "f").write_text("x", encoding="utf-8")
        assert state.rows() == [("created", "code/f")]


def test_nested_watches_say_each_thing_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "code/sub/target").mkdir(parents=True)
    log = tmp_path / "code/sub/app.log"
    log.write_text("old\n", encoding="utf-8")
    with watched(tmp_path, monkeypatch) as state:
        for path in ("code/sub", "code/sub/target", "code/sub/app.log", "code"):
            state.watcher.add(path)
        assert len(state.watcher.watches().watches) == 4
        (state.code / "sub/f").write_text("x", encoding="utf-8")
        (state.code / "sub/target/t").write_text("x", encoding="utf-8")
        with log.open("a", encoding="utf-8") as file:
            file.write("line\n")
        assert sorted(state.rows()) == [
            ("created", "code/sub/f"),
            ("created", "code/sub/target/t"),
            ("lines", "code/sub/app.log"),
        ]
        state.watcher.remove("code")
        state.from_now()
        (state.code / "sub/f").write_text("y", encoding="utf-8")
        state.until(lambda seen: [state.row(change) for change in seen] == [("modified", "code/sub/f")])


def test_twice_is_once_and_removed_is_silent(state: Watched) -> None:
    assert state.watcher.add("code") == state.watcher.add(str(state.code))
    assert len(state.watcher.watches().watches) == 1
    (state.root / "other").mkdir()
    state.watcher.add("other")
    state.watcher.remove("other")
    (state.root / "other/f").write_text("x", encoding="utf-8")
    assert state.rows() == []
    for path in ("other", "/etc", "nowhere"):
        with pytest.raises(Refusal) as refusal:
            state.watcher.remove(path)
        assert refusal.value.code is ErrorCode.NOT_FOUND


def test_a_watch_of_what_is_gone_can_be_removed(state: Watched) -> None:
    shutil.rmtree(state.code)
    state.watcher.remove("code")
    assert state.watcher.watches().watches == ()


def test_no_more_than_so_many_watches(state: Watched) -> None:
    for number in range(MOST_WATCHES):
        (state.root / f"d{number}").mkdir()
    for number in range(MOST_WATCHES - 1):
        state.watcher.add(f"d{number}")
    with pytest.raises(Refusal) as refusal:
        state.watcher.add(f"d{MOST_WATCHES - 1}")
    assert refusal.value.code is ErrorCode.BUSY
    state.watcher.remove("d0")
    state.watcher.add(f"d{MOST_WATCHES - 1}")


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/etc", ErrorCode.DENIED),
        ("..", ErrorCode.DENIED),
        ("/proc/self/root", ErrorCode.DENIED),
        ("nowhere", ErrorCode.NOT_FOUND),
        ("fifo", ErrorCode.WRONG_TYPE),
        ("link", ErrorCode.DENIED),
        ("hard", ErrorCode.DENIED),
    ],
)
def test_what_cannot_be_watched(state: Watched, tmp_path_factory: pytest.TempPathFactory, path: str, code: str) -> None:
    outside = tmp_path_factory.mktemp("outside") / "secret"
    outside.write_text("x", encoding="utf-8")
    os.mkfifo(state.root / "fifo")
    (state.root / "link").symlink_to("/etc")
    os.link(outside, state.root / "hard")
    with pytest.raises(Refusal) as refusal:
        state.watcher.add(path)
    assert refusal.value.code is code
    (state.code / "f").write_text("x", encoding="utf-8")
    assert state.rows() == [("created", "code/f")]


def test_the_watched_directory_goes_and_comes_back(both: Watched) -> None:
    shutil.rmtree(both.code)
    both.until(lambda seen: ("deleted", "code") in map(both.row, seen))
    both.from_now()
    both.code.mkdir()
    (both.code / "n").write_text("x", encoding="utf-8")
    both.until(lambda seen: ("created", "code/n") in map(both.row, seen))
    assert [both.row(c) for c in both.seen if c.path == str(both.code)] == [("created", "code")]
    both.rows()
    (both.code / "n").write_text("y", encoding="utf-8")
    assert both.rows() == [("modified", "code/n")]


@pytest.mark.parametrize("parent", [False, True], ids=["itself", "its parent"])
def test_the_watched_directory_is_moved_away_and_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parent: bool
) -> None:
    with watched(tmp_path, monkeypatch, add=False) as state:
        inner = state.code / "inner"
        inner.mkdir()
        (inner / "f").write_text("1", encoding="utf-8")
        state.watcher.add("code/inner")
        moved = state.code if parent else inner
        moved.rename(state.root / "away")
        state.until(lambda seen: seen)
        assert [state.row(change) for change in state.seen] == [("deleted", "code/inner")]
        (state.root / "away" / ("inner/f" if parent else "f")).write_text("2", encoding="utf-8")
        state.from_now()
        (state.root / "away").rename(moved)
        state.until(lambda seen: len(seen) >= 2)
        assert sorted(state.row(change) for change in state.seen) == [
            ("created", "code/inner"),
            ("modified", "code/inner/f"),
        ]


def test_the_watched_directory_replaced_by_a_link_out_is_gone(
    both: Watched, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (outside / "secret").write_text("x", encoding="utf-8")
    both.code.rename(both.root / "away")
    both.code.symlink_to(outside)
    both.until(lambda seen: ("deleted", "code") in map(both.row, seen))
    (outside / "secret2").write_text("x", encoding="utf-8")
    time.sleep(1)
    both.code.unlink()
    (both.root / "away").rename(both.code)
    both.until(lambda seen: ("created", "code") in map(both.row, seen))
    assert not [change for change in both.rows() if "secret" in change[1]]


@pytest.mark.parametrize("target", ["outside", "inside", "absolute inside", "loop"])
def test_a_linked_directory_is_not_descended_into(
    both: Watched, tmp_path_factory: pytest.TempPathFactory, target: str
) -> None:
    outside = tmp_path_factory.mktemp("outside")
    real = both.root / "real"
    real.mkdir()
    names = {"outside": str(outside), "inside": "../real", "absolute inside": str(real), "loop": "."}
    (both.code / "link").symlink_to(names[target])
    assert both.rows() == [("created", "code/link")]
    (outside / "f").write_text("x", encoding="utf-8")
    (real / "f").write_text("x", encoding="utf-8")
    assert both.rows() == []


def test_a_directory_that_flips_to_a_link_shows_nothing_from_outside(
    both: Watched, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (outside / "secret").write_text("x", encoding="utf-8")
    for _ in range(300):
        (both.code / "d").mkdir()
        (both.code / "d/mine").write_text("x", encoding="utf-8")
        (both.code / "d").rename(both.root / "parked")
        (both.code / "d").symlink_to(outside)
        (both.code / "d").unlink()
        shutil.rmtree(both.root / "parked")
    assert not [row for row in both.rows() if "secret" in row[1]]


def test_overflow_of_the_kernels_queue_loses_nothing(state: Watched) -> None:
    doomed = state.code / "doomed"
    doomed.write_text("x", encoding="utf-8")
    state.rows()
    with state.watcher._notified._lock:
        for number in range(9000):
            (state.code / f"f{number}").write_bytes(b"x")
        (state.code / "late/deep").mkdir(parents=True)
        (state.code / "late/deep/f").write_bytes(b"x")
        doomed.unlink()
    wanted = {("created", f"code/f{number}") for number in range(9000)}
    wanted |= {("created", "code/late/deep/f"), ("deleted", "code/doomed")}
    state.until(lambda seen: len(seen) >= len(wanted) and wanted <= set(map(state.row, seen)), 60)
    assert "rescan" in state.notes()
    state.rows()
    (state.code / "late/deep/f").write_bytes(b"y")
    assert state.rows() == [("modified", "code/late/deep/f")]


def test_a_client_that_was_away_is_told_what_it_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with watched(tmp_path, monkeypatch, history=50) as state:
        for number in range(200):
            (state.code / str(number)).write_text("x", encoding="utf-8")
        deadline = time.monotonic() + 20
        while (answer := state.watcher.changes(Changes(state.cursor))).lost < 150 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert (answer.lost, len(answer.changes)) == (150, 50)


def test_a_file_written_for_long_is_reported_while_it_grows(state: Watched) -> None:
    stop = time.monotonic() + 3
    with (state.code / "big").open("w", encoding="utf-8") as file:
        while time.monotonic() < stop:
            file.write("x" * 100)
            file.flush()
            time.sleep(0.01)
        kinds = [change.kind for change in state.until(lambda seen: seen, 5)]
    assert kinds[0] == "created"
    assert ("modified", "code/big") in state.rows()


def test_waiting_clients_are_let_go_when_the_agent_stops(state: Watched) -> None:
    done = threading.Event()

    def wait() -> None:
        state.watcher.changes(Changes(state.cursor, wait_s=25))
        done.set()

    threading.Thread(target=wait).start()
    time.sleep(0.1)
    state.watcher.close()
    assert done.wait(2)
    with pytest.raises(Refusal):
        (state.root / "x").mkdir()
        state.watcher.add("x")


def test_the_mount_table_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with watched(tmp_path, monkeypatch, "real") as state:
        kind = subprocess.run(
            ["stat", "-f", "-c", "%T", str(state.code)], capture_output=True, text=True, check=True
        ).stdout
        [watch] = state.watcher.watches().watches
        if kind.strip() in ("ext2/ext3", "tmpfs", "xfs", "btrfs", "overlayfs"):
            assert watch.method == "inotify"
        assert watch.reason
