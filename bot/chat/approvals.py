"""Requests that wait for a person's yes: each is bound to one command of one user, lives for two minutes, is decided by
one click, and everything that goes wrong with it is a no. Knows no py-cord."""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict
from dataclasses import dataclass
from enum import Enum

APPROVAL_S = 118.0
"""A little less than the agent's own two minutes, so that a yes in time is never too late for it."""
REMEMBERED = 500
"""Decided requests that are told from expired ones."""

EXPIRED = "This request has expired; the command was not run. Whoever wants it asks again."
DECIDED = "This request was decided already."
ELSEWHERE = "These buttons are not those of the request, so this click does not count."
TOO_SOON = "That was too quick for me: click once more."

Place = tuple[int, int, int]
"""Server (0 for a private chat), channel and message."""
NOWHERE: Place = (0, 0, 0)


class Verdict(Enum):
    APPROVED = "approved"
    DENIED = "denied"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"
    """The message that asked for it was edited or deleted."""
    STOPPED = "stopped"
    """The bot is being shut down."""


@dataclass(frozen=True, slots=True)
class Decision:
    verdict: Verdict
    by: int = 0
    """Whose click it was."""


class Request:
    def __init__(self, origin: int, text: str, expires: float) -> None:
        self.request_id = secrets.token_urlsafe(16)
        self.origin = origin
        """The message that asked; 0 for a slash command, which cannot be edited."""
        self.text = text
        """Of that message."""
        self.card = NOWHERE
        """The message with the buttons, once it is there."""
        self.expires = expires
        """The loop's time."""
        self.decision: asyncio.Future[Decision] = asyncio.get_running_loop().create_future()


class ApprovalDesk:
    def __init__(self, lifetime_s: float = APPROVAL_S) -> None:
        self._lifetime_s = lifetime_s
        self._open: dict[str, Request] = {}
        self._decided: OrderedDict[str, None] = OrderedDict()

    def open(self, origin: int, text: str) -> Request:
        """Its life begins now: ask soon."""
        request = Request(origin, text, asyncio.get_running_loop().time() + self._lifetime_s)
        self._open[request.request_id] = request
        return request

    async def wait(self, request: Request) -> Decision:
        """Returns once it is decided, at the end of its life at the latest; from then on no click counts."""
        try:
            async with asyncio.timeout_at(request.expires):
                return await request.decision
        except TimeoutError:
            # A click in the last moment was told that it counts.
            late = request.decision.done() and not request.decision.cancelled()
            return request.decision.result() if late else Decision(Verdict.EXPIRED)
        finally:
            self._open.pop(request.request_id, None)

    def click(self, request_id: str, by: int, *, yes: bool, refused: str, place: Place, untouched: bool) -> str:
        """`refused` is why this person may not decide, empty when they may; `place` is the message with the buttons
        that were clicked, `untouched` whether it is as it was sent. Returns why the click does not count, or nothing
        when it decided."""
        request = self._open.get(request_id)
        if request is None or request.decision.done():
            return DECIDED if request_id in self._decided else EXPIRED
        if asyncio.get_running_loop().time() >= request.expires:
            return EXPIRED
        if refused:
            return refused
        if place != request.card:
            return TOO_SOON if request.card == NOWHERE else ELSEWHERE
        if not untouched:
            self._decide(request, Decision(Verdict.WITHDRAWN))
            return "This message was changed after it was sent, so the command was not run."
        self._decide(request, Decision(Verdict.APPROVED if yes else Verdict.DENIED, by))
        return ""

    def withdraw(self, message: int, text: str | None = None) -> None:
        """`message` was deleted (None) or now says `text`: what it asked for before is off, and so is what was to be
        decided on it."""
        for request in self._open.values():
            asked = request.origin == message and request.text != text
            shown = request.card[-1] == message and text is None
            if message and (asked or shown) and not request.decision.done():
                self._decide(request, Decision(Verdict.WITHDRAWN))

    def close(self) -> None:
        for request in self._open.values():
            if not request.decision.done():
                self._decide(request, Decision(Verdict.STOPPED))

    def _decide(self, request: Request, decision: Decision) -> None:
        request.decision.set_result(decision)
        self._decided[request.request_id] = None
        while len(self._decided) > REMEMBERED:
            self._decided.popitem(last=False)
