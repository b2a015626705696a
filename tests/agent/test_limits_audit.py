"""Rate limits as a moving window; the audit log says who did what, and no secret."""

from __future__ import annotations

import json
import shlex
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from limits import RateLimitItemPerSecond

from agent_wsl.audit import CHEAP_PER_MINUTE, Audit
from agent_wsl.envelope import ErrorCode
from agent_wsl.errors import Refusal, StateError
from agent_wsl.limits import ALL_USERS, RateLimits
from agent_wsl.protocol import ListDir, ReadFile, Run
from tests.agent.process import KEY, running


def refused(limits: RateLimits, user: str, call: str = "read_file") -> Refusal | None:
    try:
        limits.count(user, call)
    except Refusal as refusal:
        return refusal
    return None


def test_a_user_has_its_own_window_and_is_told_when_to_come_back() -> None:
    limits = RateLimits(3, item=RateLimitItemPerSecond)
    assert [refused(limits, "a") for _ in range(3)] == [None] * 3
    refusal = refused(limits, "a")
    assert refusal
    assert refusal.code == ErrorCode.RATE_LIMITED
    assert refusal.retry_after_s
    assert 0 < refusal.retry_after_s <= 1.1
    assert refused(limits, "b") is None
    time.sleep(refusal.retry_after_s + 0.05)
    assert refused(limits, "a") is None


def test_all_users_together_are_limited_too() -> None:
    limits = RateLimits(2)
    outcomes = [refused(limits, f"user{n}") for n in range(2 * ALL_USERS + 1)]
    assert outcomes[:-1] == [None] * (2 * ALL_USERS)
    last = outcomes[-1]
    assert last
    assert "All users together" in last.message


def test_what_is_refused_for_the_others_sake_is_not_counted() -> None:
    limits = RateLimits(1, item=RateLimitItemPerSecond)
    assert [refused(limits, f"user{n}") for n in range(ALL_USERS)] == [None] * ALL_USERS
    time.sleep(0.7)
    assert refused(limits, "late")
    time.sleep(0.5)
    assert refused(limits, "late") is None


def test_asking_how_things_stand_does_not_use_up_the_work_and_a_kill_always_works() -> None:
    limits = RateLimits(1)
    assert refused(limits, "a", "read_file") is None
    assert refused(limits, "a", "read_file")
    assert refused(limits, "a", "job_output") is None
    assert [refused(limits, "a", "job_kill") for _ in range(100)] == [None] * 100


def test_over_the_wire(tmp_path: Path) -> None:
    with running(tmp_path, RATE_LIMIT_PER_MINUTE="2") as agent:
        agent.call(ListDir("."), "ann")
        agent.call(ListDir("."), "ann")
        with pytest.raises(Refusal) as refusal:
            agent.call(ListDir("."), "ann")
        assert refusal.value.code == "rate_limited"
        assert refusal.value.retry_after_s
        assert 50 < refusal.value.retry_after_s <= 60
        agent.call(ListDir("."), "bob")


def entries(state: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (state / "audit.jsonl").read_text(encoding="utf-8").splitlines()]


def test_the_audit_log_tells_who_what_and_how_it_ended(tmp_path: Path) -> None:
    with running(tmp_path) as agent:
        (agent.root / "notes.txt").write_text("contents that must not be logged", encoding="utf-8")
        agent.call(ReadFile("notes.txt"), "ann")
        agent.refused(ReadFile("/etc/passwd"), "bob")
        agent.refused(Run(argv=("curl", "-H", f"Authorization: Bearer {KEY}", "token=hunter2hunter2")), "bob")
        state = agent.state
    log = entries(state)
    assert log[0]["call"] == "start"
    assert log[-1]["call"] == "stop"
    read, denied = [entry for entry in log if entry["call"] == "read_file"]
    assert (read["user"], read["target"], read["result"]) == ("ann", "notes.txt", "ok")
    assert (denied["user"], denied["target"], denied["result"]) == ("bob", "/etc/passwd", "denied")
    assert all(entry["time"] and entry["ms"] is not None for entry in log)
    text = (state / "audit.jsonl").read_text(encoding="utf-8")
    for secret in (KEY, "hunter2", "contents that must not be logged"):
        assert secret not in text
    assert (state / "audit.jsonl").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "secret",
    [
        "sk-abcdefghijklmnop1234", "ghp_abcdefghijklmnopqrst", "AKIAABCDEFGHIJKLMNOP", "xoxb-1234567890-abc",
        "MTIzNDU2Nzg5MDEyMzQ1Njc4.GaBcDe.abcdefghijklmnopqrstuvwxyz0",
    ],
)  # fmt: skip
def test_what_looks_like_a_key_is_not_written(tmp_path: Path, secret: str) -> None:
    audit = Audit(tmp_path / "audit.jsonl", [])
    assert audit.write("a", "run", f"deploy --with {secret} now", "ok", 0.1)
    audit.close()
    (entry,) = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text(encoding="utf-8").splitlines()]
    assert entry["target"] == "deploy --with *** now"


