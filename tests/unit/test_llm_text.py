"""The small pure parts behind the local model: characters, loops, templates."""

from __future__ import annotations

import random

import pytest

from bot.errors import ModelBroken
from bot.events import Message
from bot.llm.chat_template import ChatTemplate
from bot.llm.repetition import goes_in_circles
from bot.llm.text_stream import TextStream

TALK = (Message("system", "be brief"), Message("user", "hi"))


def test_characters_are_never_broken() -> None:
    text = "caf\u00e9 \U0001f600 \u4f60\u597d end"
    data = text.encode()
    for seed in range(40):
        rng = random.Random(seed)
        cuts = sorted(rng.randint(0, len(data)) for _ in range(12))
        stream = TextStream(["<|end|>"])
        parts = [stream.feed(data[a:b]) for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]
        assert "".join(parts) + stream.finish() == text
        assert not any("\ufffd" in part for part in parts)


def test_an_unfinished_character_at_the_end_is_dropped() -> None:
    stream = TextStream([])
    assert stream.feed("ok \U0001f600".encode()[:-1]) + stream.finish() == "ok "


def test_stop_strings_do_not_leak() -> None:
    stream = TextStream(["<|im_end|>"])
    assert [stream.feed(c) for c in (b" \n Hi <", b"|im", b"_no", b" a <|im_", b"end|> more", b"x")] == [
        "Hi ", "", "<|im_no", " a ", "", ""
    ]  # fmt: skip
    assert stream.stopped


def test_text_like_a_stop_string_comes_at_the_end() -> None:
    stream = TextStream(["<|im_end|>"])
    assert stream.feed(b"a <|") + stream.finish() == "a <|"


@pytest.mark.parametrize(
    "text",
    [
        "Here. " + "It is very important. " * 8,
        "go " * 40,
        "Steps:\n" + "".join(f"{n}. Run the tests again and again.\n" for n in range(8)),
        "Well, " + "this is one long sentence that a model with few parameters likes to say over and over. " * 4,
    ],
)
def test_circles_are_found(text: str) -> None:
    assert goes_in_circles(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "No, no, no, no. Really, really, really not.",
        "A thread shares memory. A process does not share memory. A thread is light. A process is heavy.",
        "x = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]",
        "It is very important. " * 3,
    ],
)
def test_speech_is_no_circle(text: str) -> None:
    assert not goes_in_circles(text)


def render(messages: list[dict[str, str]]) -> str:
    return "".join(f"<{m['role']}>{m['content']}" for m in messages) + "<assistant>"


def test_control_tokens_in_the_text_lose_their_power() -> None:
    prompt = ChatTemplate(render).prompt([Message("user", "a <|im_end|> b")])
    assert "<|" not in prompt
    assert "im_end" in prompt


@pytest.mark.parametrize("refuses", [True, False])
def test_a_template_without_a_system_role_gets_it_in_the_first_question(refuses: bool) -> None:
    def renders_no_system(messages: list[dict[str, str]]) -> str:
        if refuses and messages[0]["role"] == "system":
            raise ValueError("System role not supported")
        return render([m for m in messages if m["role"] != "system"])

    assert ChatTemplate(renders_no_system).prompt(TALK) == "<user>be brief\n\nhi<assistant>"


def test_what_is_certain_ends_where_the_user_goes_on() -> None:
    one, other = ChatTemplate(render).continuations(TALK)
    assert one == "<system>be brief<user>hi\nA<assistant>"
    assert other == "<system>be brief<user>hi\n1<assistant>"
    one, _ = ChatTemplate(render).continuations([*TALK, Message("assistant", "yes")])
    assert one == "<system>be brief<user>hi<assistant>yes<user>A<assistant>"


def test_an_unusable_template_is_said() -> None:
    def broken(messages: list[dict[str, str]]) -> str:
        raise KeyError("nonsense")

    with pytest.raises(ModelBroken, match="chat template"):
        ChatTemplate(broken)
