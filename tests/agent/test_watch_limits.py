"""What the kernel refuses or takes away: watches, instances, mounts. In user namespaces: nobody else is hit."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.agent.watching import in_namespace

EXHAUSTED = """
(root / "code").mkdir()
for number in range(20):
    (root / "code" / str(number)).mkdir()
limit("max_inotify_{what}", {number})
with watched(root, monkeypatch, "real", add=False) as state:
    watch = state.watcher.add("code")
    assert watch.method == "polling", watch
    assert "exhausted" in watch.reason and "{setting}" in watch.reason, watch
    assert state.watcher.watches().watches == (watch,)
    (state.code / "7/f").write_text("x", encoding="utf-8")
    assert state.rows() == [("created", "code/7/f")]
    (root / "app.log").write_text("", encoding="utf-8")
    state.watcher.add("app.log")
    with (root / "app.log").open("a", encoding="utf-8") as file:
        file.write("line\\n")
    state.until(lambda seen: state.lines() == ["line"])
"""

EXHAUSTED_LATER = """
limit("max_inotify_watches", 10)
with watched(root, monkeypatch, "real") as state:
    assert state.watcher.watches().watches[0].method == "inotify"
    for number in range(20):
        (state.code / str(number)).mkdir()
        (state.code / str(number) / "f").write_text("x", encoding="utf-8")
    wanted = {str(state.code / str(n) / "f") for n in range(20)}
    state.until(lambda seen: wanted <= {change.path for change in seen})
    paths = [change.path for change in state.seen]
    assert len(paths) == len(set(paths)), paths
    deadline = time.monotonic() + 10
    while (watch := state.watcher.watches().watches[0]).method != "polling" and time.monotonic() < deadline:
        time.sleep(0.05)
    assert watch.method == "polling" and "max_user_watches" in watch.reason, watch
    state.from_now()
    (state.code / "19/f").write_text("y", encoding="utf-8")
    assert state.rows() == [("modified", "code/19/f")]
"""

MOUNTED_OVER = """
with watched(root, monkeypatch, "real") as state:
    (state.code / "f").write_text("x", encoding="utf-8")
    state.rows()
    subprocess.run(["mount", "-t", "tmpfs", "none", str(state.code)], check=True)
    state.until(lambda seen: ("deleted", "code") in map(state.row, seen))
    (state.code / "g").write_text("x", encoding="utf-8")
    time.sleep(0.5)
    subprocess.run(["umount", str(state.code)], check=True)
    state.until(lambda seen: ("created", "code") in map(state.row, seen))
    assert [state.row(c) for c in state.seen] == [("deleted", "code"), ("created", "code")]
    state.seen = []
    (state.code / "f").write_text("y", encoding="utf-8")
    assert state.rows() == [("modified", "code/f")]
"""

MOUNT_INSIDE = """
(root / "code/sub").mkdir(parents=True)
with watched(root, monkeypatch, "real") as state:
    subprocess.run(["mount", "-t", "tmpfs", "none", str(state.code / "sub")], check=True)
    deadline = time.monotonic() + 10
    while "sub is another mount" not in state.watcher.watches().watches[0].reason and time.monotonic() < deadline:
        time.sleep(0.05)
    [watch] = state.watcher.watches().watches
    assert watch.method == "inotify" and "sub is another mount and is not watched" in watch.reason, watch
    (state.code / "sub/hidden").write_text("x", encoding="utf-8")
    (state.code / "f").write_text("x", encoding="utf-8")
    rows = state.rows()
    assert ("created", "code/f") in rows and not any("hidden" in row[1] for row in rows), rows
    subprocess.run(["umount", str(state.code / "sub")], check=True)
"""

UNMOUNTED = """
mounted = root / "mounted"
mounted.mkdir()
subprocess.run(["mount", "-t", "tmpfs", "none", str(mounted)], check=True)
with watched(mounted, monkeypatch, "real") as state:
    subprocess.run(["umount", "--lazy", str(mounted)], check=True)
    time.sleep(0.5)
    assert [watch.path for watch in state.watcher.watches().watches] == [str(state.code)]
    assert state.watcher._notified._thread.is_alive()
"""


PERMISSION_LOST = """
with watched(root, monkeypatch, "METHOD") as state:
    (state.code / "sub").mkdir()
    (state.code / "sub/f").write_text("x", encoding="utf-8")
    state.rows()
    (state.code / "sub").chmod(0)
    assert state.rows() == []
    (state.code / "sub").chmod(0o700)
    (state.code / "sub/f").write_text("y", encoding="utf-8")
    assert state.rows() == [("modified", "code/sub/f")]
    (state.code / "sub/f").chmod(0)
    assert state.rows() == []
    state.code.chmod(0)
    state.until(lambda seen: seen)
    assert [state.row(change) for change in state.seen] == [("deleted", "code")]
    state.from_now()
    state.code.chmod(0o700)
    state.until(lambda seen: seen)
    assert [state.row(change) for change in state.seen] == [("created", "code")]
    state.from_now()
    (state.code / "new").write_text("x", encoding="utf-8")
    assert state.rows() == [("created", "code/new")]
    log = root / "app.log"
    log.write_text("", encoding="utf-8")
    state.watcher.add("app.log")
    log.chmod(0o200)
    with log.open("a", encoding="utf-8") as file:
        file.write("not to be read\\n")
    state.until(lambda seen: [change.kind for change in seen] == ["deleted"])
    log.chmod(0o600)
    state.until(lambda seen: state.lines() == ["not to be read"])
"""


@pytest.mark.parametrize(
    ("what", "number", "setting"), [("watches", 5, "max_user_watches"), ("instances", 0, "max_user_instances")]
)
def test_exhausted_inotify_means_polling_and_is_said(tmp_path: Path, what: str, number: int, setting: str) -> None:
    script = EXHAUSTED.replace("{what}", what).replace("{number}", str(number)).replace("{setting}", setting)
    in_namespace(script, tmp_path)


def test_exhausted_by_directories_made_later(tmp_path: Path) -> None:
    in_namespace(EXHAUSTED_LATER, tmp_path)


@pytest.mark.parametrize(
    "script", [MOUNTED_OVER, MOUNT_INSIDE, UNMOUNTED], ids=["mounted over", "mount inside", "unmounted"]
)
def test_mounts_that_come_and_go(tmp_path: Path, script: str) -> None:
    in_namespace(script, tmp_path, "--mount")


@pytest.mark.parametrize("method", ["inotify", "polling"])
def test_permission_lost_and_given_back(tmp_path: Path, method: str) -> None:
    in_namespace(PERMISSION_LOST.replace("METHOD", method), tmp_path, user="--map-user=1000")
