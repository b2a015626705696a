"""The look of a message in the picture of a conversation."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

from discord_look import Line, markdown, message, page

NAMES = {"17": "@ada", "18": "🔊 Lounge"}


def test_markdown_is_discords() -> None:
    assert markdown("**You:** hi\n<@17> in <#18>", NAMES) == (
        '<p><strong>You:</strong> hi<br />\n<span class="mention">@ada</span> in '
        '<span class="mention">🔊 Lounge</span></p>\n'
    )
    assert '<span class="k">def</span>' in markdown("```py\ndef f(): ...\n```", {})
    assert "<script>" not in markdown("<script>alert()</script> `<b>`\n```nonsense\n<i>\n```", {})


def test_buttons_files_reactions_and_what_is_answered() -> None:
    line = Line("sidetone", True, "Text", "12:00", "ada !run <x>", True, ("⏳",), (("Approve", 3),), {"a.txt": 1200})
    html = message(line, None, NAMES)
    shown = ('"button green">Approve', "a.txt</b> 1,200 bytes", "⏳ <b>1", "@ada</b> !run &lt;x&gt;", "(edited)", "APP")
    assert [part for part in shown if part not in html] == []


def test_the_name_stands_once_over_several_messages_in_a_row() -> None:
    line = Line("ada", False, "one", "12:00")
    assert page("general", [line, line, Line("ada", False, "x", "12:01")], NAMES).count('class="head"') == 2
