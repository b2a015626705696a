"""Cutting answers into messages."""

from __future__ import annotations

import random

import pytest

from bot.chat.rendering import CUT_OFF, LIMIT, MAX_PARTS, open_fence, render, split, units

BLOCK = "```python\n" + "x = 1\n" * 100 + "```"


def test_a_short_text_is_one_part() -> None:
    assert split("Hello.") == ["Hello."]
    assert split(" \n\n") == []


def test_a_block_that_fits_is_never_cut() -> None:
    for length in range(0, 2000, 37):
        parts = split("word " * (length // 5) + "\n" + BLOCK + "\nand so on " * 50)
        assert sum(BLOCK in part for part in parts) == 1, length


def test_a_long_block_is_reopened_with_its_language() -> None:
    code = "".join(f"line {n}\n" for n in range(900))
    parts = split(f"Look:\n```c++ title=a\n{code}```\nDone.")
    assert parts[0] == "Look:"
    blocks = parts[1:-1]
    assert len(blocks) > 2
    assert all(part.startswith("```c++") and part.endswith("\n```") for part in blocks)
    bodies = [line for part in parts for line in part.splitlines() if line.startswith("line")]
    assert bodies == code.splitlines()
    assert parts[-1].endswith("Done.")


def test_a_cut_before_the_closing_line_leaves_no_empty_block() -> None:
    for lines in range(150, 420):
        parts = split("```\n" + "abcdefg\n" * lines + "```\nThe end of it.")
        assert not any("```\n```" in part for part in parts), lines
        assert sum(part.count("abcdefg") for part in parts) == lines


def test_indentation_survives_a_cut() -> None:
    code = "".join(f"    deep {n}\n" for n in range(300))
    lines = [line for part in split(f"```py\n{code}```") for line in part.splitlines() if "deep" in line]
    assert lines == code.splitlines()


def test_prose_is_cut_between_paragraphs_sentences_words() -> None:
    assert split("a" * 1200 + "\n\n" + "b b " * 400)[0] == "a" * 1200
    assert split("One sentence. " * 300)[0].endswith("sentence.")
    assert split("word " * 1000)[0].endswith("word")
    assert "".join(split("x" * 5000)) == "x" * 5000


def test_emoji_count_twice() -> None:
    assert units("a\N{CRAB}") == 3
    parts = split("\N{CRAB}" * 3000)
    assert "".join(parts) == "\N{CRAB}" * 3000
    assert all(units(part) <= LIMIT for part in parts)


def test_inline_ticks_open_nothing() -> None:
    assert open_fence("```one line```") is None
    assert open_fence("text ``` text") is None
    fence = open_fence("a\n````md\n```py\n")
    assert fence is not None
    assert (fence.start, fence.ticks, fence.language) == (2, "````", "md")


PIECES = ("word ", "A sentence. ", "\n", "\n\n", "```py\n", "```\n", "    indented\n", "`code` ", "\N{CRAB}", "x" * 300)


@pytest.mark.parametrize("seed", range(8))
def test_while_a_text_grows_only_its_last_part_changes(seed: int) -> None:
    choose = random.Random(seed)
    text = ""
    before: list[str] = []
    for _ in range(700):
        text += choose.choice(PIECES)
        parts = split(text)
        assert all(part.strip() and units(part) <= LIMIT for part in parts)
        assert len(parts) >= len(before)
        assert parts[: len(before) - 1] == before[:-1]
        before = parts
    assert len(before) > 3


def test_a_note_comes_after_the_text_and_outside_its_code() -> None:
    assert render("```py\nx = 1", "It broke.").parts == ("```py\nx = 1\n```\n\nIt broke.",)
    assert render("", "It broke.").parts == ("It broke.",)
    full = "y" * (LIMIT - 10)
    assert render(full, "It broke.").parts == (full, "It broke.")


def test_beyond_six_parts_the_whole_comes_as_a_file() -> None:
    text = "A line of it.\n" * 2000
    growing, final = render(text), render(text, final=True)
    assert len(growing.parts) == MAX_PARTS
    assert growing.file == ""
    assert final.parts == (*growing.parts, CUT_OFF)
    assert final.file == text
