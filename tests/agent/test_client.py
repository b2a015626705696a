"""The bot's asynchronous client against the real agent: whatever happens to the agent costs one call."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agent_wsl.protocol import Changes, Hello, JobKill, JobOutput, ListDir, ReadFile, Run, WatchAdd
from bot.config import AgentSettings
from bot.errors import AgentError, ConfigError
from bot.tools.check import look
from bot.tools.lane import LONGEST_WAIT_S, Backoff
from bot.tools.wsl import AgentClient
from tests.agent.process import KEY, AgentProcess, running


@asynccontextmanager
async def client_of(port: int, key: str = KEY) -> AsyncIterator[AgentClient]:
    client = AgentClient(AgentSettings("127.0.0.1", port, key, None))
    try:
        yield client
    finally:
        await client.close()


def test_calls_and_refusals(agent: AgentProcess) -> None:
    async def scenario() -> None:
        async with client_of(agent.port) as client:
            assert (await client.call("ann", Hello())).version == 1
            listing = await client.call("ann", ListDir("."))
            assert listing.path == str(agent.root)
            with pytest.raises(AgentError) as refusal:
                await client.call("ann", ReadFile("/etc/passwd"))
            assert refusal.value.reason == "denied"
            assert "/etc/passwd" in str(refusal.value)
            with pytest.raises(AgentError) as refusal:
                await client.call("ann", Run(argv=("touch", "x")))
            assert refusal.value.reason == "approval_needed"
            assert refusal.value.approval

    asyncio.run(scenario())


def test_a_long_poll_holds_up_nobody(agent: AgentProcess) -> None:
    async def scenario() -> None:
        async with client_of(agent.port) as client:
            await client.call("ann", WatchAdd("."))
            cursor = (await client.call("ann", Changes("now"))).cursor
            waiting = [asyncio.ensure_future(client.call("ann", Changes(cursor, 20.0))) for _ in range(3)]
            await asyncio.sleep(0.3)
            started = time.monotonic()
            await client.call("ann", ListDir("."))
            await client.call("ann", Hello())
            assert time.monotonic() - started < 2
            (agent.root / "new.txt").write_text("1", encoding="utf-8")
            for found in await asyncio.gather(*waiting):
                assert any(change.path.endswith("new.txt") for change in found.changes)

    asyncio.run(scenario())


def test_killing_the_agent_in_a_call_costs_that_call_alone(tmp_path: Path) -> None:
    async def scenario(agent: AgentProcess, client: AgentClient) -> None:
        cursor = (await client.call("ann", Changes("now"))).cursor
        waiting = asyncio.ensure_future(client.call("ann", Changes(cursor, 20.0)))
        await asyncio.sleep(0.3)
        started = time.monotonic()
        agent.process.kill()
        with pytest.raises(AgentError, match="broke during the call") as broken:
            await waiting
        assert broken.value.reason == "unreachable"
        assert time.monotonic() - started < 2
        with pytest.raises(AgentError, match="start it with"):
            await client.call("ann", ListDir("."))

    async def both() -> None:
        with running(tmp_path) as agent:
            client = AgentClient(AgentSettings("127.0.0.1", agent.port, KEY, None))
            await client.call("ann", Hello())
            await scenario(agent, client)
        with running(tmp_path, port=agent.port):
            assert (await client.call("ann", ListDir("."))).path == str(agent.root)
        await client.close()

    asyncio.run(both())


def test_an_agent_that_was_restarted_between_two_calls_costs_none(tmp_path: Path) -> None:
    async def scenario() -> None:
        with running(tmp_path) as first:
            port = first.port
            client = AgentClient(AgentSettings("127.0.0.1", port, KEY, None))
            await client.call("ann", ListDir("."))
        with running(tmp_path, port=port):
            for _ in range(3):
                assert (await client.call("ann", ListDir("."))).path
            await client.close()

    asyncio.run(scenario())


def test_a_call_waits_for_an_agent_that_is_being_started(tmp_path: Path) -> None:
    async def scenario() -> None:
        with running(tmp_path) as first:
            port = first.port
        async with client_of(port) as client:
            early = asyncio.ensure_future(client.call("ann", Hello()))
            await asyncio.sleep(0.1)
            with running(tmp_path, port=port):
                assert (await early).version == 1

    asyncio.run(scenario())


def test_a_wrong_key_is_not_tried_again(tmp_path: Path) -> None:
    async def scenario(agent: AgentProcess) -> None:
        async with client_of(agent.port, "wrong" * 5) as client:
            started = time.monotonic()
            with pytest.raises(AgentError, match="another API_KEY"):
                await client.call("ann", Hello())
            assert time.monotonic() - started < 2

    with running(tmp_path) as agent:
        asyncio.run(scenario(agent))
        agent.is_alive()


def test_a_deadline_ends_the_wait_and_the_next_call_works(agent: AgentProcess) -> None:
    async def scenario() -> None:
        async with client_of(agent.port) as client:
            cursor = (await client.call("ann", Changes("now"))).cursor
            started = time.monotonic()
            with pytest.raises(AgentError, match=r"within 0\.5 s"):
                await client.call("ann", Changes(cursor, 20.0), deadline_s=0.5)
            assert time.monotonic() - started < 2
            assert (await client.call("ann", ListDir("."))).path

    asyncio.run(scenario())


def test_a_cancelled_call_leaves_nothing_behind(agent: AgentProcess) -> None:
    async def scenario() -> None:
        async with client_of(agent.port) as client:
            for _ in range(20):
                cursor = (await client.call("ann", Changes("now"))).cursor
                waiting = asyncio.ensure_future(client.call("ann", Changes(cursor, 20.0)))
                await asyncio.sleep(0.02)
                waiting.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await waiting
            assert (await client.call("ann", ListDir("."))).path

    started = time.monotonic()
    asyncio.run(scenario())
    assert time.monotonic() - started < 20


def test_a_job_is_followed_and_killed_on_the_control_connection(agent: AgentProcess) -> None:
    async def scenario() -> None:
        async with client_of(agent.port) as client:
            command = Run(argv=("bash", "-c", "echo started; sleep 60"))
            with pytest.raises(AgentError) as ask:
                await client.call("ann", command)
            approved = Run(argv=command.argv, approval=ask.value.approval)
            job = await client.call("ann", approved)
            first = await client.call("ann", JobOutput(job.job_id, 0, 20.0))
            reader = asyncio.ensure_future(client.call("ann", JobOutput(job.job_id, first.next_offset, 20.0)))
            await asyncio.sleep(0.2)
            started = time.monotonic()
            status = await client.call("ann", JobKill(job.job_id))
            assert status.ended_by in ("", "killed")
            assert (await reader).done
            assert time.monotonic() - started < 5

    asyncio.run(scenario())


def test_no_key_is_said() -> None:
    with pytest.raises(ConfigError, match="API_KEY is not set"):
        AgentClient(AgentSettings("127.0.0.1", 1, "", None))


def test_backoff_doubles_to_a_limit_and_forgets() -> None:
    backoff = Backoff()
    waits = []
    for _ in range(12):
        backoff.failed(100.0, "nobody there")
        waits.append(backoff.remaining(100.0))
    assert waits[:4] == pytest.approx([0.1, 0.2, 0.4, 0.8])
    assert waits[-1] == pytest.approx(LONGEST_WAIT_S)
    assert backoff.remaining(100.0 + LONGEST_WAIT_S) == 0
    backoff.passed()
    backoff.failed(100.0, "nobody there")
    assert backoff.remaining(100.0) == pytest.approx(0.1)


def test_doctor_says_what_it_found(agent: AgentProcess) -> None:
    works, found = look(AgentSettings("127.0.0.1", agent.port, KEY, None))
    assert works, found
    assert str(agent.root) in found
    works, found = look(AgentSettings("127.0.0.1", agent.port, "wrong" * 5, None))
    assert not works
    assert "another API_KEY" in found
    works, found = look(AgentSettings("127.0.0.1", 1, KEY, None))
    assert not works
    assert "start it with" in found
