"""Files beside a question."""

from __future__ import annotations

import asyncio

import pytest

from bot.chat.attached import MAX_BYTES, MAX_FILES, Attached, Question, UnreadableText, decoded, with_files
from bot.chat.download import download
from bot.errors import DiscordError


def ask(question: str, **files: bytes | DiscordError) -> Question:
    async def fetch(url: str, limit: int) -> bytes:
        content = files[url]
        assert limit == MAX_BYTES
        if isinstance(content, DiscordError):
            raise content
        return content

    attached = [Attached(f"{name}.txt", name, 10) for name in files]
    return asyncio.run(with_files(question, attached, fetch))


def test_texts_follow_the_question() -> None:
    asked = ask(" Why? ", a=b"one\n", b=b"```py\ntwo\n```")
    assert asked.text == "Why?\n\nFile a.txt:\n```\none\n```\n\nFile b.txt:\n````\n```py\ntwo\n```\n````"
    assert asked.notes == ()
    assert ask("", a=b"x").text.startswith("File a.txt:")
    assert ask("  ") == Question("")


def test_what_cannot_be_read_is_named_and_the_rest_is_read() -> None:
    asked = ask("?", a=b"\0", b=b"fine", c=DiscordError("no network."), d=b"\xff\xfe\x00")
    assert "fine" in asked.text
    assert len(asked.notes) == 3
    assert asked.notes[1] == "`c.txt` was not read: no network."
    many = ask("?", **{f"n{n}": b"x" for n in range(MAX_FILES + 2)})
    assert many.text.count("File ") == MAX_FILES
    assert "left out" in many.notes[0]


def test_nothing_is_fetched_that_will_not_be_read() -> None:
    async def fetch(url: str, limit: int) -> bytes:
        raise AssertionError

    files = [Attached("a.PNG", "x", 1), Attached("b.txt", "x", MAX_BYTES + 1)]
    asked = asyncio.run(with_files("?", files, fetch))
    assert [note.split(" ", 1)[0] for note in asked.notes] == ["`a.PNG`", "`b.txt`"]


def test_encodings() -> None:
    assert decoded("größe".encode()) == "größe"
    assert decoded("größe".encode("utf-8-sig")) == "größe"
    assert decoded("größe".encode("utf-16")) == "größe"
    for wrong in ("größe".encode("latin-1"), b"\xff\xfea", b"a\0b"):
        with pytest.raises(UnreadableText):
            decoded(wrong)


@pytest.mark.parametrize(
    "url", ["http://cdn.discordapp.com/x", "https://evil.example/x", "https://127.0.0.1/x", "file:///x"]
)
def test_only_discord_is_asked(url: str) -> None:
    with pytest.raises(DiscordError, match="does not lie at Discord"):
        asyncio.run(download(url, 10, None))
