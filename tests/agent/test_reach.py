"""The ways to the agent, with a real one at the end. 127.0.0.2 stands for the address of a WSL distribution."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from agent_wsl.errors import KeyRejected, Unreachable
from agent_wsl.protocol import Hello
from agent_wsl.wire import keys
from bot.config import AgentSettings
from bot.errors import AgentError
from bot.tools import check
from bot.tools.reach import ASK_AGAIN, Reach, Way, is_loopback, parse_addresses, wsl_addresses
from tests.agent.process import KEY, AgentProcess, running

ADDRESS = "127.0.0.2"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls") / "keys"
    keys.write(folder, ["localhost"])
    return folder


@pytest.fixture(scope="module")
def in_wsl(tmp_path_factory: pytest.TempPathFactory, certificates: Path) -> Iterator[AgentProcess]:
    """Localhost does not lead to it."""
    folder = tmp_path_factory.mktemp("agent")
    with running(folder, AGENT_BIND=ADDRESS, AGENT_TLS_DIR=str(certificates)) as process:
        yield process


def settings(port: int, host: str = "127.0.0.1", tls: Path | None = None, key: str = KEY) -> AgentSettings:
    return AgentSettings(host, port, key, tls, "Ubuntu")


class Addresses:
    def __init__(self, *found: str) -> None:
        self.found = found
        self.asked: list[str] = []

    def __call__(self, distribution: str) -> Sequence[str]:
        self.asked.append(distribution)
        return self.found


def test_localhost_comes_first_and_nothing_else_is_asked(agent: AgentProcess) -> None:
    addresses = Addresses(ADDRESS)
    reach = Reach(settings(agent.port), windows=True, addresses=addresses)
    with reach.connect() as connection:
        assert connection.call("me", Hello()).version == 1
    assert reach.way == Way("127.0.0.1", "localhost")
    assert addresses.asked == []


def test_the_address_of_the_distribution_with_certificates(in_wsl: AgentProcess, certificates: Path) -> None:
    addresses = Addresses("127.0.0.9", ADDRESS)
    reach = Reach(settings(in_wsl.port, tls=certificates), windows=True, addresses=addresses)
    for _ in range(2):
        with reach.connect() as connection:
            assert connection.call("me", Hello()).version == 1
        assert reach.way and reach.way.host == ADDRESS
    assert addresses.asked == ["Ubuntu"], "what worked is remembered"
    assert "networkingMode=mirrored" in check.better(reach.way, settings(in_wsl.port))
    where, hello = check.greeting(settings(in_wsl.port, tls=certificates), reach)
    assert where == f"{ADDRESS} port {in_wsl.port} (the address of the distribution Ubuntu)"
    assert check.roots(hello, settings(1), True)[0].startswith(f"{in_wsl.root} (\\\\wsl.localhost\\Ubuntu\\")


def test_without_certificates_the_address_is_named_but_not_dialled(in_wsl: AgentProcess) -> None:
    reach = Reach(settings(in_wsl.port), windows=True, addresses=Addresses(ADDRESS))
    with pytest.raises(Unreachable, match=f"WSL has the address {ADDRESS}, but there the agent demands certificates"):
        reach.connect()


def test_linux_does_not_ask_for_distributions(in_wsl: AgentProcess, certificates: Path) -> None:
    addresses = Addresses(ADDRESS)
    with pytest.raises(Unreachable, match=r"No agent answers at 127\.0\.0\.1"):
        Reach(settings(in_wsl.port, tls=certificates), windows=False, addresses=addresses).connect()
    assert addresses.asked == []


def test_a_configured_host_is_never_replaced(agent: AgentProcess) -> None:
    """What was meant for another machine would be run on this one."""
    elsewhere = settings(agent.port, "192.0.2.1")
    reach = Reach(elsewhere, windows=True, addresses=Addresses("127.0.0.1"))
    with pytest.raises(Unreachable, match=r"192\.0\.2\.1"):
        reach.connect(0.3)
    assert reach.way is None
    assert "set AGENT_HOST=127.0.0.1 in place of 192.0.2.1" in check.advice(elsewhere, True)
    assert "must listen on 192.0.2.1" in check.advice(settings(1, "192.0.2.1"), True)


def test_a_wrong_key_ends_the_search(agent: AgentProcess) -> None:
    addresses = Addresses(ADDRESS)
    with pytest.raises(KeyRejected):
        Reach(settings(agent.port, key="wrong" * 5), windows=True, addresses=addresses).connect()
    assert addresses.asked == []


def test_the_address_is_asked_for_anew_now_and_then(certificates: Path) -> None:
    addresses = Addresses()
    reach = Reach(settings(1, tls=certificates), windows=True, addresses=addresses)
    for _ in range(ASK_AGAIN + 1):
        with pytest.raises(Unreachable, match=r"No agent answers at 127\.0\.0\.1"):
            reach.connect()
    assert len(addresses.asked) == 2


def test_doctor_on_windows_says_what_to_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "WINDOWS", True)
    with pytest.raises(AgentError) as failure:
        check.greeting(settings(1), Reach(settings(1), windows=True, addresses=Addresses()))
    for words in ("just backend-start", ".wslconfig", "wsl --shutdown", "sudo ufw allow 1/tcp"):
        assert words in str(failure.value)


@pytest.mark.parametrize(
    ("output", "found"),
    [
        (b"172.29.43.7 172.17.0.1 fd00::1 \n", ("172.29.43.7", "172.17.0.1")),
        (b"127.0.0.1 \n", ()),
        (b"", ()),
        ("There is no distribution with the supplied name.".encode("utf-16-le"), ()),
        ("172.29.43.7\r\n".encode("utf-16-le"), ("172.29.43.7",)),
        (b"\xff\xfe\x00 999.1.1.1 10.0.0.2", ("10.0.0.2",)),
    ],
)
def test_what_wsl_says(output: bytes, found: tuple[str, ...]) -> None:
    assert parse_addresses(output) == found


def test_wsl_is_asked_as_it_takes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert wsl_addresses("Ubuntu") == ()
    stand_in = tmp_path / "wsl.exe"
    stand_in.write_text('#!/bin/sh\n[ "$*" = "-d My distro hostname -I" ] && echo 172.29.43.7\n', encoding="utf-8")
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert wsl_addresses("My distro") == ("172.29.43.7",)
    assert wsl_addresses("Other") == ()


@pytest.mark.parametrize(
    ("host", "yes"),
    [("localhost", True), ("127.0.0.1", True), ("::1", True), ("Localhost", True), ("10.0.0.1", False), ("pc", False)],
)
def test_what_is_this_machine(host: str, yes: bool) -> None:
    assert is_loopback(host) is yes
