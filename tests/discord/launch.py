"""Starts the real bot of `bot.chat` with a scripted model: `python -m tests.discord.launch`.

Settings come from the environment, as for the product. `--voice`: with a scripted conversation behind `!direct`.
`--approval=SECONDS`: what a request for approval lives."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import AsyncExitStack
from functools import partial

from bot import config, log
from bot.chat.approvals import APPROVAL_S
from bot.chat.client import TEXT_ONLY, Debugging, Spoken, Tools, run_discord
from bot.chat.failed_runs import FailedRuns
from bot.errors import SidetoneError, StageError
from bot.events import Exchange, Usage
from bot.llm.diagnosis import DiagnosisQuestion
from bot.lookout import Explained, Lookout
from bot.ports import Brain, Talk, ToolAgent
from bot.sentinel.sentinel import Sentinel
from bot.tools.hands import AgentHands
from bot.tools.wsl import AgentClient
from tests.discord.script import LONG_ANSWER
from tests.discord.spoken import ScriptedConversation, ScriptedMicrophones


class ScriptedBrain:
    """Its answer is decided by the first word of the question."""

    def __init__(self, past: Sequence[Exchange]) -> None:
        self._questions = [each.question for each in past]
        self._answers = [each.answer for each in past]

    async def reply(self, question: str) -> AsyncGenerator[str | Usage, None]:
        self._questions.append(question)
        kind, _, rest = question.partition(" ")
        if kind == "forever":
            try:
                while True:
                    yield "more "
                    await asyncio.sleep(0.05)
            finally:
                say("model stopped")
        for word in self._words(kind, rest):
            yield word
            if kind in ("slowly", "spell"):
                await asyncio.sleep(0.05)
        say(f"model finished {question}")
        yield Usage(10, 10, 10, 0.1, "end")

    def _words(self, kind: str, rest: str) -> Iterator[str]:
        match kind:
            case "slowly":
                yield from (f"word{number} " for number in range(int(rest)))
                yield "the end."
            case "spell":
                yield from rest
            case "long":
                yield from (LONG_ANSWER[start : start + 200] for start in range(0, len(LONG_ANSWER), 200))
            case "endless":
                yield from (f"This is line {number} of it.\n" for number in range(1500))
            case "fail":
                yield "It begins well, "
                raise StageError("The language model failed; ask again.")
            case "break":
                raise ZeroDivisionError("a defect")
            case "ping":
                yield f"@everyone @here <@{rest}> look!"
            case "code":
                yield "```python\nsecret_value = 1\n```\n"
                yield "It is short."
            case "nothing":
                yield "\n"
            case _:
                yield f"Asked: {' | '.join(self._questions)}. Answered: {len(self._answers)}."

    def answered(self, text: str, *, interrupted: bool = False) -> None:
        self._answers.append(text)
        say(f"answered interrupted={interrupted} {text[-20:]!r}")

    async def warm(self) -> None:
        return


def make_brain(past: Sequence[Exchange], talk: Talk) -> Brain:
    return ScriptedBrain(past)


def say(text: str) -> None:
    sys.stdout.write(text + "\n")


async def main(settings: config.Settings) -> None:
    client = AgentClient(settings.agent) if settings.agent.api_key else None
    agent: ToolAgent | None = AgentHands(client) if client else None
    spoken = TEXT_ONLY
    if "--voice" in sys.argv:
        spoken = Spoken(ScriptedConversation(say), microphones=ScriptedMicrophones())
    lifetime_s = next((float(each[11:]) for each in sys.argv if each.startswith("--approval=")), APPROVAL_S)
    read_once = partial(Sentinel, time.time)
    diagnosis = Explained(DiagnosisQuestion(lambda text: len(text) // 4, lambda: 1500), read_once)
    async with AsyncExitStack() as closing:
        watch = Lookout(agent, read_once(), FailedRuns(agent), read_once) if agent else None
        if watch:
            await closing.enter_async_context(watch.watching())
        tools = Tools(agent, lifetime_s, Debugging(diagnosis, [watch], watch.listen) if watch else Debugging(diagnosis))
        await run_discord(settings, make_brain, say, model="a script", spoken=spoken, tools=tools)
    if client:
        await client.close()
    left = asyncio.all_tasks() - {asyncio.current_task()}
    threads = [each.name for each in threading.enumerate() if each is not threading.main_thread()]
    say(f"left behind: {[task.get_name() for task in left] + threads}")


if __name__ == "__main__":
    try:
        settings = config.load(env_file=None)
        log.start("debug", secrets=settings.secrets)
        asyncio.run(main(settings))
    except SidetoneError as error:
        sys.stderr.write(f"sidetone: {error}\n")
        sys.exit(error.exit_code)
