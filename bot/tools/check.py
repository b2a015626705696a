"""For `doctor`: whether the tool agent answers, and what it may do."""

from __future__ import annotations

from agent_wsl.client import connect
from agent_wsl.errors import AgentFailure
from agent_wsl.protocol import Hello, HelloResult
from bot.config import AgentSettings
from bot.errors import AgentError

TIMEOUT_S = 10.0


def greeting(settings: AgentSettings) -> tuple[str, HelloResult]:
    """Where it answers, and what it says of itself. Blocks for up to TIMEOUT_S. Raises AgentError."""
    try:
        with connect(settings.host, settings.port, settings.api_key, settings.tls, TIMEOUT_S) as agent:
            return f"{settings.host} port {settings.port}", agent.call("status", Hello(), TIMEOUT_S)
    except AgentFailure as failure:
        raise AgentError(str(failure), "unreachable") from None


def look(settings: AgentSettings) -> tuple[bool, str]:
    """Whether all is well, and a sentence on what was found. Blocks for up to TIMEOUT_S."""
    try:
        where, hello = greeting(settings)
    except AgentError as error:
        return False, str(error)
    where = f"{where}: {', '.join(hello.roots)}"
    if not hello.sandbox.works:
        return False, f"{where}; commands are refused: {hello.sandbox.detail}"
    return True, where
