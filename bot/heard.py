"""Which words of an answer had been played when the user cut in. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Played:
    """A piece of the answer in the order of the text."""

    text: str
    samples: int
    """Length of its sound; 0 for code and other text that is not spoken."""


def heard_text(pieces: Sequence[Played], played: int) -> str:
    """The text up to sample `played`. Of the piece in which the sound stopped, as many whole words as the played
    share of its samples covers; unspoken pieces count as soon as all sound before them has been played."""
    text = ""
    for piece in pieces:
        if piece.samples <= played:
            text += piece.text
            played -= piece.samples
            continue
        words = piece.text.split()
        return (text + " ".join(words[: len(words) * played // piece.samples])).rstrip()
    return text.rstrip()
