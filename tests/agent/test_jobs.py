"""The board: approvals, turns, readers, endings; with real commands in the real sandbox."""

from __future__ import annotations

import base64
import os
import shlex
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent_wsl.errors import Refusal
from agent_wsl.jobs.board import KEPT
from agent_wsl.protocol import GetJob, JobKill, JobOutput, JobStatus, Run
from tests.agent.board import MIB, USER, Bench, bench, processes_with


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with bench(tmp_path_factory.mktemp("jobs")) as ready:
        yield ready


def refused(board: Bench, call: Run, user: str = USER) -> Refusal:
    with pytest.raises(Refusal) as caught:
        board.board.run(user, call)
    assert caught.value.message[-1] in ".?"
    return caught.value


def test_a_command_runs_and_says_how_it_ended(board: Bench) -> None:
    status = board.run("bash", "-c", "echo out; echo err >&2; pwd; exit 3")
    assert board.output(status) == f"out\nerr\n{board.root}\n".encode()
    assert (status.state, status.exit_code, status.signal, status.ended_by) == ("done", 3, "", "exit")
    assert abs(status.started - time.time()) < 30
    assert 0 < status.duration_s < 20
    assert (status.gap, status.output) == ((), len(board.output(status)))


def test_processor_time_and_memory_are_those_of_the_command(board: Bench) -> None:
    code = "import time\nx = b'x' * (100 << 20)\nend = time.process_time() + 0.5\nwhile time.process_time() < end: pass"
    status = board.run("bash", "-c", f"python3 -c {shlex.quote(code)}; true")
    assert 0.5 <= status.cpu_s < 5
    assert 100 * MIB < status.peak_memory < 160 * MIB
    small = board.run("true")
    assert small.cpu_s < 0.5
    assert 0 < small.peak_memory < 16 * MIB, "the agent's own memory is not the command's"


def test_while_it_runs_its_use_is_seen(board: Bench) -> None:
    job = board.start("python3", "-c", "x = b'x' * (50 << 20)\nwhile True: pass", timeout_s=20.0)
    deadline = time.monotonic() + 15
    while (status := board.board.status(USER, GetJob(job.job_id))).cpu_s < 0.2 or status.peak_memory < 50 * MIB:
        assert time.monotonic() < deadline, status
        time.sleep(0.02)
    assert (status.state, status.exit_code, status.ended_by) == ("running", None, "")
    board.board.kill(USER, JobKill(job.job_id))
    assert board.finished(job).ended_by == "killed"


def test_a_shell_line_needs_a_yes_and_runs_with_it(board: Bench) -> None:
    call = Run(shell="echo a | tr a b; echo $0")
    refusal = refused(board, call)
    assert (refusal.code, bool(refusal.approval)) == ("approval_needed", True)
    assert "echo a | tr a b" in refusal.message
    status = board.finished(board.board.run(USER, Run(shell=call.shell, approval=refusal.approval)))
    assert board.output(status) == b"b\n/bin/bash\n"
    assert status.command.startswith("/bin/bash -c ")
    again = refused(board, Run(shell=call.shell, approval=refusal.approval))
    assert again.code == "approval_invalid"


@pytest.mark.parametrize("line", ["-x", "+x", "--help", "- echo"])
def test_a_shell_line_is_never_an_option(board: Bench, line: str) -> None:
    approval = refused(board, Run(shell=line)).approval
    status = board.finished(board.board.run(USER, Run(shell=line, approval=approval)))
    assert status.exit_code == 127
    assert b"command not found" in board.output(status)


def test_an_approval_does_not_follow_a_link_that_was_turned(board: Bench) -> None:
    one, two, link = board.root / "one", board.root / "two", board.root / "link"
    one.mkdir()
    two.mkdir()
    link.symlink_to(one)
    approval = refused(board, Run(argv=("touch", "here"), cwd="link")).approval
    link.unlink()
    link.symlink_to(two)
    assert refused(board, Run(argv=("touch", "here"), cwd="link", approval=approval)).code == "approval_invalid"
    assert list(two.iterdir()) == []


