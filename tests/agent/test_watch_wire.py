"""Watching through the real agent: from a save to the answer, refusals, restarts, and clients that vanish."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from agent_wsl.client import AgentConnection
from agent_wsl.envelope import ErrorCode
from agent_wsl.protocol import Change, ChangeList, Changes, WatchAdd, Watches, WatchRemove
from agent_wsl.watching.watcher import MOST_WATCHES
from tests.agent.process import AgentProcess, running


@pytest.fixture
def code(agent: AgentProcess) -> Iterator[Path]:
    path = agent.root / "code"
    path.mkdir(exist_ok=True)
    agent.call(WatchAdd("code"))
    yield path
    for watch in agent.call(Watches()).watches:
        agent.call(WatchRemove(watch.path))
    agent.is_alive()


def until(agent: AgentProcess, cursor: str, enough: Callable[[list[Change]], object]) -> list[Change]:
    seen: list[Change] = []
    deadline = time.monotonic() + 20
    with agent.connect() as connection:
        while not enough(seen):
            assert time.monotonic() < deadline, seen
            answer = connection.call("tester", Changes(cursor, wait_s=1), 30)
            cursor = answer.cursor
            seen += answer.changes
    return seen


def now(agent: AgentProcess) -> str:
    return agent.call(Changes("now")).cursor


def test_a_save_is_answered_while_the_client_waits(agent: AgentProcess, code: Path) -> None:
    cursor = now(agent)
    threading.Timer(0.2, (code / "f.py").write_text, ("x = 1\n", "utf-8")).start()
    began = time.monotonic()
    seen = until(agent, cursor, lambda changes: changes)
    assert [(change.kind, change.path) for change in seen] == [("created", str(code / "f.py"))]
    assert abs(seen[0].time - time.time()) < 60
    assert time.monotonic() - began < 15


def test_lines_of_a_log(agent: AgentProcess, code: Path) -> None:
    log = code / "app.log"
    log.write_text("old\n", encoding="utf-8")
    assert agent.call(WatchAdd("code/app.log")).kind == "log"
    cursor = now(agent)
    with log.open("ab") as file:
        file.write("Zeile ü \U0001f600\nbad \xff\n".encode("utf-8", "surrogateescape")[:-2] + b"\xff\n")
    seen = until(agent, cursor, lambda changes: any(change.lines for change in changes))
    lines = [line for change in seen for line in change.lines]
    assert lines[0] == "Zeile ü \U0001f600"
    assert "\ufffd" in lines[1]


def test_names_that_are_no_utf_8_travel(agent: AgentProcess, code: Path) -> None:
    cursor = now(agent)
    Path(os.fsdecode(os.fsencode(code) + b"/\xff\xfe")).write_text("x", encoding="utf-8")
    seen = until(agent, cursor, lambda changes: changes)
    assert os.fsencode(seen[0].path) == os.fsencode(code) + b"/\xff\xfe"


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/etc", ErrorCode.DENIED),
        ("/etc/passwd", ErrorCode.DENIED),
        ("..", ErrorCode.DENIED),
        ("code/../../outside", ErrorCode.DENIED),
        ("/proc/self/root/etc", ErrorCode.DENIED),
        ("/proc/self/cwd", ErrorCode.DENIED),
        ("~", ErrorCode.NOT_FOUND),
        ("nowhere", ErrorCode.NOT_FOUND),
        ("link", ErrorCode.DENIED),
        ("relative", ErrorCode.DENIED),
        ("fifo", ErrorCode.WRONG_TYPE),
        ("a\0b", ErrorCode.DENIED),
        ("x" * 256, ErrorCode.NOT_FOUND),
        ("", ErrorCode.BAD_REQUEST),
        ("x" * 5000, ErrorCode.BAD_REQUEST),
    ],
    ids=lambda value: repr(str(value)[:24]),
)
def test_what_may_not_be_watched(agent: AgentProcess, path: str, code: ErrorCode) -> None:
    for name, target in (("link", "/etc"), ("relative", "../outside")):
        if not (agent.root / name).is_symlink():
            (agent.root / name).symlink_to(target)
    if not (agent.root / "fifo").exists():
        os.mkfifo(agent.root / "fifo")
    refusal = agent.refused(WatchAdd(path))
    assert refusal.code is code
    assert "SECRET" not in refusal.message
    assert agent.call(Watches()).watches == ()


@pytest.mark.parametrize("cursor", ["x", "0:-1", "e:٣", ":", "'; --", "\0"])
def test_what_is_no_cursor(agent: AgentProcess, cursor: str) -> None:
    assert agent.refused(Changes(cursor)).code is ErrorCode.BAD_REQUEST


def test_too_long_a_wait_and_too_many_watches(agent: AgentProcess, code: Path) -> None:
    assert agent.refused(Changes("", wait_s=1e9)).code is ErrorCode.BAD_REQUEST
    assert agent.refused(WatchRemove("/etc")).code is ErrorCode.NOT_FOUND
    for number in range(MOST_WATCHES):
        (agent.root / f"d{number}").mkdir()
    for number in range(MOST_WATCHES - 1):
        agent.call(WatchAdd(f"d{number}"))
    assert agent.refused(WatchAdd(f"d{MOST_WATCHES - 1}")).code is ErrorCode.BUSY


def test_nothing_from_outside_by_links_of_any_kind(agent: AgentProcess, code: Path) -> None:
    log = code / "flip.log"
    log.write_text("", encoding="utf-8")
    agent.call(WatchAdd("code/flip.log"))
    cursor = now(agent)
    for number in range(2000):
        (code / "spare").symlink_to(agent.outside / "secret.txt")
        log.rename(code / "kept")
        (code / "spare").rename(log)
        (code / "kept").rename(log)
        with log.open("a", encoding="utf-8") as file:
            file.write(f"{number}\n")
    (code / "directory").symlink_to(agent.outside)
    (agent.outside / "fresh.txt").write_text("SECRET 2\n", encoding="utf-8")
    seen = until(agent, cursor, lambda changes: any("1999" in change.lines for change in changes))
    assert not any("SECRET" in line for change in seen for line in change.lines)
    assert not any("fresh" in change.path or str(agent.outside) in change.path for change in seen)


def test_clients_that_vanish_while_they_wait(agent: AgentProcess, code: Path) -> None:
    cursor = now(agent)
    for _ in range(5):
        connection = agent.connect()
        threading.Thread(target=_ignore_errors, args=(connection, cursor)).start()
        time.sleep(0.1)
        connection.close()
    agent.is_alive()
    (code / "still").write_text("x", encoding="utf-8")
    assert until(agent, cursor, lambda changes: any(c.path == str(code / "still") for c in changes))


def _ignore_errors(connection: AgentConnection, cursor: str) -> None:
    with suppress(Exception):
        connection.call("tester", Changes(cursor, wait_s=20), 30)


def test_a_restart_is_noticed_and_the_end_is_quick(tmp_path: Path) -> None:
    (tmp_path / "allowed").mkdir()
    watched = str(tmp_path / "allowed")
    with running(tmp_path, WATCH_DIRECTORIES=watched) as first:
        assert [watch.path for watch in first.call(Watches()).watches] == [watched]
        (first.root / "a").write_text("x", encoding="utf-8")
        cursor = until_cursor(first)
        waiting = threading.Thread(target=_ignore_errors, args=(first.connect(), cursor))
        waiting.start()
        time.sleep(0.3)
        first.process.send_signal(signal.SIGTERM)
        assert first.process.wait(5) == 0
        waiting.join(5)
    with running(tmp_path, WATCH_DIRECTORIES=watched) as second:
        (second.root / "b").write_text("x", encoding="utf-8")
        until(second, "", lambda changes: changes)
        answer = second.call(Changes(cursor, wait_s=20))
        assert answer.lost == -1
        assert [change.path for change in answer.changes] == [str(second.root / "b")]


def until_cursor(agent: AgentProcess) -> str:
    answer: ChangeList = agent.call(Changes("", wait_s=20))
    assert answer.changes
    return answer.cursor
