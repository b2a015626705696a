"""Commands that want too much, against the real process: each ends for the reason named, and the agent answers."""

from __future__ import annotations

import base64
import os
import secrets
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent_wsl.protocol import GetJob, Hello, JobKill, JobOutput, Jobs, JobStatus, Run
from tests.agent.board import MIB, processes_with
from tests.agent.process import AgentProcess, running
from tests.agent.test_job_attacks import AT_THE_LIMIT, BOMBS

USER = "tester"
SETTINGS = {
    "ALLOWED_COMMANDS": "python3, bash, true",
    "JOB_MEMORY_MB": "256",
    "JOB_PROCESSES": "64",
    "JOB_WRITTEN_MB": "192",
    "JOB_FILE_SIZE_MB": "128",
    "JOB_OUTPUT_MB": "1",
}


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentProcess]:
    with running(tmp_path_factory.mktemp("agent"), **SETTINGS) as process:
        yield process


def ended(agent: AgentProcess, job: JobStatus) -> JobStatus:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        status = agent.call(GetJob(job.job_id, 20.0), USER)
        if status.state == "done":
            return status
    raise AssertionError(f"{job} did not end")


@pytest.mark.parametrize("name", ["forks", "memory of one process", "memory in memfds", "disk by many files"])
def test_the_agent_answers_while_a_bomb_runs_and_afterwards(agent: AgentProcess, name: str) -> None:
    bomb = BOMBS[name]
    folder = agent.root / name.replace(" ", "-")
    folder.mkdir()
    job = agent.call(Run(argv=("python3", "-c", bomb.code), cwd=str(folder), timeout_s=bomb.timeout_s), USER)
    before = time.monotonic()
    agent.call(Hello())
    assert time.monotonic() - before < 5
    assert ended(agent, job).ended_by in bomb.ended_by
    for file in folder.iterdir():
        file.unlink()
    agent.is_alive()
    assert ended(agent, agent.call(Run(argv=("true",)), USER)).exit_code == 0


def test_a_shell_bomb_with_approval(agent: AgentProcess) -> None:
    line = ":(){ :|:& };: ; sleep 60"
    approval = agent.refused(Run(shell=line), USER).approval
    job = agent.call(Run(shell=line, timeout_s=8.0, approval=approval), USER)
    assert ended(agent, job).ended_by in AT_THE_LIMIT
    assert agent.refused(Run(shell=line, approval=approval), USER).code == "approval_invalid"


def test_a_gibibyte_of_output_costs_the_agent_no_memory(agent: AgentProcess) -> None:
    before = resident(agent.process.pid)
    job = agent.call(Run(argv=("bash", "-c", "head -c 1G /dev/zero")), USER)
    offset = skipped = read = 0
    with agent.connect() as connection:
        while True:
            chunk = connection.call(USER, JobOutput(job.job_id, offset, 20.0, 512 << 10))
            read += len(base64.b64decode(chunk.data))
            skipped += chunk.skipped
            offset = chunk.next_offset
            if chunk.done:
                break
    assert (offset, read + skipped) == (1 << 30, 1 << 30)
    assert resident(agent.process.pid) - before < 24 * MIB
    assert ended(agent, job).gap == (MIB // 2, (1 << 30) - MIB // 2)
    agent.is_alive()


def test_what_ignores_sigterm_is_killed(agent: AgentProcess) -> None:
    job = agent.call(Run(argv=("bash", "-c", "trap '' TERM; echo ready; while true; do sleep 60; done")), USER)
    agent.call(JobOutput(job.job_id, 0, 20.0), USER)
    agent.call(JobKill(job.job_id), USER)
    status = ended(agent, job)
    assert (status.ended_by, status.signal) == ("killed", "SIGKILL")
    agent.is_alive()


def test_run_may_wait_for_the_end(agent: AgentProcess) -> None:
    status = agent.call(Run(argv=("bash", "-c", "sleep 0.2; exit 3"), wait_s=20.0), USER)
    assert (status.state, status.exit_code) == ("done", 3)
    job = agent.call(Run(argv=("bash", "-c", "sleep 60"), wait_s=0.1), USER)
    assert job.state == "running"
    agent.call(JobKill(job.job_id), USER)


@pytest.mark.parametrize("call", [GetJob, JobOutput, JobKill], ids=lambda call: call.NAME)
def test_another_users_job_is_not_found(agent: AgentProcess, call: type[GetJob | JobOutput | JobKill]) -> None:
    job = agent.call(Run(argv=("true",)), USER)
    assert agent.refused(call(job.job_id), "somebody").code == "not_found"
    assert job.job_id not in [status.job_id for status in agent.call(Jobs(), "somebody").jobs]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_the_end_of_the_agent_is_the_end_of_its_jobs(tmp_path: Path, number: signal.Signals) -> None:
    marker = f"marker-{secrets.token_hex(8)}"
    with running(tmp_path, **SETTINGS) as agent:
        deaf = "trap '' TERM; (setsid bash -c 'trap \"\" TERM; sleep 600; true' $0 &); echo ready; sleep 600; true"
        job = agent.call(Run(argv=("bash", "-c", deaf, marker)), USER)
        agent.call(JobOutput(job.job_id, 0, 20.0), USER)
        assert processes_with(marker)
        agent.process.send_signal(number)
        assert agent.process.wait(5) == (0 if number == signal.SIGTERM else -number)
        deadline = time.monotonic() + 5
        while processes_with(marker) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not processes_with(marker)


def resident(pid: int) -> int:
    fields = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")
