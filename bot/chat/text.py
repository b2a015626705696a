"""Answers in text: one conversation per channel and user, each answer streamed by one editor task. Knows no py-cord."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Protocol

from bot.chat.marks import Mark, NoMark, State
from bot.chat.rendering import Rendered, render
from bot.errors import DiscordError, SidetoneError
from bot.events import Notice, Usage
from bot.log import turn_named
from bot.ports import Brain

log = logging.getLogger(__name__)

EDIT_GAP_S = 1.0
"""Between two rounds of the editor: Discord lets five edits through in five seconds, per channel."""
FIRST_GAP_S = 0.25
"""Between the first message and its first edit, which is not in the same limit: long enough for a few words."""
RETRY_S = (1.0, 2.0, 4.0)
"""Waits before the last text is sent once more when Discord refused it."""
MAX_CONVERSATIONS = 100
"""Kept in memory; beyond it the one that was idle longest is forgotten."""

THINKING = "*thinking …*"
WAITING = "*another answer is being written, yours is next …*"
BUSY = "I am still answering your last question here. Wait for the end of it, then ask again."
EMPTY = "The model gave an empty answer. Ask once more, in other words."
LENGTH = 'This answer reached the limit of its length; write "go on" for the rest.'
TAKEN_OVER = "The model was needed for something more urgent, so this answer ends here. Ask again."
STOPPED = "The bot is being shut down, so this answer ends here."
DEFECT = "Something unexpected went wrong in this answer; the log has the details. Ask again."


class MessageGone(DiscordError):
    """The message that was to be edited was deleted."""


class Post(Protocol):
    """A message of ours."""

    async def edit(self, text: str, file: str = "", name: str = "") -> None:
        """`file` is the content of a text file to attach, under `name`. Waits for Discord's rate limits. Raises
        DiscordError, MessageGone."""


class Outlet(Protocol):
    """Where one answer goes."""

    async def post(self, text: str, file: str = "", name: str = "answer.txt") -> Post:
        """`file` is the content of a text file to attach, under `name`. Raises DiscordError."""


class StreamedAnswer:
    """One question to one brain, shown in Discord while it is written.

    The model's stream only leaves its newest text here; a task of its own shows it. So a slow or rate-limited Discord
    never holds the model up.
    """

    def __init__(self, brain: Brain, outlet: Outlet, model: asyncio.Lock, mark: Mark | None = None) -> None:
        """`model` is held while the brain speaks: with a local model, a second stream would end the first."""
        self._mark = mark or NoMark()
        self._brain = brain
        self._outlet = outlet
        self._model = model
        self._text = ""
        self._note = ""
        self._whole = False
        self._done = False
        self._changed = asyncio.Event()
        self._thinking: asyncio.Task[None] | None = None
        self._posts: list[Post] = []
        self._shown: list[str] = []

    @property
    def finished(self) -> bool:
        """Whether the model has nothing more to say; the last text may still be on its way."""
        return self._done

    async def run(self, question: str) -> None:
        """Returns when the last text is in Discord. What fails is said in the answer; what cannot be said is logged."""
        self._mark.set(State.WORKING)
        shown = False
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._edit())
                self._thinking = tasks.create_task(self._think(question))
                # Not in a `finally` of `_think`: a task that is cancelled before its first step runs none of it.
                self._thinking.add_done_callback(self._finish)
            shown = True
        except* DiscordError as group:
            log.warning("an answer could not be shown: %s", group.exceptions[0])
        except* Exception as group:
            log.exception("a defect while an answer was shown", exc_info=group)
        if self._text.strip():
            self._brain.answered(self._text, interrupted=not self._whole)
        self._mark.set(State.DONE if shown and self._whole and self._text.strip() else State.FAILED)

    def stop(self) -> None:
        """Ends the answer with what there is. `run` still shows it."""
        if self._thinking is None or self._thinking.cancel():
            self._note = STOPPED

    def _finish(self, _: asyncio.Task[None]) -> None:
        if not self._text.strip():
            self._note = self._note or EMPTY
        self._done = True
        self._changed.set()

    async def _think(self, question: str) -> None:
        if self._note:
            return
        try:
            async with self._model, aclosing(self._brain.reply(question)) as items:
                async for item in items:
                    if isinstance(item, Usage):
                        if item.stop:
                            self._end(item)
                    elif isinstance(item, Notice):
                        self._note = item.text
                        self._changed.set()
                    else:
                        if not self._text:
                            self._note = ""
                        self._text += item
                        self._changed.set()
        except SidetoneError as error:
            log.warning("an answer failed: %s", error)
            self._note = str(error)
        except Exception:
            log.exception("a defect in an answer")
            self._note = DEFECT

    def _end(self, usage: Usage) -> None:
        self._whole = usage.stop != "cancelled"
        if not self._whole:
            self._note = TAKEN_OVER
        elif usage.stop == "length":
            self._note = LENGTH

    async def _edit(self) -> None:
        """The only one who writes to Discord for this answer."""
        loop = asyncio.get_running_loop()
        self._shown.append(WAITING if self._model.locked() else THINKING)
        self._posts.append(await self._outlet.post(self._shown[0]))
        gap, written = FIRST_GAP_S, loop.time()
        while True:
            if not self._done:
                await self._changed.wait()
            self._changed.clear()
            await asyncio.sleep(written + gap - loop.time())
            final = self._done
            rendered = render(self._text, self._note, final=final)
            if final:
                await self._show_last(rendered)
                return
            try:
                await self._show(rendered)
            except MessageGone:
                raise
            except DiscordError as error:
                log.info("one edit of an answer was lost, a newer one follows: %s", error)
            gap, written = EDIT_GAP_S, loop.time()

    async def _show_last(self, rendered: Rendered) -> None:
        for wait in RETRY_S:
            try:
                await self._show(rendered)
                return
            except MessageGone:
                raise
            except DiscordError as error:
                log.info("the end of an answer was refused, trying again: %s", error)
                await asyncio.sleep(wait)
        await self._show(rendered)

    async def _show(self, rendered: Rendered) -> None:
        for index, part in enumerate(rendered.parts):
            last = index == len(rendered.parts) - 1
            if index == len(self._posts):
                self._posts.append(await self._outlet.post(part, rendered.file if last else ""))
                self._shown.append(part)
            elif self._shown[index] != part:
                await self._posts[index].edit(part)
                self._shown[index] = part


@dataclass(slots=True)
class _Conversation:
    brain: Brain
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held until an answer is whole in Discord."""
    answer: StreamedAnswer | None = None
    """The newest, until it is whole in Discord."""


