"""One conversation per channel and user, whether it is written or spoken. Knows no py-cord."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from weakref import WeakValueDictionary

from bot.events import Notice, Usage
from bot.ports import Brain


class _Shared:
    """What is known in a conversation, and the exchange that is under way in it."""

    def __init__(self, brain: Brain) -> None:
        self.brain = brain
        self._speaker: object = None
        """Whose answer is not closed yet."""
        self._text = ""
        self._whole = False

    def begin(self, speaker: object) -> None:
        """An answer of somebody else's that is under way counts as far as it has come: it has been posted so far."""
        if self._speaker is not speaker and self._text.strip():
            self.brain.answered(self._text, interrupted=not self._whole)
        self._speaker, self._text, self._whole = speaker, "", False

    def feed(self, speaker: object, item: object) -> None:
        if self._speaker is not speaker:
            return
        if isinstance(item, str):
            self._text += item
        elif isinstance(item, Usage) and item.stop:
            self._whole = item.stop != "cancelled"

    def close(self, speaker: object, text: str, interrupted: bool) -> None:
        if self._speaker is speaker:
            self.brain.answered(text, interrupted=interrupted)
            self._speaker, self._text = None, ""

    def restart(self, brain: Brain) -> None:
        self.brain, self._speaker, self._text = brain, None, ""


class View:
    """A Brain: one way into a shared conversation, by keyboard or by voice. Both ways may be in use at once."""

    def __init__(self, shared: _Shared) -> None:
        self._shared = shared

    async def reply(self, question: str) -> AsyncGenerator[str | Notice | Usage, None]:
        self._shared.begin(self)
        async with aclosing(self._shared.brain.reply(question)) as items:
            async for item in items:
                self._shared.feed(self, item)
                yield item

    def answered(self, text: str, *, interrupted: bool = False) -> None:
        self._shared.close(self, text, interrupted)

    async def warm(self) -> None:
        await self._shared.brain.warm()


class Conversations:
    """Keeps each conversation for as long as anybody holds a view of it."""

    def __init__(self, make_brain: Callable[[int, int], Brain]) -> None:
        """Takes channel and user."""
        self._make_brain = make_brain
        self._shared: WeakValueDictionary[tuple[int, int], _Shared] = WeakValueDictionary()

    def view(self, channel: int, user: int) -> Brain:
        shared = self._shared.get((channel, user))
        if shared is None:
            shared = self._shared[channel, user] = _Shared(self._make_brain(channel, user))
        return View(shared)

    def forget(self, channel: int, user: int) -> None:
        """All views begin anew."""
        if shared := self._shared.get((channel, user)):
            shared.restart(self._make_brain(channel, user))
