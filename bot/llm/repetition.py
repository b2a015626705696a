"""Notices when a small model goes round in circles. Pure."""

from __future__ import annotations

import re

MIN_WORDS = 24
"""Repeated words below which a repetition may be meant, such as "no, no, no"."""
MIN_TIMES = 4
LONGEST_PHRASE = 40
"""Words."""
TAIL = LONGEST_PHRASE * MIN_TIMES

_WORD = re.compile(r"[^\W\d_]+")


def goes_in_circles(text: str) -> bool:
    """Whether the end of `text` is one phrase said at least four times in a row. Numbers and signs are not compared,
    so that a list whose items differ in their number only is found as well."""
    words = [word.lower() for word in _WORD.findall(text[-TAIL * 12 :])][-TAIL:]
    for period in range(1, LONGEST_PHRASE + 1):
        times = max(MIN_TIMES, -(-MIN_WORDS // period))
        if period * times > len(words):
            continue
        tail = words[-period * times :]
        if tail[period:] == tail[:-period]:
            return True
    return False
