"""Where English text may be cut for the voice. Pure; all functions look at text that ends where a new word begins."""

from __future__ import annotations

import re
from collections.abc import Callable

OPENERS = "\"'([{*_`\u201c\u2018\u00ab#>"
CLOSERS = "\"')]}*_`\u201d\u2019\u00bb"
DASHES = ("\u2014", "\u2013")

ABBREVIATIONS = frozenset(
    {
        "e.g.", "i.e.", "eg.", "ie.", "dr.", "mr.", "mrs.", "ms.", "prof.", "st.", "vs.", "cf.", "fig.", "figs.",
        "approx.", "resp.", "dept.", "est.", "incl.", "sr.", "jr.", "al.",
    }
)  # fmt: skip
BEFORE_CAPITALS = frozenset(["etc.", "inc.", "ltd.", "co.", "a.m.", "p.m."])
"""These end a sentence only when a capital letter follows."""
BEFORE_NUMBERS = frozenset(["no.", "nos.", "p.", "pp.", "vol.", "ch.", "sec.", "eq.", "ver."])
"""These are abbreviations only when a number follows."""

JOINERS = frozenset(
    {
        "and", "but", "or", "nor", "so", "yet", "because", "since", "although", "though", "while", "whereas",
        "when", "whenever", "where", "which", "who", "whose", "that", "if", "unless", "until", "after", "before",
        "as", "than", "then", "for", "from", "in", "into", "onto", "on", "over", "with", "without", "within",
        "using", "via", "by", "to", "at", "through", "between", "about", "against", "during", "instead", "rather",
    }
)  # fmt: skip
"""Words before which a speaker may take a breath."""
LEADERS = frozenset(
    {
        "a", "an", "the", "of", "to", "in", "on", "at", "by", "for", "with", "from", "and", "or", "your", "its",
        "their", "this", "that", "is", "are", "be", "not", "one", "two", "more",
    }
)  # fmt: skip
"""Words after which a speaker never does."""

_INITIALS = re.compile(r"(?:[^\W\d_]\.)+")
_NUMBER = re.compile(r"\d+\.")


def words_in(text: str) -> list[str]:
    return [word for word in text.split() if any(c.isalnum() for c in word)]


def ends_sentence(head: str, following: str) -> bool:
    """Whether `head` ends with a whole sentence; `following` is the first character of what comes next."""
    text = head.rstrip().rstrip(CLOSERS)
    if not text or text[-1] not in ".!?\u2026":
        return False
    word = text.split()[-1].lstrip(OPENERS)
    # A lone sign is not punctuation: "git add .", "the ? operator".
    if not any(c.isalnum() for c in word) or word.endswith(("..", "…")):
        return False
    if word[-1] != ".":
        return True
    lower = word.lower()
    if lower in ABBREVIATIONS or (lower in BEFORE_NUMBERS and following.isdigit()):
        return False
    if lower in BEFORE_CAPITALS:
        return following.isupper()
    if _INITIALS.fullmatch(word):
        return False
    # "1. Install it": the number of a list item.
    return not (_NUMBER.fullmatch(word) and text.lstrip(" \t\n*_#>-") == word)


def ends_clause(head: str) -> bool:
    """Whether a comma, colon, semicolon, dash or ellipsis ends `head`."""
    text = head.rstrip()
    if text.endswith((" -", " --")):
        return any(c.isalnum() for c in text)
    text = text.rstrip(CLOSERS)
    return text.endswith((",", ";", ":", *DASHES, "...", "…")) and any(c.isalnum() for c in text)


def inside_brackets(head: str) -> bool:
    """A link's text must stay with its address."""
    return head.count("[") > head.count("]")


def starts_of_words(head: str) -> list[int]:
    """Positions before which `head` may be cut, the end included."""
    return [match.end() for match in re.finditer(r"\s+|(?<=\w)\u2014", head)]


def clause_border(head: str, least_words: int, longest: int) -> int:
    """The last cut after punctuation that leaves a piece of `least_words` to `longest` characters; 0 if none."""
    return _last(head, least_words, longest, lambda at: ends_clause(head[:at]))


def joiner_border(head: str, least_words: int, longest: int) -> int:
    """The same before a conjunction or preposition."""

    def joins(at: int) -> bool:
        before, after = head[:at].split()[-1], (head[at:].split() or [""])[0]
        return _bare(after) in JOINERS and _bare(before) not in LEADERS

    return _last(head, least_words, longest, joins)


def word_border(head: str, least_words: int, longest: int) -> int:
    """The same between any two words that do not cling together."""
    return _last(head, least_words, longest, lambda at: _bare(head[:at].split()[-1]) not in LEADERS)


def _last(head: str, least_words: int, longest: int, fits: Callable[[int], bool]) -> int:
    for at in reversed(starts_of_words(head)):
        piece = head[:at]
        if len(piece.strip()) > longest or inside_code(piece) or inside_brackets(piece):
            continue
        if len(words_in(piece)) < least_words:
            return 0
        if fits(at):
            return at
    return 0


def inside_code(head: str) -> bool:
    """Whether `head` ends within `inline code`."""
    return head.count("`") % 2 == 1


def _bare(word: str) -> str:
    return word.lower().strip(OPENERS + CLOSERS)
