"""For `doctor`: whether the tool agent answers, and what it may do."""

from __future__ import annotations

from agent_wsl.client import connect
from agent_wsl.errors import AgentFailure
from agent_wsl.protocol import Hello
from bot.config import AgentSettings

TIMEOUT_S = 10.0


def look(settings: AgentSettings) -> tuple[bool, str]:
    """Whether all is well, and a sentence on what was found. Blocks for up to TIMEOUT_S."""
    try:
        with connect(settings.host, settings.port, settings.api_key, settings.tls, TIMEOUT_S) as agent:
            hello = agent.call("doctor", Hello(), TIMEOUT_S)
    except AgentFailure as failure:
        return False, str(failure)
    where = f"{settings.host} port {settings.port}: {', '.join(hello.roots)}"
    if not hello.sandbox.works:
        return False, f"{where}; commands are refused: {hello.sandbox.detail}"
    return True, where
