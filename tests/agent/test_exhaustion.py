"""Whoever wants to use the agent up: threads, descriptors, memory; and its end while it is busy."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
import threading
import time
from pathlib import Path

import pytest
from rpyc.core import brine, consts

from agent_wsl.client import connect
from agent_wsl.errors import KeyRejected, Unreachable
from agent_wsl.protocol import Search, Selftest
from agent_wsl.worker import DeadlinePool
from tests.agent.process import AgentProcess, running
from tests.agent.test_jobs_over_the_wire import resident
from tests.agent.test_wire_attacks import closed, frame

WRONG = "not-the-key-of-this-agent"


def slowed_down(agent: AgentProcess, tries: int = 4) -> None:
    for _ in range(tries):
        with pytest.raises(KeyRejected):
            connect("127.0.0.1", agent.port, WRONG)


def in_use(agent: AgentProcess, kind: str) -> int:
    return len(os.listdir(f"/proc/{agent.process.pid}/{kind}"))


def test_a_flood_from_an_address_that_has_to_wait(tmp_path: Path) -> None:
    """Each of its connections had a thread and a descriptor for as long as it waited, pushed out or not."""
    with running(tmp_path) as agent:
        slowed_down(agent)
        for _ in range(400):
            socket.create_connection(("127.0.0.1", agent.port), 5).close()
        time.sleep(0.2)
        assert in_use(agent, "task") < 100
        assert in_use(agent, "fd") < 100
        agent.is_alive()


@pytest.mark.skipif(os.getuid() == 0, reason="root's threads are not counted")
def test_no_threads_left_is_not_the_end(tmp_path: Path) -> None:
    with running(tmp_path) as agent:
        resource.prlimit(agent.process.pid, resource.RLIMIT_NPROC, (1, resource.getrlimit(resource.RLIMIT_NPROC)[1]))
        with pytest.raises(Unreachable):
            agent.connect()
        limits = resource.getrlimit(resource.RLIMIT_NPROC)
        resource.prlimit(agent.process.pid, resource.RLIMIT_NPROC, limits)
        agent.is_alive()


def test_answers_that_were_never_asked_for_end_the_connection(tmp_path: Path) -> None:
    """RPyC makes a class of each exception's name, and keeps it for ever."""
    with running(tmp_path) as agent:
        before = resident(agent.process.pid)
        for number in range(100):
            exception = (number, (("module", f"{'x' * 900_000}{number}"), (), (), ""))
            with agent.raw() as sock:
                sock.sendall(frame(brine.I1.pack(consts.MSG_EXCEPTION) + brine.dump(exception)))
                assert closed(sock, 5)
        assert resident(agent.process.pid) - before < 30 << 20
        agent.is_alive()


def test_it_ends_in_time_while_calls_are_in_progress(tmp_path: Path) -> None:
    with running(tmp_path) as agent:
        for number in range(100):
            (agent.root / f"{number}.txt").write_bytes((b"a" * 200 + b"\n") * 40_000)
        search = Search("(a*b|a*c|a*d|[ab]*e){1,50}z", regex=True)

        def busy() -> None:
            with contextlib.suppress(Unreachable):
                agent.call(search)

        threads = [threading.Thread(target=busy) for _ in range(4)]
        for thread in threads:
            thread.start()
        time.sleep(1)
        started = time.monotonic()
        agent.process.send_signal(signal.SIGTERM)
        assert agent.process.wait(10) == 0
        assert time.monotonic() - started < 5
        for thread in threads:
            thread.join()


def test_one_selftest_at_a_time_and_nothing_left_of_it(tmp_path: Path) -> None:
    """Each fills memory and disk as far as it may: dozens at once would be no test of the sandbox."""
    with running(tmp_path) as agent:

        def test() -> None:
            with contextlib.suppress(Unreachable):
                agent.call(Selftest(), deadline_s=150)

        thread = threading.Thread(target=test)
        thread.start()
        while not list(agent.state.glob("sidetone-brakes-*")):
            time.sleep(0.05)
        assert agent.refused(Selftest()).code == "busy"
        agent.process.kill()
        thread.join()
    assert list((tmp_path / "state").glob("sidetone-brakes-*"))
    with running(tmp_path) as agent:
        assert not list(agent.state.glob("sidetone-brakes-*"))


def test_a_pool_makes_no_more_threads_than_it_has_places() -> None:
    pool = DeadlinePool(4)
    seen: set[int] = set()

    def work() -> None:
        seen.add(threading.get_ident())
        time.sleep(0.001)

    callers = [threading.Thread(target=lambda: [pool.run(5, work) for _ in range(50)]) for _ in range(12)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert 1 <= len(seen) <= 4
    with pytest.raises(ZeroDivisionError):
        pool.run(5, lambda: 1 / 0)


def test_the_folder_of_the_sandbox_goes_with_the_agent(tmp_path: Path) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    with running(tmp_path, TMPDIR=str(temporary)) as agent:
        assert list(temporary.glob("sidetone-sandbox-*"))
        assert agent.stop() == 0
    assert not list(temporary.glob("sidetone-*"))
