"""What was said so far, kept within the model's context. Pure; the start of the messages stays the same byte for byte
for as long as possible, because the model has it evaluated already."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bot.events import Message

INTERRUPTED = " —"
"""Ends an answer into which the user cut, as in a printed dialogue. Of the marks tried on a 0.5B model (this, three
dots, two hyphens, a word in brackets) it is the only one that the model never put into answers of its own."""

MESSAGE_OVERHEAD = 8
"""Tokens that a chat template puts around one message, at most."""
KEEP = 0.6
"""Part of the budget that is left when old turns are dropped: many at once, so that the start changes rarely."""
ROOM_FOR_QUESTION = 0.15
"""Part of the budget that is made free after each answer, so that a question itself seldom has to make room."""


LINKS = frozenset(["and", "or", "but", "also", "plus", "with", "without", "in", "for", "on", "because", "when", "if"])
"""Words that continue a sentence."""


class Conversation:
    def __init__(self, opening: Sequence[Message], *, budget: int, count: Callable[[str], int]) -> None:
        """`opening` is never dropped: the system prompt, perhaps examples. `budget` is in tokens, for all messages."""
        self._count = count
        self._budget = budget
        self._messages = list(opening)
        self._opening = len(opening)
        self._sizes: list[int] = []
        """Tokens per message, in the same order; filled when first asked for, as the model may not be loaded yet."""

    @property
    def longest(self) -> int:
        """Tokens that one message may have."""
        return self._longest() - MESSAGE_OVERHEAD

    @property
    def messages(self) -> tuple[Message, ...]:
        return tuple(self._messages)

    def ask(self, text: str) -> None:
        """A question after one that was never answered completes it ("And merge?") or takes its place: a small model
        given both answers the first, which nobody waits for any more."""
        text = text.strip()
        last = self._messages[-1]
        if last.role == "user":
            del self._messages[-1]
            del self._sizes[len(self._messages) :]
            if goes_on(last.content, text):
                longer = f"{last.content} {text}"
                text = longer if self._size(longer) <= self._longest() else text
        self._messages.append(Message("user", self._fit(text)))
        self._trim(0)

    def answered(self, text: str, *, interrupted: bool) -> None:
        """Of an answer of which nothing was heard, nothing is kept. Without a question there is nothing to answer."""
        text = text.strip()
        if not text or self._messages[-1].role != "user":
            return
        self._messages.append(Message("assistant", self._fit(text) + (INTERRUPTED if interrupted else "")))
        self._trim(int(self._budget * ROOM_FOR_QUESTION))

    def _trim(self, room: int) -> None:
        """Drops whole turns, oldest first, but never the last one nor the opening."""
        if self._total() + room <= self._budget:
            return
        first = self._opening
        while self._total() > self._budget * KEEP:
            second = next((at for at, m in enumerate(self._messages[first + 1 :], first + 1) if m.role == "user"), 0)
            if not second:
                return
            del self._messages[first:second], self._sizes[first:second]

    def _total(self) -> int:
        self._sizes += [self._size(m.content) for m in self._messages[len(self._sizes) :]]
        return sum(self._sizes)

    def _size(self, text: str) -> int:
        return self._count(text) + MESSAGE_OVERHEAD

    def _longest(self) -> int:
        """Tokens that one message may have: a question and its answer must fit beside the opening."""
        return max(
            2 * MESSAGE_OVERHEAD,
            (self._budget - sum(self._size(m.content) for m in self._messages[: self._opening])) // 2,
        )

    def _fit(self, text: str) -> str:
        """A message that is too long keeps its beginning, and says how much was cut."""
        longest = self._longest()
        if self._size(text) <= longest:
            return text
        low, high = 0, len(text)
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self._size(_cut(text, middle)) <= longest else (low, middle - 1)
        return _cut(text, low)


def goes_on(before: str, after: str) -> bool:
    """Whether `after` continues the sentence `before` rather than begin another."""
    unfinished = before[-1:] not in ".?!" or before.endswith("...")
    return unfinished or after.split(maxsplit=1)[0].strip(",").casefold() in LINKS


def _cut(text: str, length: int) -> str:
    return f"{text[:length].rstrip()} [{len(text) - length} more characters were cut: the message was too long]"
