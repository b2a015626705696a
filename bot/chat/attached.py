"""Files beside a question: texts are read into it, what cannot be read is named. Knows no py-cord."""

from __future__ import annotations

import codecs
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from bot.chat.showing import inline, language, size
from bot.errors import DiscordError

MAX_FILES = 5
MAX_BYTES = 200_000
"""Of one file. A model of a few thousand tokens takes less anyway, and says what it cut."""
MAX_LOG_BYTES = 8_000_000
"""Of one file of which only what matters is told the model."""
IMAGES = ("png", "jpg", "jpeg", "gif", "webp", "bmp", "heic", "tiff", "avif")
MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))


@dataclass(frozen=True, slots=True)
class Attached:
    name: str
    url: str
    size: int
    """Bytes, as Discord says."""


@dataclass(frozen=True, slots=True)
class Question:
    text: str
    """With the texts of the files; empty when nothing is asked."""
    notes: tuple[str, ...] = ()
    """Sentences for the user on files that were not read."""


class UnreadableText(ValueError):
    """The rest of a sentence that begins with the file's name."""


Fetch = Callable[[str, int], Awaitable[bytes]]
"""Takes a URL and the most bytes that are wanted. Raises DiscordError."""


async def with_files(question: str, files: Sequence[Attached], fetch: Fetch) -> Question:
    read, notes = await texts(files, fetch)
    # The question first: what is too long for the model is cut at the end.
    return Question("\n\n".join(filter(None, (question.strip(), *(_quoted(*each) for each in read)))), notes)


async def texts(
    files: Sequence[Attached], fetch: Fetch, limit: int = MAX_BYTES, *, tolerant: bool = False
) -> tuple[list[tuple[str, str]], tuple[str, ...]]:
    """Names and contents of what can be read, and sentences on the rest. `tolerant` reads what is no UTF-8, with a
    sign for each character that is lost."""
    read: list[tuple[str, str]] = []
    notes: list[str] = []
    for file in files[:MAX_FILES]:
        try:
            read.append((file.name, await _text(file, fetch, limit, tolerant=tolerant)))
        except UnreadableText as problem:
            notes.append(f"{inline(file.name, 100)} {problem}")
        except DiscordError as error:
            notes.append(f"{inline(file.name, 100)} was not read: {error}")
    if len(files) > MAX_FILES:
        notes.append(f"I read up to {MAX_FILES} files at once; the others were left out.")
    return read, tuple(notes)


async def _text(file: Attached, fetch: Fetch, limit: int, *, tolerant: bool) -> str:
    suffix = file.name.rpartition(".")[2].lower()
    if suffix in IMAGES:
        raise UnreadableText("is a picture; I cannot see pictures in this version.")
    if file.size > limit:
        raise UnreadableText(f"has {size(file.size)}; I read text files of up to {size(limit)}.")
    return decoded(await fetch(file.url, limit), tolerant=tolerant)


def decoded(data: bytes, *, tolerant: bool = False) -> str:
    """UTF-8, or UTF-16 with its mark. Raises UnreadableText."""
    mark, encoding = next(((mark, name) for mark, name in MARKS if data.startswith(mark)), (b"", "utf-8"))
    body = data.removeprefix(mark)
    if encoding == "utf-8" and b"\0" in body:
        raise UnreadableText("is not a text file, so I did not read it.")
    try:
        return body.decode(encoding, "replace" if tolerant else "strict")
    except UnicodeDecodeError as error:
        where = error.start + len(mark)
        raise UnreadableText(f"is no {encoding.upper()} text (byte {where + 1} is wrong); save it as UTF-8.") from None


def _quoted(name: str, text: str) -> str:
    """As models have seen files in conversations."""
    fence = "```"
    while fence in text:
        fence += "`"
    return f"File {name}:\n{fence}{language(name)}\n{text.strip()}\n{fence}"
