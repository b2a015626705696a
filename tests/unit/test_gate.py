"""Spoken answers go first."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

from bot.gate import ModelGate, UrgentBrain
from tests.fakes import FakeBrain
from tests.virtual_clock import run_virtual


def test_a_written_answer_waits_for_a_spoken_one_and_not_the_other_way_round() -> None:
    order: list[str] = []

    async def write(gate: ModelGate) -> None:
        async with gate:
            order.append("writes")

    async def main() -> None:
        gate = ModelGate()
        brain = FakeBrain(["one two three", "four"])
        spoken = UrgentBrain(brain, gate)
        async with asyncio.TaskGroup() as tasks:
            async for item in spoken.reply("?"):
                if item == "one ":
                    tasks.create_task(write(gate))
                    await asyncio.sleep(1)
                    assert gate.locked()
                if isinstance(item, str):
                    order.append(item.strip())
        assert not gate.locked()
        async with gate:
            await spoken.warm()
            assert brain.warmed == 0
            async with aclosing(spoken.reply("!")) as items:
                order.append(str(await anext(items)).strip())
        await spoken.warm()
        assert brain.warmed == 1
        spoken.answered("one")
        assert brain.history == [("one", False)]

    run_virtual(main())
    assert order == ["one", "two", "three", "writes", "four"]