@pytest.mark.parametrize(
    "line",
    [
        "git clone https://hunter2@example.com/x", "git clone https://me:hunter2@example.com/x",
        "curl -H 'X-Api-Key: hunter2' x", "curl '--header=Authorization: token hunter2' x", "curl -u me:hunter2 x",
        "curl -d '{\"password\": \"hunter2\"}' x", "tool --client-secret hunter2", "tool --api-key=hunter2",
        "AWS_SECRET_ACCESS_KEY=hunter2 tool", "tool --password 'hunter2'",
    ],
)  # fmt: skip
def test_what_is_named_as_a_key_is_not_written(tmp_path: Path, line: str) -> None:
    audit = Audit(tmp_path / "audit.jsonl", [])
    assert audit.write("a", "run", line, "ok", 0.1)
    audit.close()
    text = (tmp_path / "audit.jsonl").read_text(encoding="utf-8")
    assert "hunter2" not in text
    assert "***" in text


@pytest.mark.parametrize(
    "line", ["pytest tests/test_token.py::test_key", "grep token src/key.py", "git log --author me", "cat keys.txt"]
)
def test_the_rest_of_a_command_is_written(tmp_path: Path, line: str) -> None:
    audit = Audit(tmp_path / "audit.jsonl", [])
    assert audit.write("a", "run", line, "ok", 0.1)
    audit.close()
    assert line in (tmp_path / "audit.jsonl").read_text(encoding="utf-8")


def test_the_api_key_is_known_in_quotes_as_well(tmp_path: Path) -> None:
    key = "it's-the-key-of-this-agent"
    audit = Audit(tmp_path / "audit.jsonl", [key])
    assert audit.write("a", "run", shlex.join(["echo", f"-{key}-"]), "ok", 0.1)
    audit.close()
    assert "of-this-agent" not in (tmp_path / "audit.jsonl").read_text(encoding="utf-8")


def test_cheap_refusals_do_not_push_the_rest_out(tmp_path: Path) -> None:
    audit = Audit(tmp_path / "audit.jsonl", [], lambda: datetime(2026, 1, 1, tzinfo=UTC))
    for _ in range(CHEAP_PER_MINUTE + 1000):
        assert audit.write("a", "list_dir", ".", "rate_limited", 0.1)
    assert audit.write("b", "run", "ls", "ok", 0.1)
    assert audit.write("b", "run", "ls", "ok", 0.1)
    audit.close()
    written = entries(tmp_path)
    assert len(written) == CHEAP_PER_MINUTE + 2
    assert [entry.get("left_out") for entry in written[-3:]] == [None, 1000, None]


def test_a_log_that_cannot_be_written_is_said_at_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(StateError, match="audit log"):
        Audit(tmp_path / "file" / "audit.jsonl", [])


def test_a_full_disk_refuses_commands_and_nothing_else(tmp_path: Path) -> None:
    """/dev/full in the place of the log: every write says that there is no room."""
    with running(tmp_path) as agent:
        state = agent.state
    (state / "audit.jsonl").unlink()
    (state / "audit.jsonl").symlink_to("/dev/full")
    with running(tmp_path) as agent:
        refusal = agent.refused(Run(argv=("ls",)))
        assert refusal.code == "disk_full"
        assert "make room" in refusal.message
        assert agent.call(ListDir(".")).path == str(agent.root)


def test_it_rotates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent_wsl.audit.BYTES", 2000)
    audit = Audit(tmp_path / "audit.jsonl", [])
    for number in range(100):
        audit.write("a", "run", f"command {number}", "ok", 0.1)
    audit.close()
    files = sorted(tmp_path.iterdir())
    assert len(files) == 6
    assert all(file.stat().st_size <= 2000 and file.stat().st_mode & 0o077 == 0 for file in files)
    assert "command 99" in (tmp_path / "audit.jsonl").read_text(encoding="utf-8")
