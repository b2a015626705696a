"""Settings of the agent: what it refuses to start with, and that it says why."""

from __future__ import annotations

import ast
import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from agent_wsl import allowed
from agent_wsl.config import PROJECT, Settings, load
from agent_wsl.errors import ConfigError, RootError, StartupError
from tests.agent.process import KEY, environment


def settings(root: Path, **values: str) -> Settings:
    return load(None, {"API_KEY": KEY, "ALLOWED_DIRECTORIES": str(root), **values})


def test_defaults(tmp_path: Path) -> None:
    defaults = settings(tmp_path)
    assert defaults.listen.host == "127.0.0.1"
    assert defaults.files.roots == (tmp_path.resolve(),)
    assert defaults.rate_per_minute == 60
    assert not defaults.sandbox.network
    assert ("git", "status") in defaults.jobs.allowed


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("API_KEY", "", "API_KEY is not set"),
        ("API_KEY", "fifteen-letters", "has 15 characters"),
        ("PORT", "70000", "from 0 to 65535"),
        ("PORT", "http", "from 0 to 65535"),
        ("MAX_FILE_SIZE_MB", "-1", "MAX_FILE_SIZE_MB"),
        ("RATE_LIMIT_PER_MINUTE", "0", "RATE_LIMIT_PER_MINUTE"),
        ("AGENT_BIND", "0.0.0.0", "certificates"),
        ("AGENT_BIND", "192.168.1.5", "certificates"),
        ("AGENT_BIND", "::", "certificates"),
        ("AGENT_BIND", "localhost", "an IP address"),
        ("ALLOWED_COMMANDS", "git 'status", "quotes closed"),
        ("JOB_ENVIRONMENT", "A=1 B", "NAME=VALUE"),
        ("JOB_NETWORK", "perhaps", "on or off"),
        ("ALLOWED_DIRECTORIES", "", "ALLOWED_DIRECTORIES is not set"),
        ("ALLOWED_DIRECTORIES", "/nowhere/at/all", "does not exist"),
        ("ALLOWED_DIRECTORIES", "/", "part of the system"),
        ("ALLOWED_DIRECTORIES", "/usr", "part of the system"),
        ("ALLOWED_DIRECTORIES", "/etc/ssl", "part of the system"),
        ("ALLOWED_DIRECTORIES", "/proc/self", "part of the system"),
        ("ALLOWED_DIRECTORIES", "/tmp/../", "part of the system"),
        ("ALLOWED_DIRECTORIES", "/etc/hostname", "no directory"),
        ("WATCH_DIRECTORIES", "~nobody-of-this-name/project", "no such home directory"),
        ("JOB_READ_ONLY", "/tmp/a\0b", "without a NUL character"),
        ("JOB_READ_ONLY", "~nobody-of-this-name/bin", "no such home directory"),
        ("AGENT_STATE_DIR", "/", "not one that holds an allowed directory"),
        ("AGENT_TLS_DIR", "/", "not one that holds an allowed directory"),
    ],
)
def test_refusals_name_the_setting_and_what_is_allowed(tmp_path: Path, name: str, value: str, says: str) -> None:
    with pytest.raises(StartupError) as refusal:
        settings(tmp_path, **{name: value})
    assert says in str(refusal.value)
    assert isinstance(refusal.value, RootError if name == "ALLOWED_DIRECTORIES" else ConfigError)


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"\xff\xfeA\0P\0I\0", "not in UTF-8"), (b"# caf\xe9\n", "not in UTF-8")],
    ids=["UTF-16", "Latin-1"],
)
def test_a_file_of_another_encoding_is_said(tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / ".env").write_bytes(content)
    with pytest.raises(ConfigError, match=says):
        load(tmp_path / ".env", {})


def test_a_file_that_may_not_be_read_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("agent_wsl.config.dotenv_values", refuse)
    with pytest.raises(ConfigError, match="Permission denied"):
        load(tmp_path / ".env", {})


def test_without_a_home_directory_there_are_no_tool_chains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(path: Path) -> Path:
        if str(path).startswith("~"):
            raise RuntimeError("Could not determine home directory.")
        return path

    monkeypatch.setattr(Path, "expanduser", nowhere)
    assert settings(tmp_path).sandbox.read_only == ()


def test_a_short_key_is_not_shown() -> None:
    with pytest.raises(ConfigError) as refusal:
        load(None, {"API_KEY": "my-short-key"})
    assert "my-short-key" not in str(refusal.value)


def test_the_home_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "homes" / "eve"
    (home / "src").mkdir(parents=True)
    eve = pwd.struct_passwd(("eve", "x", os.getuid() + 4242, 4242, "", str(home), "/bin/sh"))
    monkeypatch.setattr(allowed.pwd, "getpwall", lambda: [eve])
    for root in (home, home / "src", home.parent):
        with pytest.raises(RootError, match="home directory of eve"):
            settings(root)


def test_a_symlink_to_a_forbidden_directory_is_seen_through(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc")
    with pytest.raises(RootError, match="part of the system"):
        settings(tmp_path / "link")


def test_the_example_names_what_the_loader_reads_and_changes_nothing(tmp_path: Path) -> None:
    must = {"API_KEY": KEY, "ALLOWED_DIRECTORIES": str(tmp_path)}
    assert load(PROJECT / ".env.example", must) == load(None, must)
    source = ast.parse((PROJECT / "agent_wsl" / "config.py").read_text(encoding="utf-8"))
    calls = [n for n in ast.walk(source) if isinstance(n, ast.Call) and ast.unparse(n.func).startswith("read.")]
    read = {call.args[0].value for call in calls if isinstance(call.args[0], ast.Constant)}
    assert len(read) > 20
    lines = (PROJECT / ".env.example").read_text(encoding="utf-8").splitlines()
    assert read <= {line.partition("=")[0] for line in lines if "=" in line}


@pytest.mark.parametrize(
    ("wrong", "code", "says"),
    [
        ({"API_KEY": "short"}, 2, "API_KEY has 5 characters"),
        ({"API_KEY": ""}, 2, "API_KEY is not set"),
        ({"ALLOWED_DIRECTORIES": "/nowhere/at/all"}, 3, "does not exist"),
        ({"ALLOWED_DIRECTORIES": "/"}, 3, "part of the system"),
        ({"AGENT_BIND": "0.0.0.0"}, 2, "certificates"),
        ({"AGENT_TLS_DIR": "/nowhere/at/all"}, 5, "is missing"),
        ({"AGENT_BIND": "203.0.113.1", "AGENT_TLS_DIR": "/nowhere"}, 5, "is missing"),
        ({"AGENT_STATE_DIR": "/proc/nowhere"}, 7, "audit log"),
    ],
)
def test_the_process_says_in_one_sentence_why_it_does_not_start(
    tmp_path: Path, wrong: dict[str, str], code: int, says: str
) -> None:
    values = environment(tmp_path, tmp_path, tmp_path / "state", **wrong)
    command = [sys.executable, "-m", "agent_wsl", "--port", "0"]
    result = subprocess.run(command, env=values, capture_output=True, text=True, timeout=60, check=False)
    assert (result.returncode, result.stdout) == (code, "")
    assert says in result.stderr
    assert result.stderr.count("\n") == 1
    assert KEY not in result.stderr
