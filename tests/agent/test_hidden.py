"""Files that hold keys are neither read nor searched, under whatever name they are asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent_wsl.files.hidden import holds_keys
from agent_wsl.protocol import ListDir, ReadFile, Run, Search
from tests.agent.process import KEY, AgentProcess, running


@pytest.mark.parametrize(
    "path",
    [".env", "sub/.env", ".env.local", ".ENV", ".env.production", ".netrc", ".ssh/id_rsa", ".ssh", ".aws/credentials",
     ".config/gh/hosts.yml", ".git-credentials"],
)  # fmt: skip
def test_hidden(path: str) -> None:
    assert holds_keys(path.split("/"))


@pytest.mark.parametrize(
    "path", [".env.example", "env", "environment.py", ".envrc", "src/.sshconfig", "docs/.ssh.md", ".github/x", ""]
)
def test_not_hidden(path: str) -> None:
    assert not holds_keys([name for name in path.split("/") if name])


def test_the_agents_own_settings_and_audit_log_stay_its_own(tmp_path: Path) -> None:
    with running(tmp_path, AGENT_STATE_DIR=str(tmp_path / "allowed" / "logs")) as agent:
        root = agent.root
        (root / ".env").write_text(f"API_KEY={KEY}\n", encoding="utf-8")
        (root / ".env.example").write_text("API_KEY=put-yours-here\n", encoding="utf-8")
        (root / "innocent.txt").symlink_to(".env")
        (root / "sub").mkdir()
        (root / "sub" / "link").symlink_to("../.env")
        for path in (
            ".env",
            "./.env",
            "sub/../.env",
            str(root / ".env"),
            "innocent.txt",
            "sub/link",
            "logs/audit.jsonl",
        ):
            assert agent.refused(ReadFile(path)).code == "denied", path
        assert "put-yours-here" in agent.call(ReadFile(".env.example")).text
        for pattern in (KEY, "API_KEY"):
            hits = agent.call(Search(pattern)).hits
            assert {Path(hit.path).name for hit in hits} <= {".env.example"}
        assert agent.refused(Search("API_KEY", path=".env")).code == "denied"
        # That it is there is no secret.
        assert ".env" in [entry.name for entry in agent.call(ListDir(".")).entries]


def test_no_answer_holds_the_key(agent: AgentProcess) -> None:
    refusal = agent.refused(Run(argv=("echo", KEY)))
    assert refusal.code == "approval_needed"
    log = (agent.state / "audit.jsonl").read_text(encoding="utf-8")
    assert KEY not in log


def test_hidden_also_while_the_allowed_directory_has_another_name(tmp_path: Path) -> None:
    with running(tmp_path) as agent:
        (agent.root / ".env").write_text(f"API_KEY={KEY}\n", encoding="utf-8")
        (agent.root / "innocent.txt").symlink_to(".env")
        away = agent.root.rename(tmp_path / "away")
        assert agent.refused(ReadFile("innocent.txt")).code == "denied"
        assert agent.call(ListDir(".")).path == str(agent.root)
        away.rename(agent.root)
