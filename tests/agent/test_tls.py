"""Beyond loopback: mutual TLS on top of the API key."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent_wsl.client import connect
from agent_wsl.errors import TlsError, Unreachable
from agent_wsl.protocol import Hello, ReadFile
from agent_wsl.wire import handshake, keys
from tests.agent.process import KEY, PROJECT, AgentProcess, running


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tls") / "keys"
    keys.write(path, ["localhost", "127.0.0.1"])
    return path


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory, folder: Path) -> Iterator[AgentProcess]:
    with running(tmp_path_factory.mktemp("agent"), AGENT_BIND="0.0.0.0", AGENT_TLS_DIR=str(folder)) as process:
        yield process


def alive(agent: AgentProcess, folder: Path) -> None:
    with connect("127.0.0.1", agent.port, KEY, folder) as client:
        assert client.call("me", Hello()).version == 1


def test_both_sides_know_each_other(agent: AgentProcess, folder: Path) -> None:
    assert "0.0.0.0" in agent.line
    assert "TLS" in agent.line
    (agent.root / "large.txt").write_text(("x" * 99 + "\n") * 5000, encoding="utf-8")
    with connect("127.0.0.1", agent.port, KEY, folder) as client:
        for _ in range(50):
            # Larger than TLS's own records: what is decrypted already must be seen.
            assert client.call("me", ReadFile("large.txt")).lines == 2000
    with connect("localhost", agent.port, KEY, folder) as client:
        assert client.call("me", Hello()).version == 1


def test_without_tls_nobody_gets_in(agent: AgentProcess, folder: Path) -> None:
    with pytest.raises(Unreachable):
        connect("127.0.0.1", agent.port, KEY)
    alive(agent, folder)


def test_a_certificate_of_another_ca_is_refused(agent: AgentProcess, folder: Path, tmp_path: Path) -> None:
    keys.write(tmp_path / "foreign", ["127.0.0.1"])
    with pytest.raises(Unreachable, match="certificate verify failed"):
        connect("127.0.0.1", agent.port, KEY, tmp_path / "foreign")
    # The same client, made to trust the agent: now it is the agent that refuses.
    (tmp_path / "foreign" / "ca.pem").write_bytes((folder / "ca.pem").read_bytes())
    assert rejected(agent, tmp_path / "foreign" / "bot.pem", tmp_path / "foreign" / "bot.key", folder)
    alive(agent, folder)


def test_no_certificate_is_refused_even_with_the_key(agent: AgentProcess, folder: Path) -> None:
    assert rejected(agent, None, None, folder)
    alive(agent, folder)


def test_the_agents_own_certificate_is_no_clients(agent: AgentProcess, folder: Path) -> None:
    assert rejected(agent, folder / "agent.pem", folder / "agent.key", folder)
    alive(agent, folder)


def rejected(agent: AgentProcess, certificate: Path | None, key: Path | None, folder: Path) -> bool:
    context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    if certificate and key:
        context.load_cert_chain(certificate, key)
    plain = socket.create_connection(("127.0.0.1", agent.port), 5)
    try:
        with context.wrap_socket(plain, server_hostname="127.0.0.1") as sock:
            handshake.respond(sock, handshake.derive(KEY))
    except (handshake.HandshakeError, OSError):
        return True
    return False


def test_the_agent_at_another_address_is_refused(agent: AgentProcess, folder: Path, tmp_path: Path) -> None:
    """127.0.0.2 reaches the same agent, but is not what its certificate says."""
    with pytest.raises(Unreachable, match="not valid for"):
        connect("127.0.0.2", agent.port, KEY, folder)
    alive(agent, folder)


def test_the_key_is_needed_on_top(agent: AgentProcess, folder: Path) -> None:
    with pytest.raises(Unreachable, match="another API_KEY"):
        connect("127.0.0.1", agent.port, "wrong" * 5, folder)
    alive(agent, folder)


def test_a_tls_handshake_that_does_not_end(agent: AgentProcess, folder: Path) -> None:
    with agent.raw(authenticated=False) as sock:
        sock.sendall(b"\x16\x03\x01\x02\x00")
        sock.settimeout(8)
        assert sock.recv(100) == b""
    alive(agent, folder)


def test_the_files_are_private_and_are_not_overwritten(folder: Path) -> None:
    assert {path.name for path in folder.iterdir()} == {"ca.pem", "agent.pem", "agent.key", "bot.pem", "bot.key"}
    assert all(path.stat().st_mode & 0o077 == 0 for path in folder.iterdir())
    with pytest.raises(TlsError, match="exists already"):
        keys.write(folder, ["localhost"])


def test_the_command(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "agent_wsl", "keys", str(tmp_path / "made"), "--host", "192.168.1.5"]
    values = {"PATH": os.environ["PATH"], "PYTHONPATH": str(PROJECT)}
    result = subprocess.run(command, env=values, capture_output=True, text=True, timeout=60, check=True)
    assert "192.168.1.5" in result.stdout
    assert (tmp_path / "made" / "ca.pem").exists()
    result = subprocess.run(command, env=values, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 5
    assert "exists already" in result.stderr
