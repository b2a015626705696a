"""The conversation in front of a scripted model."""

from __future__ import annotations

from bot.events import Message, Usage
from bot.llm.brain import ConversationBrain
from bot.llm.history import INTERRUPTED
from bot.llm.prompt import OPENING
from tests.fakes import FakeLlm
from tests.virtual_clock import run_virtual


class WarmLlm(FakeLlm):
    def __init__(self) -> None:
        super().__init__(lambda messages: f"about {messages[-1].content}")
        self.warmed: list[tuple[Message, ...]] = []

    async def warm(self, messages: object, tools: object = ()) -> None:
        assert isinstance(messages, tuple)
        self.warmed.append(messages)


async def ask(brain: ConversationBrain, question: str) -> tuple[str, list[Usage]]:
    text, usage = "", []
    async for item in brain.reply(question):
        if isinstance(item, Usage):
            usage.append(item)
        else:
            text += item
    return text, usage


def test_a_conversation() -> None:
    async def scene() -> None:
        llm = WarmLlm()
        brain = ConversationBrain(llm, context=1000, max_tokens=100)
        text, usage = await ask(brain, "git")
        assert text.strip() == "about git"
        assert len(usage) == 1
        brain.answered("about", interrupted=True)
        await brain.warm()
        await ask(brain, "ssh")
        expected = (*OPENING, Message("user", "git"), Message("assistant", "about" + INTERRUPTED))
        assert llm.warmed == [expected]
        assert llm.prompts[1] == (*expected, Message("user", "ssh"))

    run_virtual(scene())


def test_a_dropped_answer_leaves_the_question() -> None:
    async def scene() -> None:
        llm = WarmLlm()
        brain = ConversationBrain(llm, context=1000, max_tokens=100, opening=(Message("system", "s"),))
        reply = brain.reply("What is")
        await anext(reply)
        await reply.aclose()
        await ask(brain, "a thread?")
        assert llm.prompts[1] == (Message("system", "s"), Message("user", "What is a thread?"))

    run_virtual(scene())


def test_the_history_leaves_room_for_the_answer() -> None:
    async def scene() -> None:
        llm = WarmLlm()
        brain = ConversationBrain(llm, context=600, max_tokens=200, opening=(Message("system", "s"),))
        for n in range(40):
            await ask(brain, f"{n} " + "x " * 15)
            brain.answered("y " * 15)
        longest = max(sum(llm.count(m.content) for m in prompt) for prompt in llm.prompts)
        assert 100 < longest < 600 - 200

    run_virtual(scene())


def test_the_opening_is_the_same_every_time() -> None:
    assert OPENING[0].role == "system"
    assert [m.role for m in OPENING[1:]] == ["user", "assistant"] * ((len(OPENING) - 1) // 2)
    assert all(m.content == m.content.strip() and "`" not in m.content for m in OPENING)
