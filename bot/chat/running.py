"""`!run`: asks for approval where the agent wants one, then shows the output while it comes. Knows no py-cord."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Protocol

from bot.agent_types import Command, Job
from bot.chat.approvals import ApprovalDesk, Decision, Place, Request, Verdict
from bot.chat.live import LiveMessage
from bot.chat.marks import Mark, State
from bot.chat.rendering import LIMIT, units
from bot.chat.showing import block, ending, failure, inline, visible
from bot.chat.terminal import Terminal
from bot.chat.text import Outlet
from bot.errors import AgentError, DiscordError
from bot.log import turn_named
from bot.ports import Commands

log = logging.getLogger(__name__)

READ_GAP_S = 0.25
"""Between two readings of output, for the agent's limits."""
TICK_S = 5.0
"""Between two looks at a command that prints nothing."""
PATIENCE_S = 20.0
"""For an agent that does not answer while a command runs."""
END_WAIT_S = 20.0
SHOWN = 1500
"""Characters of output in the message."""
FILE_LIMIT = 9 << 20
"""Bytes; Discord takes files of up to 10 MiB."""
FILE_NAME = "output.txt"
STOPPED = "The bot is being shut down. The command runs on: `!jobs` lists it when I am back, `!kill` ends it."
TOO_LONG = (
    "This command is too long to be shown whole to who approves it: emoji take twice the room, and what cannot be seen "
    "is spelled out. Put it into a script and run that."
)
DEFECT = "Something unexpected went wrong with this command; the log has the details."


class Card(Protocol):
    """The message with the buttons."""

    @property
    def place(self) -> Place: ...

    async def close(self, text: str) -> None:
        """Takes the buttons away. Raises DiscordError."""


class Asker(Protocol):
    async def ask(self, text: str, request_id: str) -> Card:
        """Posts `text` with buttons for a yes and a no. Raises DiscordError."""


@dataclass(frozen=True, slots=True)
class Wish:
    """One command that somebody wants run."""

    user: int
    command: Command
    origin: int
    """The message that asks; 0 for a slash command."""
    text: str
    """Of that message."""
    outlet: Outlet
    asker: Asker
    mark: Mark


