"""Pieces of an answer: where they are cut, and that nothing is lost."""

from __future__ import annotations

import random
import re
from itertools import pairwise

import pytest

from bot.events import Sentence
from bot.llm.sentences import SentenceSplitter

ANSWERS = [
    "Git rebase moves your commits onto another base, so the history stays linear. You use it, e.g. before a merge.",
    'Yes. It does. Dr. Smith said "Stop." Then he left (really.) And more...  but wait',
    'Here is the code:\n\n```python\nfor x in [1, 2]:\n  print(f"a. b, {x}")  # `tick`\n```\n\nIt prints. Fine.',
    "```\nnever closed. Really.\nno `x` end",
    "Text, then ````md\n```py\nx\n```\n```` and more. And then ```inline.one, two``` after that, done.",
    "1. Install it. Then run.\n2. Go\n\n- one, two, three, four\n- **two**\n\n---\n# Title\n| a | b |\n",
    "Use `git add .` or `a, b. c` and see https://a.b/c?d=1, v2.0. Next: 3.11, file.py, the U.S. and J. R. Tolkien.",
    "  \n\n ",
    "",
    "naïve — café… 你好 ok",
    "a word—another one—and a third - then more -- end",
    "To undo your last commit but keep the changes you made run the reset command in your terminal and all is staged",
    "unclosed `code with. many, words. and no end to it\nnew line. Ok then.",
    "``` ``` `` ` ```` x",
]


def split(*deltas: str) -> list[Sentence]:
    splitter = SentenceSplitter(7)
    pieces = [piece for delta in deltas for piece in splitter.feed(delta)]
    return pieces + splitter.finish()


def texts(*deltas: str) -> list[str]:
    return [piece.text.strip() for piece in split(*deltas)]


def spoken(text: str) -> list[str]:
    return [piece.spoken for piece in split(text) if piece.spoken]


@pytest.mark.parametrize("answer", ANSWERS)
def test_nothing_is_lost_and_the_tokens_do_not_matter(answer: str) -> None:
    whole = split(answer)
    assert "".join(piece.text for piece in whole) == answer
    assert [piece.index for piece in whole] == list(range(len(whole)))
    assert {piece.turn for piece in whole} <= {7}
    rng = random.Random(answer)
    for _ in range(30):
        cuts = sorted(rng.randint(0, len(answer)) for _ in range(rng.randint(0, 40)))
        deltas = [answer[a:b] for a, b in zip([0, *cuts], [*cuts, len(answer)], strict=True)]
        assert split(*deltas) == whole


def test_random_text_is_never_lost() -> None:
    rng = random.Random(5)
    parts = [
        "word",
        "Word",
        ", ",
        ". ",
        " ",
        "\n",
        "`",
        "```",
        "e.g. ",
        "1. ",
        "(",
        ") ",
        "...",
        "—",
        " - ",
        "?",
        "[",
        "]",
    ]
    for _ in range(400):
        answer = "".join(rng.choice(parts) for _ in range(rng.randint(1, 60)))
        assert "".join(piece.text for piece in split(answer)) == answer
        assert split(*answer) == split(answer), answer


@pytest.mark.parametrize(
    ("answer", "first"),
    [
        ("Git rebase moves your commits, and then it goes on.", "Git rebase moves your commits,"),
        ("You can do that: run the command.", "You can do that:"),
        ("It is fast. And small.", "It is fast."),
        ("Yes. It is fast. And small.", "Yes. It is fast."),
        ("Sure, here is the thing, as you asked.", "Sure, here is the thing,"),
        ("A thread is a lightweight process that runs beside the other ones", "A thread is a lightweight process"),
        (
            "Some very long noun phrase strings many plain words together today",
            "Some very long noun phrase strings many plain words together",
        ),
    ],
)
def test_the_first_piece_is_a_short_clause(answer: str, first: str) -> None:
    assert texts(answer)[0] == first


def test_the_first_piece_leaves_before_the_sentence_ends() -> None:
    splitter = SentenceSplitter(0)
    assert not splitter.feed("Git rebase moves your commits,")
    (piece,) = splitter.feed(" a")
    assert piece.text == "Git rebase moves your commits, "


@pytest.mark.parametrize(
    "whole",
    [
        "You use it with e.g. a branch.",
        "Take Python 3.11 or so.",
        "Open the file.py there.",
        "Ask Dr. Smith about it.",
        "See https://example.com/a.b?c now.",
        "Say it to J. R. Tolkien.",
        "Run git add . first.",
        "Go to cd .. then.",
        "Use the ? operator there.",
        "Take lists, sets etc. as they are.",
        "It costs 1,000 or 12:30.",
    ],
)
def test_these_dots_end_nothing(whole: str) -> None:
    # A later piece, so that only the ends of sentences cut.
    assert texts(f"This is it. {whole} Done with that.")[1:] == [whole, "Done with that."]


@pytest.mark.parametrize(
    "whole",
    [
        'He said "stop it now."',
        "It is done (for now.)",
        "This needs version v2.0.",
        "Is it so?",
        "Use **this one.**",
        "Take lists, sets etc.",
        "See file.py.",
    ],
)
def test_these_end_a_sentence(whole: str) -> None:
    assert texts(f"This is it. {whole} Then it goes on.")[1:] == [whole, "Then it goes on."]


def test_lines_end_pieces_and_numbers_of_a_list_do_not() -> None:
    assert texts("Do this:\n1. Install it\n2. Run it\n\n- go on\n- **stop**") == [
        "Do this:",
        "1. Install it",
        "2. Run it",
        "- go on",
        "- **stop**",
    ]


@pytest.mark.parametrize("end", ["", "\n```", "\n```\n", "\n```\n\nThat is all."])
def test_code_is_one_piece_that_is_not_spoken(end: str) -> None:
    code = "```python\nprint('Hello. World, `x`.')\n\nprint(2)"
    pieces = split(f"Here it is: {code}{end}")
    (block,) = [piece for piece in pieces if "print" in piece.text]
    assert block.text.strip() == code + end.rstrip().removesuffix("\n\nThat is all.")
    assert not block.spoken
    assert spoken(f"Here it is: {code}{end}") == ["Here it is:"] + (["That is all."] if "That" in end else [])


def test_inline_code_is_not_cut() -> None:
    for piece in texts("You can use the call `foo(a, b). bar: c` for that. And `x. y`, too."):
        assert piece.count("`") % 2 == 0


def test_pieces_grow_at_most_twofold_and_stay_short() -> None:
    sentence = "it goes on and on with many words, because nobody stops it, and so it never ends when you want it to, "
    pieces = [piece.spoken for piece in split("Well, this is long, " + sentence * 6)]
    assert len(pieces) > 6
    for before, after in pairwise(pieces):
        assert len(after) <= max(60, 2 * len(before), len(before) * 2.2), (before, after)
    assert max(map(len, pieces)) <= 130
    assert len(pieces[0].split()) <= 8


def test_long_sentence_without_punctuation_is_cut_between_words() -> None:
    pieces = texts("It begins here, " + "word " * 80 + "end.")
    assert max(map(len, pieces)) < 200
    assert all(re.fullmatch(r"\S.*\S", piece) for piece in pieces)


def test_spoken_form_is_made_by_the_given_function() -> None:
    splitter = SentenceSplitter(1, lambda text: text.replace("*", "").strip())
    pieces = splitter.feed("This is **it**. *** \n--- \nYes it is. ") + splitter.finish()
    assert [piece.spoken for piece in pieces] == ["This is it.", "", "", "Yes it is."]
    assert pieces[0].text == "This is **it**. "
