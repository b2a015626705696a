"""From the bytes of tokens to text that may be shown: whole characters only, nothing of a stop string. Pure."""

from __future__ import annotations

import codecs
from collections.abc import Sequence


class TextStream:
    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = [stop for stop in stops if stop]
        # Characters come in several tokens; bytes that can never become one are dropped rather than shown as a box.
        self._decoder = codecs.getincrementaldecoder("utf-8")("ignore")
        self._held = ""
        self._begun = False
        self.stopped = False
        """A stop string came; all after it is dropped."""

    def feed(self, data: bytes) -> str:
        """The text that is safe to show by now. White space before the first word is dropped."""
        if self.stopped:
            return ""
        self._held += self._decoder.decode(data)
        found = [at for stop in self._stops if (at := self._held.find(stop)) >= 0]
        if found:
            self.stopped = True
            text, self._held = self._held[: min(found)], ""
        else:
            split = len(self._held) - self._undecided()
            text, self._held = self._held[:split], self._held[split:]
        return self._strip_start(text)

    def finish(self) -> str:
        """What was held back because it might have become a stop string."""
        text, self._held = self._held, ""
        return self._strip_start(text)

    def _strip_start(self, text: str) -> str:
        if not self._begun:
            text = text.lstrip()
            self._begun = bool(text)
        return text

    def _undecided(self) -> int:
        """Length of the longest end of the held text that begins a stop string."""
        longest = min(len(self._held), max((len(stop) - 1 for stop in self._stops), default=0))
        for size in range(longest, 0, -1):
            end = self._held[-size:]
            if any(stop.startswith(end) for stop in self._stops):
                return size
        return 0
