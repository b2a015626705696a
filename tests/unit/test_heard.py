"""The words that had been played when the user cut in."""

import pytest

from bot.heard import Played, heard_text

PIECES = [Played("Sure, ", 1000), Played("git rebase moves your commits. ", 5000), Played("It rewrites history.", 3000)]


@pytest.mark.parametrize(
    ("played", "expected"),
    [
        (0, ""),
        (400, ""),
        (1000, "Sure,"),
        (1000 + 2000, "Sure, git rebase"),
        (1000 + 5000, "Sure, git rebase moves your commits."),
        (9000, "Sure, git rebase moves your commits. It rewrites history."),
        (99999, "Sure, git rebase moves your commits. It rewrites history."),
    ],
)
def test_words_follow_samples(played: int, expected: str) -> None:
    assert heard_text(PIECES, played) == expected


def test_code_counts_once_the_sound_before_it_was_played() -> None:
    pieces = [Played("Like this: ", 1000), Played("```py\nx\n```\n", 0), Played("That is all.", 1000)]
    assert heard_text(pieces, 500) == "Like"
    assert heard_text(pieces, 1000) == "Like this: ```py\nx\n```"
