"""For `doctor` and `just status`: whether the tool agent answers, on which way, and what to change."""

from __future__ import annotations

import os

from agent_wsl.errors import AgentFailure, KeyRejected
from agent_wsl.protocol import Hello, HelloResult
from bot.config import AgentSettings
from bot.errors import AgentError
from bot.tools.paths import to_windows
from bot.tools.reach import Reach, Way, answers_here, configured, is_loopback

TIMEOUT_S = 10.0
WINDOWS = os.name == "nt"
MIRRORED = (
    "put `[wsl2]` and `networkingMode=mirrored` (Windows 11; on Windows 10 `localhostForwarding=true`) into "
    "%USERPROFILE%\\.wslconfig, then `wsl --shutdown`"
)
FIREWALL = "a firewall inside the distribution must let the port in (`sudo ufw allow {port}/tcp`)"


def greeting(settings: AgentSettings, reach: Reach | None = None) -> tuple[str, HelloResult]:
    """Where it answers, and what it says of itself. Blocks for up to TIMEOUT_S a way. Raises AgentError, with what to
    change."""
    reach = reach or Reach(settings)
    try:
        with reach.connect(TIMEOUT_S) as agent:
            hello = agent.call("doctor", Hello(), TIMEOUT_S)
    except KeyRejected as failure:
        raise AgentError(str(failure), "unreachable") from None
    except AgentFailure as failure:
        raise AgentError(f"{failure} {advice(settings, WINDOWS)}".strip(), "unreachable") from None
    way = reach.way or configured(settings)
    return f"{way.host} port {settings.port} ({way.how})", hello


def look(settings: AgentSettings) -> tuple[bool, str]:
    """Whether all is well, and a sentence on what was found and what to change. Blocks for up to TIMEOUT_S a way."""
    reach = Reach(settings)
    try:
        where, hello = greeting(settings, reach)
    except AgentError as error:
        return False, str(error)
    found = f"{where}: {', '.join(roots(hello, settings, WINDOWS))}"
    if not hello.sandbox.works:
        return False, f"{found}; commands are refused: {hello.sandbox.detail}"
    return True, f"{found}{better(reach.way, settings)}"


def roots(hello: HelloResult, settings: AgentSettings, windows: bool) -> list[str]:
    """On Windows also as Windows calls them."""
    names = [(root, to_windows(root, settings.distribution)) for root in hello.roots]
    return [f"{root} ({name})" if windows and name != root else root for root, name in names]


def better(way: Way | None, settings: AgentSettings) -> str:
    """What would make a detour needless."""
    if way is None or way == configured(settings):
        return ""
    return f". localhost does not lead into WSL; to make it, {MIRRORED}"


def advice(settings: AgentSettings, windows: bool) -> str:
    """What to change when no way leads to the agent."""
    if not is_loopback(settings.host):
        if answers_here(settings, TIMEOUT_S):
            return f"One does answer on this machine: for that, set AGENT_HOST=127.0.0.1 in place of {settings.host}."
        firewall = f"a firewall on {settings.host} must let port {settings.port} in"
        return f"The agent must listen on {settings.host} (AGENT_BIND, AGENT_TLS_DIR), and {firewall}."
    if not windows:
        return ""
    return (
        f"In WSL, `just backend-start` starts it. When it runs there and is not seen here, {MIRRORED}; "
        f"{FIREWALL.format(port=settings.port)}."
    )