REFUSED = {
    "neither": (Run(), "bad_request"),
    "both": (Run(argv=("true",), shell="true"), "bad_request"),
    "too long": (Run(argv=("true",), timeout_s=121.0), "bad_request"),
    "outside": (Run(argv=("true",), cwd="/etc"), "denied"),
    "no such directory": (Run(argv=("true",), cwd="nowhere"), "not_found"),
    "invented approval": (Run(argv=("rm", "x"), approval="x"), "approval_invalid"),
    "no approval": (Run(argv=("rm", "x")), "approval_needed"),
}


@pytest.mark.parametrize(("call", "code"), REFUSED.values(), ids=REFUSED)
def test_refused(board: Bench, call: Run, code: str) -> None:
    assert refused(board, call).code == code


def test_a_job_of_another_user_is_not_there(board: Bench) -> None:
    job = board.start("sleep", "30")
    for call in (
        lambda: board.board.status("other", GetJob(job.job_id)),
        lambda: board.board.output("other", JobOutput(job.job_id)),
        lambda: board.board.kill("other", JobKill(job.job_id)),
        lambda: board.board.status(USER, GetJob("0" * 16)),
    ):
        with pytest.raises(Refusal) as caught:
            call()
        assert caught.value.code == "not_found"
    assert job.job_id not in [status.job_id for status in board.board.jobs("other").jobs]
    assert board.board.jobs(USER).jobs[0].job_id == job.job_id
    assert board.board.status(USER, GetJob(job.job_id)).state == "running"
    board.board.kill(USER, JobKill(job.job_id))
    board.finished(job)


def test_kill_asks_first_and_insists_after_two_seconds(board: Bench) -> None:
    polite = board.start("bash", "-c", "trap 'echo bye; exit 5' TERM; echo ready; sleep 60 & wait")
    until_said(board, polite, b"ready\n")
    board.board.kill(USER, JobKill(polite.job_id))
    status = board.finished(polite)
    assert (status.exit_code, status.ended_by) == (5, "killed")
    assert board.output(status) == b"ready\nbye\n"
    deaf = board.start("bash", "-c", "trap '' TERM; echo ready; while true; do sleep 60; done")
    until_said(board, deaf, b"ready\n")
    before = time.monotonic()
    board.board.kill(USER, JobKill(deaf.job_id))
    status = board.finished(deaf)
    assert 1.9 < time.monotonic() - before < 8
    assert (status.signal, status.ended_by) == ("SIGKILL", "killed")
    assert board.board.kill(USER, JobKill(deaf.job_id)) == status


@pytest.mark.parametrize("delay", [0, 0.0005, 0.001, 0.002, 0.003, 0.005, 0.01])
def test_killed_while_it_is_being_started(board: Bench, delay: float) -> None:
    marker = f"marker-{os.getpid()}-{delay}"
    for _ in range(5):
        job = board.start("bash", "-c", "sleep 60; true", marker)
        time.sleep(delay)
        board.board.kill(USER, JobKill(job.job_id))
        assert board.finished(job).ended_by == "killed"
    assert not processes_with(marker)


def test_turns_and_the_end_of_the_queue(board: Bench) -> None:
    running = [board.start("sleep", "60") for _ in range(3)]
    waiting = [board.start("echo", "first") for _ in range(3)]
    last = board.start("echo", "other", user="other")
    assert {job.state for job in [*waiting, last]} == {"queued"}
    refusal = refused(board, Run(argv=("rm", "x")))
    assert (refusal.code, refusal.retry_after_s) == ("busy", 5)
    cancelled = board.board.kill(USER, JobKill(waiting[0].job_id))
    assert (cancelled.state, cancelled.ended_by, cancelled.exit_code) == ("done", "killed", None)
    board.board.kill(USER, JobKill(running[0].job_id))
    board.finished(running[0])
    assert board.finished(last, user="other").exit_code == 0
    for job in waiting[1:]:
        assert board.finished(job).exit_code == 0
    for job in running[1:]:
        board.board.kill(USER, JobKill(job.job_id))
        board.finished(job)


def test_who_has_less_running_comes_first(tmp_path: Path) -> None:
    with bench(tmp_path, at_once=2) as board:
        first, second = board.start("sleep", "0.6"), board.start("sleep", "60")
        mine = board.start("sleep", "0.1")
        theirs = board.start("sleep", "0.1", user="other")
        board.finished(first)
        assert board.finished(theirs, user="other").started <= board.finished(mine).started
        board.board.kill(USER, JobKill(second.job_id))


