"""Keeps secrets out of texts. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

HIDDEN = "[hidden]"
"""Not longer than the shortest piece whose place it takes: what fitted into a message still does."""
SHORTEST_SECRET = 12
"""Characters. What is shorter guards nothing, and may be a word: local servers take "none" for a key."""
PIECE = 8
STEP = 4
"""With both, any 11 characters of a secret in a row are found, and so are many shorter pieces."""
INVISIBLE = frozenset("\\\N{ZERO WIDTH SPACE}")
"""What Discord does not show, and the bot puts between characters so that they are nothing but characters."""
SHORT_TEXT = 20_000
"""Longer ones are files, where backslashes are shown."""


class Mask:
    """Hides every piece of the secrets: a text that was cut inside one does not give the rest of it away."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets = sorted({each.strip() for each in secrets if len(each.strip()) >= SHORTEST_SECRET})

    def __call__(self, text: str) -> str:
        if not self._secrets:
            return text
        at = [n for n, character in enumerate(text) if character not in INVISIBLE] if len(text) < SHORT_TEXT else None
        shown = text if at is None else "".join(text[n] for n in at)
        found = sorted(span for secret in self._secrets for span in _pieces(shown, secret))
        parts: list[str] = []
        end = 0
        for begin, stop in found:
            first, last = (begin, stop) if at is None else (at[begin], at[stop - 1] + 1)
            if last <= end:
                continue
            if first >= end:
                parts += [text[end:first], HIDDEN]
            end = last
        return "".join([*parts, text[end:]])


def _pieces(text: str, secret: str) -> Iterator[tuple[int, int]]:
    """Where as much of `secret` as possible stands in `text`."""
    for offset in range(0, len(secret) - PIECE + 1, STEP):
        piece = secret[offset : offset + PIECE]
        at = text.find(piece)
        while at >= 0:
            begin, end = at, at + PIECE
            while begin and begin > at - offset and text[begin - 1] == secret[offset - (at - begin) - 1]:
                begin -= 1
            while end < len(text) and offset + end - at < len(secret) and text[end] == secret[offset + end - at]:
                end += 1
            yield begin, end
            at = text.find(piece, end)