class RunDesk:
    def __init__(self, agent: Commands, approvals: ApprovalDesk, tasks: asyncio.TaskGroup) -> None:
        self._agent = agent
        self._approvals = approvals
        self._tasks = tasks
        self._running: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()
        self._asked = 0

    def start(self, wish: Wish) -> None:
        """All that comes of it is said in Discord."""
        self._asked += 1
        with turn_named(f"run-{self._asked}"):
            task = self._tasks.create_task(self._run(wish))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def close(self, limit_s: float) -> None:
        """What waits for approval is not run; what runs is left to the agent."""
        self._approvals.close()
        self._stopping.set()
        if self._running:
            _, late = await asyncio.wait(self._running, timeout=limit_s)
            for task in late:
                task.cancel()

    async def _run(self, wish: Wish) -> None:
        wish.mark.set(State.WORKING)
        try:
            job = await self._started(wish)
            state = await self._follow(wish, job) if job else State.REFUSED
        except AgentError as error:
            log.warning("a command was not run by the agent: %s", error.reason)
            state = State.REFUSED if error.reason in ("denied", "sandbox_unavailable") else State.FAILED
            await _say(wish.outlet, failure(error))
        except DiscordError as error:
            log.warning("a command could not be shown: %s", error)
            state = State.FAILED
        except Exception:
            log.exception("a defect in a command")
            state = State.FAILED
            await _say(wish.outlet, DEFECT)
        wish.mark.set(state)

    async def _started(self, wish: Wish) -> Job | None:
        """None when nobody said yes."""
        user = str(wish.user)
        try:
            return await self._agent.run(user, wish.command, None)
        except AgentError as error:
            if error.reason != "approval_needed" or not error.approval:
                raise
            token = error.approval
        asked = question(wish)
        if units(asked) > LIMIT:
            log.warning("a command was refused: it is too long to be shown to who approves it")
            await _say(wish.outlet, TOO_LONG)
            return None
        request = self._approvals.open(wish.origin, wish.text)
        card = await wish.asker.ask(asked, request.request_id)
        request.card = card.place
        decision = await self._decided(card, request, wish)
        if decision.verdict is not Verdict.APPROVED:
            return None
        # What was asked for, as it was understood then; nothing is read from Discord again.
        return await self._agent.run(user, wish.command, token)

    async def _decided(self, card: Card, request: Request, wish: Wish) -> Decision:
        decision = await self._approvals.wait(request)
        try:
            await card.close(f"{_shown(wish.command)}\n{verdict(decision)}")
        except DiscordError as error:
            log.warning("the buttons of a decided request stay: %s", error)
            if decision.verdict is not Verdict.APPROVED:
                await _say(wish.outlet, verdict(decision))
        return decision

    async def _follow(self, wish: Wish, job: Job) -> State:
        """Shows the output until the end of the command."""
        live, terminal = LiveMessage(wish.outlet), Terminal()
        async with asyncio.TaskGroup() as tasks:
            showing = tasks.create_task(_shielded(live))
            reading = tasks.create_task(self._read(str(wish.user), job, terminal, live))
            ticking = tasks.create_task(self._tick(str(wish.user), job, terminal, live))
            stopping = tasks.create_task(self._stopping.wait())
            await asyncio.wait((reading, stopping, showing), return_when=asyncio.FIRST_COMPLETED)
            if showing.done():
                # The message was deleted, or cannot be written: the command runs on unseen.
                log.warning("the output of a command is not shown any more: %s", showing.result())
                reading.cancel()
            elif not reading.done():
                reading.cancel()
                live.finish(_with_output(inline(job.command, 200), terminal, STOPPED))
            stopping.cancel()
            ticking.cancel()
            await asyncio.wait((reading,))
            return State.FAILED if reading.cancelled() else reading.result()

    async def _read(self, user: str, job: Job, terminal: Terminal, live: LiveMessage) -> State:
        live.show(progress(job, terminal, 0.0))
        try:
            await self._read_output(user, job, terminal, live)
            # Its output has ended, so it has, but for what the agent does after it.
            end = await self._agent.job(user, job.job_id, END_WAIT_S)
        except AgentError as error:
            log.warning("the output of a command broke off: %s", error.reason)
            gone = error.reason == "not_found"
            sentence = "The agent was restarted, and the command ended with it." if gone else failure(error)
            live.finish(*report(job, terminal, sentence))
            return State.FAILED
        except Exception:
            log.exception("a defect in a command's output")
            live.finish(*report(job, terminal, DEFECT))
            return State.FAILED
        live.finish(*report(end, terminal, ""))
        return State.DONE if end.exit_code == 0 else State.FAILED

    async def _tick(self, user: str, job: Job, terminal: Terminal, live: LiveMessage) -> None:
        """Shows that a silent command is alive."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        while True:
            await asyncio.sleep(TICK_S)
            if job.state == "queued":
                try:
                    job = await self._agent.job(user, job.job_id, 0.0)
                except AgentError as error:
                    log.info("the state of a command is not known: %s", error.reason)
                    continue
            live.show(progress(job, terminal, loop.time() - began))

    async def _read_output(self, user: str, job: Job, terminal: Terminal, live: LiveMessage) -> None:
        loop = asyncio.get_running_loop()
        began = answered = loop.time()
        offset = 0
        while True:
            try:
                piece = await self._agent.output(user, job.job_id, offset)
            except AgentError as error:
                lasting = error.reason not in ("unreachable", "deadline", "rate_limited")
                if lasting or loop.time() - answered > PATIENCE_S:
                    raise
                live.show(progress(job, terminal, loop.time() - began, failure(error)))
                await asyncio.sleep(error.retry_after_s or 1.0)
                continue
            answered, offset = loop.time(), piece.next_offset
            if piece.skipped:
                terminal.skip(piece.skipped)
            terminal.feed(piece.data, final=piece.done)
            if piece.done:
                return
            live.show(progress(job, terminal, loop.time() - began))
            await asyncio.sleep(READ_GAP_S)


async def _shielded(live: LiveMessage) -> str:
    """Why the message cannot be kept; empty when all of it was shown."""
    try:
        await live.run()
    except DiscordError as error:
        return str(error)
    return ""


async def _say(outlet: Outlet, text: str) -> None:
    try:
        await outlet.post(text)
    except Exception as error:
        log.warning("a sentence could not be shown: %s", error)


def question(wish: Wish) -> str:
    """The exact command, in plain content: embeds can be switched off."""
    how = (
        "It is a line for a shell: pipes, redirections, variables and `;` in it take effect."
        if wish.command.for_shell
        else "It runs without a shell, word by word."
    )
    return f"{_shown(wish.command)}\n<@{wish.user}> wants to run this. {how} Who may approve it has two minutes."


def _shown(command: Command) -> str:
    return block(visible(command.text), "sh")


def verdict(decision: Decision) -> str:
    return {
        Verdict.APPROVED: f"Approved by <@{decision.by}>.",
        Verdict.DENIED: f"Denied by <@{decision.by}>; it was not run.",
        Verdict.EXPIRED: "Nobody decided in time; it was not run.",
        Verdict.WITHDRAWN: "The message that asked for it was changed or deleted; it was not run. Ask again.",
        Verdict.STOPPED: "The bot is being shut down; it was not run. Ask again when it is back.",
    }[decision.verdict]


def progress(job: Job, terminal: Terminal, seconds: float, note: str = "") -> str:
    waits = "Waiting for its turn" if job.state == "queued" and not terminal.end(1) else "Running"
    line = f"{waits}: {inline(job.command, 200)} (`!kill {job.job_id}` ends it; {seconds:.0f} s)"
    return _with_output(line, terminal, note[:300])


def report(job: Job, terminal: Terminal, failed: str) -> tuple[str, str, str]:
    """The last text, and a file with all of the output when it does not fit into the text, with its name."""
    how = failed or f"{ending(job)[:1].upper()}{ending(job)[1:]}."
    if not failed and job.ended_by == "exit" and job.exit_code:
        how += " `!debug` looks into it."
    text = terminal.text
    head = f"{inline(job.command, 200)}"
    if not text.strip():
        return f"{head}\n{how}{'' if failed else ' It printed nothing.'}", "", ""
    if len(text.strip("\n")) <= SHOWN and units(block(text)) < LIMIT - 420:
        return _with_output(head, terminal, how), "", ""
    how = f"{how} This is the end of the output; all of it is in the file."
    return _with_output(head, terminal, how), _file(text), FILE_NAME


def _with_output(head: str, terminal: Terminal, foot: str) -> str:
    """The last lines that fit between the two."""
    text = terminal.end(SHOWN).strip("\n")[-SHOWN:]
    while text:
        message = "\n".join(filter(None, (head, block(text), foot)))
        if units(message) <= LIMIT:
            return message
        # Whole lines, where there are any.
        cut = text[min(len(text), 100) :]
        text = cut.partition("\n")[2] or cut
    return "\n".join(filter(None, (head, foot)))


def _file(text: str) -> str:
    """What Discord takes of it: the beginning and the end when it is too large."""
    raw = text.encode("utf-8", "replace")
    if len(raw) <= FILE_LIMIT:
        return text
    half = FILE_LIMIT // 2 - 100
    begin, end = raw[:half].decode("utf-8", "ignore"), raw[-half:].decode("utf-8", "ignore")
    return f"{begin}\n[{len(raw) - 2 * half} bytes are left out here: Discord takes no larger files]\n{end}"