def test_many_readers_get_the_same(board: Bench) -> None:
    job = board.start("bash", "-c", "for n in $(seq 400); do echo line $n; done; sleep 0.2; echo end")
    results: list[bytes] = []
    threads = [threading.Thread(target=lambda: results.append(board.output(job))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    expected = b"".join(b"line %d\n" % n for n in range(1, 401)) + b"end\n"
    assert results == [expected] * 6


def test_output_comes_while_the_command_runs(board: Bench) -> None:
    job = board.start("bash", "-c", "sleep 0.3; echo now; sleep 60")
    before = time.monotonic()
    chunk = board.board.output(USER, JobOutput(job.job_id, 0, 20.0))
    assert base64.b64decode(chunk.data) == b"now\n"
    assert (chunk.done, chunk.next_offset) == (False, 4)
    assert time.monotonic() - before < 10
    board.board.kill(USER, JobKill(job.job_id))
    board.finished(job)


def test_the_oldest_ended_jobs_make_room(tmp_path: Path) -> None:
    with bench(tmp_path) as board:
        descriptors = len(os.listdir("/proc/self/fd"))
        jobs = [board.run("echo", "x") for _ in range(KEPT + 3)]
        with pytest.raises(Refusal):
            board.board.status(USER, GetJob(jobs[0].job_id))
        assert board.output(jobs[-1]) == b"x\n"
        assert len(board.board.jobs(USER).jobs) <= KEPT + 1
        assert len(os.listdir("/proc/self/fd")) - descriptors <= KEPT + 8


def test_one_users_jobs_do_not_push_out_anothers(tmp_path: Path) -> None:
    with bench(tmp_path) as board:
        quiet = board.board.run("quiet", Run(argv=("echo", "x")))
        board.board.status("quiet", GetJob(quiet.job_id, 20))
        for _ in range(KEPT + 3):
            board.run("true")
        assert board.board.status("quiet", GetJob(quiet.job_id)).state == "done"


def test_no_run_when_the_disk_is_full(tmp_path: Path) -> None:
    with bench(tmp_path, free_disk=1 << 60) as board:
        refusal = refused(board, Run(argv=("true",)))
        assert (refusal.code, "make room" in refusal.message) == ("disk_full", True)


def test_room_is_wanted_where_output_is_kept_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with bench(tmp_path) as board:
        state = board.board._state
        monkeypatch.setattr("agent_wsl.jobs.board.has_room", lambda places, free: state not in places)
        assert refused(board, Run(argv=("true",))).code == "disk_full"


def test_a_folder_for_output_that_is_gone_ends_the_job_and_says_so(tmp_path: Path) -> None:
    with bench(tmp_path) as board:
        (tmp_path / "state").rmdir()
        status = board.run("bash", "-c", "echo lost; sleep 60")
        assert (status.ended_by, status.output, status.gap) == ("disk", 5, (0, 5))
        (tmp_path / "state").mkdir()
        assert board.works()


def test_close_ends_all_within_four_seconds_and_wakes_readers(tmp_path: Path) -> None:
    marker = f"marker-{os.getpid()}-close"
    with bench(tmp_path) as board:
        deaf = "trap '' TERM; echo ready; while true; do sleep 60; done"
        jobs = [board.start("bash", "-c", deaf, marker) for _ in range(3)]
        waiting = board.start("true")
        for job in jobs:
            until_said(board, job, b"ready\n")
        ends: list[JobStatus] = []
        reader = threading.Thread(target=lambda: ends.append(board.board.status(USER, GetJob(jobs[0].job_id, 25))))
        reader.start()
        before = time.monotonic()
        board.board.close()
        assert time.monotonic() - before < 4
        reader.join(5)
        assert ends[0].ended_by == "stopping"
        assert not processes_with(marker)
        assert board.board.status(USER, GetJob(waiting.job_id)).ended_by == "stopping"
        assert refused(board, Run(argv=("true",))).code == "stopping"


def until_said(board: Bench, job: JobStatus, text: bytes) -> None:
    chunk = board.board.output(USER, JobOutput(job.job_id, 0, 20.0))
    assert base64.b64decode(chunk.data) == text
