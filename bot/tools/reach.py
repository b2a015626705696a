"""The ways to the agent: the host that is configured, else localhost, else the address of the WSL distribution."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, ip_address

from agent_wsl.client import HANDSHAKE_S, AgentConnection, connect
from agent_wsl.errors import KeyRejected, Unreachable
from bot.config import AgentSettings

WSL_TIMEOUT_S = 10.0
"""A distribution that sleeps is started by the question."""
ASK_AGAIN = 10
"""Failures after which the address is asked for anew: it changes when WSL is restarted."""
CERTIFIED = "localhost"
"""The name in the agent's certificate, as `python -m agent_wsl keys DIR` makes it: the address is another each time."""


@dataclass(frozen=True, slots=True)
class Way:
    host: str
    how: str
    """For people."""
    certified: str = ""
    """The name that its certificate must have; empty for the host itself."""


class Reach:
    """Finds the agent, and remembers how. Blocking calls, from any thread."""

    def __init__(
        self,
        settings: AgentSettings,
        *,
        windows: bool = os.name == "nt",
        addresses: Callable[[str], Sequence[str]] | None = None,
    ) -> None:
        self._settings = settings
        self._windows = windows
        self._addresses = addresses or wsl_addresses
        self._distribution: Sequence[str] | None = None
        self._failures = 0
        self.way: Way | None = None
        """The one that worked last."""

    def connect(self, timeout_s: float = HANDSHAKE_S) -> AgentConnection:
        """Raises Unreachable and Refusal. A host that is configured is the only one that is tried: what is meant for
        one machine must not be run on another."""
        first = configured(self._settings)
        ways = [first] if self.way in (None, first) else [self.way, first]
        failure: Unreachable | None = None
        for way in ways:
            try:
                return self._open(way, timeout_s)
            except KeyRejected:
                raise
            except Unreachable as error:
                failure = error
        if self._windows and is_loopback(first.host):
            return self._in_wsl(timeout_s, failure)
        raise failure or Unreachable("There is no way to the agent.")

    def _in_wsl(self, timeout_s: float, failure: Unreachable | None) -> AgentConnection:
        if self._distribution is None or self._failures % ASK_AGAIN == 0:
            self._distribution = self._addresses(self._settings.distribution)
        self._failures += 1
        if self._distribution and not self._settings.tls:
            raise Unreachable(f"{failure} {no_certificates(self._distribution[0])}")
        for address in self._distribution:
            try:
                return self._open(in_distribution(address, self._settings.distribution), timeout_s)
            except KeyRejected:
                raise
            except Unreachable as error:
                failure = Unreachable(f"{failure} {error}")
        raise failure or Unreachable("There is no way to the agent.")

    def _open(self, way: Way, timeout_s: float) -> AgentConnection:
        settings = self._settings
        connection = connect(
            way.host, settings.port, settings.api_key, settings.tls, timeout_s, certified=way.certified or None
        )
        self.way, self._failures = way, 0
        return connection


def configured(settings: AgentSettings) -> Way:
    return Way(settings.host, "localhost" if is_loopback(settings.host) else "AGENT_HOST")


def in_distribution(address: str, distribution: str) -> Way:
    name = f"distribution {distribution}" if distribution else "default distribution"
    return Way(address, f"the address of the {name}", CERTIFIED)


def is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def no_certificates(address: str) -> str:
    return (
        f"WSL has the address {address}, but there the agent demands certificates: make localhost lead into WSL, or "
        "make them with `python -m agent_wsl keys DIR` and set AGENT_TLS_DIR and AGENT_BIND (docs/operations.md)."
    )


def wsl_addresses(distribution: str) -> Sequence[str]:
    """Of the distribution, the default one when none is named; none when there is no WSL."""
    chosen = ["-d", distribution] if distribution else []
    command = ["wsl.exe", *chosen, "hostname", "-I"]
    try:
        # No window flashes up beside a bot without a console.
        flags = getattr(subprocess, "CREATE_NO_WINDOW", 0)
        done = subprocess.run(  # noqa: S603 - a fixed program; the name is one argument
            command, capture_output=True, timeout=WSL_TIMEOUT_S, check=False, creationflags=flags
        )
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return parse_addresses(done.stdout) if done.returncode == 0 else ()


def parse_addresses(output: bytes) -> tuple[str, ...]:
    """IPv4 only, in order, without loopback; of `hostname -I`. What wsl.exe itself has to say is UTF-16, and none."""
    found = []
    for word in output.replace(b"\0", b"").decode("utf-8", "replace").split():
        try:
            address = IPv4Address(word)
        except AddressValueError:
            continue
        if not address.is_loopback:
            found.append(word)
    return tuple(found)


def answers_here(settings: AgentSettings, timeout_s: float) -> bool:
    """Whether an agent with the same key is on this machine, when the one that is configured does not answer."""
    try:
        with connect("127.0.0.1", settings.port, settings.api_key, settings.tls, timeout_s):
            return True
    except Unreachable:
        return False