class TextDesk:
    """Takes questions: finds the conversation, refuses a second question while one is being answered."""

    def __init__(
        self, make_brain: Callable[[int, int], Brain], tasks: asyncio.TaskGroup, model: asyncio.Lock | None = None
    ) -> None:
        """`model` is held while it answers."""
        self._make_brain = make_brain
        self._tasks = tasks
        self._conversations: OrderedDict[tuple[int, int], _Conversation] = OrderedDict()
        self._model = model or asyncio.Lock()
        self._running: set[asyncio.Task[None]] = set()
        self._closing = False
        self._asked = 0

    @property
    def conversations(self) -> int:
        return len(self._conversations)

    @property
    def answering(self) -> int:
        return len(self._running)

    def ask(self, channel: int, user: int, question: str, outlet: Outlet, mark: Mark | None = None) -> str:
        """Starts the answer. Returns why not, as a sentence for the user, or nothing."""
        refused = self._ask((channel, user), question, outlet, mark)
        if refused and mark:
            mark.set(State.REFUSED)
        return refused

    def _ask(self, key: tuple[int, int], question: str, outlet: Outlet, mark: Mark | None) -> str:
        if self._closing:
            return STOPPED
        conversation = self._find(key)
        # Who reads the last words and answers at once must not be refused because Discord has yet to confirm them.
        if conversation.answer is not None and not conversation.answer.finished:
            return BUSY
        conversation.answer = StreamedAnswer(conversation.brain, outlet, self._model, mark)
        task = self._tasks.create_task(self._answer(conversation, conversation.answer, question))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return ""

    async def settle(self, channel: int, user: int) -> None:
        """Waits while the last words of an answer are on their way: who has read them takes it for ended."""
        conversation = self._conversations.get((channel, user))
        if conversation is not None and conversation.answer is not None and conversation.answer.finished:
            async with conversation.turn:
                return

    def forget(self, channel: int, user: int) -> str:
        """The conversation begins anew. Returns why not, as a sentence, or nothing."""
        conversation = self._conversations.get((channel, user))
        if conversation is not None and conversation.answer is not None:
            return BUSY
        self._conversations.pop((channel, user), None)
        return ""

    async def close(self, limit_s: float) -> None:
        """Takes no more questions; every answer being written shows what there is, as far as `limit_s` allows."""
        self._closing = True
        for conversation in self._conversations.values():
            if conversation.answer is not None:
                conversation.answer.stop()
        if self._running:
            _, late = await asyncio.wait(self._running, timeout=limit_s)
            for task in late:
                task.cancel()

    async def _answer(self, conversation: _Conversation, answer: StreamedAnswer, question: str) -> None:
        self._asked += 1
        try:
            with turn_named(f"text-{self._asked}"):
                async with conversation.turn:
                    log.info("a question of %d characters", len(question))
                    await answer.run(question)
                log.info("answered")
        finally:
            if conversation.answer is answer:
                conversation.answer = None

    def _find(self, key: tuple[int, int]) -> _Conversation:
        if key not in self._conversations:
            idle = [known for known, each in self._conversations.items() if each.answer is None]
            for known in idle[: max(0, len(self._conversations) - MAX_CONVERSATIONS + 1)]:
                del self._conversations[known]
            self._conversations[key] = _Conversation(self._make_brain(*key))
        self._conversations.move_to_end(key)
        return self._conversations[key]
