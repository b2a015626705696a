"""What was written in a channel as an HTML page that looks like Discord. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from markdown_it import MarkdownIt
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

STYLE = Path(__file__).with_suffix(".css")
BUTTONS = {1: "blurple", 2: "grey", 3: "green", 4: "red", 5: "grey"}
"""Discord's numbers of their styles."""
FORMATTER = HtmlFormatter(nowrap=True)


@dataclass(frozen=True)
class Line:
    """One message."""

    author: str
    bot: bool
    text: str
    """In Discord's markdown."""
    time: str
    answers: str = ""
    """Who wrote what it is a reply to, and a space, and that text; empty for none."""
    edited: bool = False
    reactions: tuple[str, ...] = ()
    buttons: tuple[tuple[str, int], ...] = ()
    """What they say, and their style."""
    files: Mapping[str, int] = field(default_factory=dict)
    """Names and bytes."""


def page(channel: str, lines: list[Line], names: Mapping[str, str]) -> str:
    """`names`: what mentions show, by the ids in them."""
    body = "\n".join(message(line, before, names) for before, line in zip([None, *lines], lines, strict=False))
    return (
        f'<!DOCTYPE html><html><head><meta charset="utf-8"><style>{STYLE.read_text(encoding="utf-8")}</style></head>'
        f"<body><header><b>#</b>{escape(channel)}</header><main>{body}</main>"
        "<script>document.documentElement.dataset.height = document.body.scrollHeight</script></body></html>"
    )


def message(line: Line, before: Line | None, names: Mapping[str, str]) -> str:
    """`before` is the message above: Discord shows an author's name once for several in a row."""
    goes_on = before is not None and before.author == line.author and not line.answers and before.time == line.time
    parts = []
    if line.answers:
        who, _, what = line.answers.partition(" ")
        parts.append(
            f'<div class="reply"><i class="avatar {escape(who)}"></i><b>@{escape(who)}</b> {escape(what)}</div>'
        )
    if not goes_on:
        kind, badge = ("bot", '<span class="app">APP</span>') if line.bot else ("person", "")
        name = f'<b class="{kind}">{escape(line.author)}</b>'
        parts.append(f'{_avatar(line.author)}<div class="head">{name}{badge}<time>Today at {line.time}</time></div>')
    edited = '<span class="edited">(edited)</span>' if line.edited else ""
    parts.append(f'<div class="text">{markdown(line.text, names)}{edited}</div>')
    parts += [f'<div class="file">📄 <b>{escape(name)}</b> {size:,} bytes</div>' for name, size in line.files.items()]
    if line.buttons:
        made = (f'<span class="button {BUTTONS[style]}">{escape(label)}</span>' for label, style in line.buttons)
        parts.append(f'<div class="buttons">{"".join(made)}</div>')
    if line.reactions:
        made = (f'<span class="reaction">{each} <b>1</b></span>' for each in line.reactions)
        parts.append(f'<div class="reactions">{"".join(made)}</div>')
    return f'<section class="{"more" if goes_on else "first"}">{"".join(parts)}</section>'


def markdown(text: str, names: Mapping[str, str]) -> str:
    """The part of it that Discord knows."""
    parser = MarkdownIt("commonmark", {"breaks": True, "html": False, "highlight": _coloured})
    parser.disable(["image", "entity", "html_block", "html_inline", "lheading", "hr", "code"])
    html = str(parser.render(text))
    return re.sub(r"&lt;[@#]!?(\d+)&gt;", lambda found: f'<span class="mention">{escape(names[found[1]])}</span>', html)


def _avatar(name: str) -> str:
    return f'<i class="avatar {escape(name)}"></i>'


def _coloured(code: str, language: str, _attributes: str) -> str:
    try:
        return str(highlight(code, get_lexer_by_name(language or "text"), FORMATTER))
    except ClassNotFound:
        return escape(code)
