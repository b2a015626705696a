"""One agent for a file's tests; those that change its settings start their own with `running`."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

if sys.platform != "linux":
    # The agent is a Linux program; the bot's side of it is tested with the bot.
    collect_ignore_glob = ["test_*.py"]
else:
    from tests.agent.process import AgentProcess, running


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentProcess]:
    with running(tmp_path_factory.mktemp("agent")) as process:
        yield process
