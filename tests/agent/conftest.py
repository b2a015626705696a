"""One agent for a file's tests; those that change its settings start their own with `running`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.agent.process import AgentProcess, running


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentProcess]:
    with running(tmp_path_factory.mktemp("agent")) as process:
        yield process
