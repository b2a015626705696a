"""What is kept of a conversation, and what is dropped."""

from __future__ import annotations

import pytest

from bot.events import Message
from bot.llm.history import INTERRUPTED, MESSAGE_OVERHEAD, Conversation

SYSTEM = Message("system", "be brief")


def words(text: str) -> int:
    return len(text.split())


def conversation(budget: int = 10_000) -> Conversation:
    return Conversation((SYSTEM,), budget=budget, count=words)


def contents(history: Conversation) -> list[str]:
    return [m.content for m in history.messages]


def size(history: Conversation) -> int:
    return sum(words(m.content) + MESSAGE_OVERHEAD for m in history.messages)


def test_turns_are_appended() -> None:
    history = conversation()
    history.ask("one?")
    before = history.messages
    history.answered(" One. \n", interrupted=False)
    history.ask("two?")
    assert history.messages[:2] == before
    assert contents(history) == ["be brief", "one?", "One.", "two?"]
    assert [m.role for m in history.messages] == ["system", "user", "assistant", "user"]


def test_a_question_without_a_heard_answer_joins_the_next() -> None:
    history = conversation()
    history.ask("What is")
    history.answered("", interrupted=True)
    history.ask("a thread?")
    assert contents(history) == ["be brief", "What is a thread?"]


@pytest.mark.parametrize(
    ("first", "second", "kept"),
    [
        ("What is rebase?", "And merge?", "What is rebase? And merge?"),
        ("Compare a thread", "and a process?", "Compare a thread and a process?"),
        ("Can you explain...", "Decorators.", "Can you explain... Decorators."),
        ("What is rebase?", "What is a thread?", "What is a thread?"),
    ],
)
def test_a_question_that_was_not_answered_is_completed_or_replaced(first: str, second: str, kept: str) -> None:
    history = conversation()
    history.ask(first)
    history.ask(second)
    assert contents(history) == ["be brief", kept]


def test_the_same_question_again_is_one_question() -> None:
    history = conversation()
    history.ask("What is a thread?")
    history.ask("what is a thread? ")
    assert contents(history) == ["be brief", "what is a thread?"]


def test_an_interrupted_answer_keeps_the_heard_words_and_a_mark() -> None:
    history = conversation()
    history.ask("a?")
    history.answered("A thread is", interrupted=True)
    assert history.messages[-1] == Message("assistant", "A thread is" + INTERRUPTED)


def test_only_the_first_news_of_an_answer_counts() -> None:
    history = conversation()
    history.answered("nobody asked", interrupted=False)
    history.ask("a?")
    history.answered("heard", interrupted=True)
    history.answered("heard twice", interrupted=False)
    assert contents(history) == ["be brief", "a?", "heard" + INTERRUPTED]


def test_old_turns_go_in_blocks_and_the_opening_stays() -> None:
    history = Conversation(
        (SYSTEM, Message("user", "example?"), Message("assistant", "yes.")), budget=1000, count=words
    )
    changes = 0
    for n in range(60):
        before = history.messages
        history.ask(f"question {n} " + "x " * 10)
        history.answered(f"answer {n} " + "y " * 10, interrupted=False)
        assert contents(history)[:3] == ["be brief", "example?", "yes."]
        assert history.messages[3].role == "user"
        assert contents(history)[-1].startswith(f"answer {n} ")
        assert size(history) <= 1000
        changes += history.messages[: len(before)] != before
    assert 5 <= changes <= 10, "the start should change once in several turns"


def test_after_an_answer_there_is_room_for_the_next_question() -> None:
    history = conversation(400)
    for n in range(30):
        history.ask(f"q{n} " + "x " * 20)
        history.answered("y " * 20, interrupted=False)
        before = history.messages
        history.ask("z " * 30)
        assert history.messages[:-1] == before, "a question of usual length drops nothing"
        history.answered("ok", interrupted=False)


def test_one_long_message_is_cut_and_says_so() -> None:
    history = conversation(200)
    history.ask("begin " + "word " * 1000)
    (_, message) = history.messages
    assert message.content.startswith("begin word")
    assert "more characters were cut: the message was too long]" in message.content
    assert size(history) <= 200
    history.answered("long " * 1000, interrupted=False)
    assert [m.role for m in history.messages] == ["system", "user", "assistant"]
    assert "were cut" in history.messages[-1].content
    assert size(history) <= 200 + 2 * MESSAGE_OVERHEAD


def test_joined_questions_that_are_too_long_keep_the_newest() -> None:
    history = conversation(200)
    history.ask("old " * 60)
    history.ask("new " * 60)
    assert "old" not in history.messages[-1].content
    assert history.messages[-1].content.split() == ["new"] * 60


def test_joining_counts_the_whole_message() -> None:
    history = conversation(200)
    for n in range(6):
        history.ask(f"{n} " + "x " * 8)
        history.answered("y " * 8, interrupted=False)
    for _ in range(5):
        history.ask("more words " * 8)
        assert size(history) <= 200
