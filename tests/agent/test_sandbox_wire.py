"""Ways out of the sandbox, tried through the real process by commands that it was told to allow."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator

import pytest

from agent_wsl.protocol import GetJob, JobOutput, Run, Selftest
from tests.agent.process import KEY, AgentProcess, running

USER = "tester"
PYTHON = "/usr/bin/python3"
SYSCALL = "import ctypes, os; libc = ctypes.CDLL(None, use_errno=True)\n"
NUMBERS = {"x86_64": {"io_uring_setup": 425, "ptrace": 101, "mount": 165, "unshare": 272, "keyctl": 250, "bpf": 321}}
"""By the machine; elsewhere those rows ask the selftest, which has the numbers of more machines."""
CALLS = NUMBERS.get(os.uname().machine, {})

PYTHON_ROWS = {
    "network": "import socket; socket.create_connection(('127.0.0.1', PORT), 3)",
    "network by name": "import socket; socket.getaddrinfo('localhost.localdomain.example', 80)",
    "AF_UNIX": "import socket; socket.socket(socket.AF_UNIX)",
    "AF_VSOCK": "import socket; socket.socket(40, socket.SOCK_STREAM)",
    "AF_PACKET": "import socket; socket.socket(17, socket.SOCK_RAW)",
    "AF_ALG": "import socket; socket.socket(38, socket.SOCK_SEQPACKET)",
    "writing outside": "open('OUTSIDE/new', 'w')",
    "reading outside": "open('OUTSIDE/secret.txt').read()",
    "reading another root": "open('OTHER/theirs.txt').read()",
    "writing another root": "open('OTHER/theirs.txt', 'w')",
    "writing .git/hooks": "open('.git/hooks/pre-commit', 'w')",
    "writing .git/config": "open('.git/config', 'a')",
    "reading the agent's environment": "open('/proc/PID/environ', 'rb').read()",
    "its own environment": f"import os; assert {KEY!r} in str(os.environ)",
    "a key in any environment": (
        f"import glob\nassert any({KEY!r}.encode() in open(p, 'rb').read() for p in glob.glob('/proc/*/environ'))"
    ),
    "the audit log": "open('STATE/audit.jsonl').read()",
    "becoming root": "import os; os.setuid(0); assert os.getuid() == 0",
    "the agent's process": "import os; os.kill(PID, 0)",
    **{
        name: f"{SYSCALL}assert libc.syscall({number}, 0, 0, 0, 0, 0) >= 0 or ctypes.get_errno() not in (1, 38)"
        for name, number in CALLS.items()
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentProcess]:
    with running(tmp_path_factory.mktemp("agent"), ALLOWED_COMMANDS=f"{PYTHON}, bash") as process:
        (process.root / ".git" / "hooks").mkdir(parents=True)
        (process.root / ".git" / "config").write_text("[core]\n", encoding="utf-8")
        (process.root / ".git" / "HEAD").write_text("ref: refs/heads/main\n", encoding="utf-8")
        (process.other / "theirs.txt").write_text("THEIRS\n", encoding="utf-8")
        yield process


def outcome(agent: AgentProcess, *argv: str) -> tuple[int | None, str]:
    job = agent.call(Run(argv=argv), USER)
    status = agent.call(GetJob(job.job_id, 25.0), USER)
    assert status.state == "done"
    data = agent.call(JobOutput(job.job_id, 0, 1.0), USER).data
    return status.exit_code, base64.b64decode(data).decode()


@pytest.mark.parametrize("name", PYTHON_ROWS)
def test_held(agent: AgentProcess, name: str) -> None:
    """Each program ends with 0 only if it got what it wanted."""
    text = PYTHON_ROWS[name]
    words = {"OUTSIDE": agent.outside, "OTHER": agent.other, "STATE": agent.state, "PORT": agent.port}
    for word, value in {**words, "PID": agent.process.pid}.items():
        text = text.replace(word, str(value))
    code, output = outcome(agent, PYTHON, "-I", "-c", text)
    assert code == 1, output
    assert "rror" in output
    assert "SECRET" not in output
    assert (agent.other / "theirs.txt").read_text(encoding="utf-8") == "THEIRS\n"
    assert not list((agent.root / ".git" / "hooks").iterdir())
    agent.is_alive()


def test_control_a_program_that_wants_nothing_special_gets_it(agent: AgentProcess) -> None:
    assert outcome(agent, PYTHON, "-I", "-c", "open('mine.txt', 'w').write('x'); print(open('mine.txt').read())") == (
        0,
        "x\n",
    )
    assert (agent.root / "mine.txt").read_text(encoding="utf-8") == "x"


def test_the_selftest_over_the_wire(agent: AgentProcess) -> None:
    result = agent.call(Selftest(), USER, deadline_s=120)
    assert len(result.attempts) > 60
    assert not [attempt for attempt in result.attempts if not attempt.held]
    assert result.works
    for name in ("a fork bomb", "a memory bomb", "filling the disk", "1 GiB of output"):
        assert name in {attempt.name for attempt in result.attempts}
    agent.is_alive()
