"""Approvals, live messages and commands on a virtual clock, with an agent behind its port."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise

import pytest

from bot.agent_types import Command, Job, Output
from bot.chat.approvals import (
    APPROVAL_S,
    DECIDED,
    ELSEWHERE,
    EXPIRED,
    TOO_SOON,
    ApprovalDesk,
    Decision,
    Request,
    Verdict,
)
from bot.chat.live import LiveMessage
from bot.chat.marks import State
from bot.chat.running import PATIENCE_S, STOPPED, RunDesk, Wish
from bot.chat.text import EDIT_GAP_S, MessageGone
from bot.errors import AgentError, DiscordError
from bot.ports import Commands
from tests.virtual_clock import run_virtual

JOB = Job("j1", "make", "/p", "running", 0.0, 0.0, None, "", "")
ENDED = replace(JOB, state="done", duration_s=3.0, exit_code=0, ended_by="exit")


@dataclass
class FakeOutlet:
    """One channel; each write takes `seconds`, and the next ones raise `errors`."""

    seconds: float = 0.0
    errors: list[DiscordError | None] = field(default_factory=list)
    writes: list[tuple[float, int, str]] = field(default_factory=list)
    files: dict[int, tuple[str, str]] = field(default_factory=dict)
    posts: int = 0

    async def post(self, text: str, file: str = "", name: str = "answer.txt") -> FakePost:
        number, self.posts = self.posts, self.posts + 1
        await self.write(number, text, file, name)
        return FakePost(self, number)

    async def write(self, number: int, text: str, file: str, name: str) -> None:
        began = asyncio.get_running_loop().time()
        await asyncio.sleep(self.seconds)
        if self.errors and (error := self.errors.pop(0)):
            raise error
        self.writes.append((began, number, text))
        if file:
            self.files[number] = (name, file)

    @property
    def last(self) -> str:
        return self.writes[-1][2]


@dataclass
class FakePost:
    outlet: FakeOutlet
    number: int

    async def edit(self, text: str, file: str = "", name: str = "") -> None:
        await self.outlet.write(self.number, text, file, name)


@dataclass
class FakeAgent:
    """Asks for a yes unless `allowed`; gives `outputs`, one a second, errors as they come."""

    outputs: Sequence[bytes | AgentError] = (b"hello\n",)
    allowed: bool = True
    end: Job = ENDED
    runs: list[tuple[str, Command, str | None]] = field(default_factory=list)
    read: int = 0
    read_at: list[float] = field(default_factory=list)

    async def run(self, user: str, command: Command, approval: str | None) -> Job:
        self.runs.append((user, command, approval))
        if self.allowed or approval == f"token for {user} {command.text}":
            return JOB
        raise AgentError("It needs a yes.", "approval_needed", approval=f"token for {user} {command.text}")

    async def output(self, user: str, job_id: str, offset: int) -> Output:
        await asyncio.sleep(1.0)
        self.read_at.append(asyncio.get_running_loop().time())
        piece = self.outputs[self.read]
        self.read += 1
        if isinstance(piece, AgentError):
            raise piece
        return Output(piece, offset + len(piece), 0, self.read == len(self.outputs))

    async def job(self, user: str, job_id: str, wait_s: float) -> Job:
        return self.end

    async def jobs(self, user: str) -> tuple[Job, ...]:
        return ()

    async def kill(self, user: str, job_id: str) -> Job:
        return self.end


@dataclass
class FakeAsker:
    """Remembers the cards, and who closed them."""

    asked: list[tuple[str, str]] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    place: tuple[int, int, int] = (3, 5, 500)
    gone: bool = False
    """Whether the card was deleted."""

    async def ask(self, text: str, request_id: str) -> FakeAsker:
        self.asked.append((text, request_id))
        return self

    async def close(self, text: str) -> None:
        if self.gone:
            raise MessageGone("The message was deleted.")
        self.closed.append(text)


@dataclass
class FakeMark:
    states: list[State] = field(default_factory=list)

    def set(self, state: State) -> None:
        self.states.append(state)


@dataclass
class Stage:
    """What a command plays on."""

    agent: FakeAgent = field(default_factory=FakeAgent)
    outlet: FakeOutlet = field(default_factory=FakeOutlet)
    asker: FakeAsker = field(default_factory=FakeAsker)
    mark: FakeMark = field(default_factory=FakeMark)
    approvals: ApprovalDesk = field(default_factory=ApprovalDesk)

    def wish(self, command: Command = Command(("make",))) -> Wish:  # noqa: B008 - frozen
        return Wish(7, command, 99, "!run make", self.outlet, self.asker, self.mark)

    async def play(self, *, until: float | None = None, act: object = None) -> None:
        """Runs the wish; after `until` seconds calls `act`."""
        async with asyncio.TaskGroup() as tasks:
            desk = RunDesk(self.agent, self.approvals, tasks)
            desk.start(self.wish())
            if until is not None:
                await asyncio.sleep(until)
                if callable(act):
                    act()
                else:
                    await desk.close(1.8)


CARD = (3, 5, 500)


def click(
    stage: Stage,
    *,
    yes: bool = True,
    by: int = 1,
    refused: str = "",
    place: tuple[int, int, int] = CARD,
    untouched: bool = True,
) -> str:
    return stage.approvals.click(
        stage.asker.asked[0][1], by, yes=yes, refused=refused, place=place, untouched=untouched
    )


# --- live messages ------------------------------------------------------------------------------------------------


def test_edits_are_a_second_apart_the_last_is_sent_and_the_reader_never_waits() -> None:
    outlet = FakeOutlet(seconds=5.0)
    done_at: list[float] = []

    async def scenario() -> None:
        live = LiveMessage(outlet)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(live.run())
            for n in range(100):
                live.show(f"text {n}")
                await asyncio.sleep(0.1)
            live.finish("the end", "all of it", "output.txt")
            done_at.append(asyncio.get_running_loop().time())

    run_virtual(scenario())
    assert done_at[0] < 10.1
    assert outlet.last == "the end"
    assert outlet.files == {0: ("output.txt", "all of it")}
    assert outlet.posts == 1
    quick = FakeOutlet()
    outlet = quick
    run_virtual(scenario())
    times = [t for t, _, _ in quick.writes]
    assert len(times) > 8
    assert all(later - earlier >= EDIT_GAP_S - 1e-9 for earlier, later in pairwise(times))


def test_what_takes_no_edits_any_more_is_posted_anew() -> None:
    refused = DiscordError("too old")
    outlet = FakeOutlet(errors=[None, refused, refused, refused])

    async def scenario() -> None:
        live = LiveMessage(outlet)
        live.show("begins")
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(live.run())
            await asyncio.sleep(3)
            live.finish("the end")

    run_virtual(scenario())
    assert [(number, text) for _, number, text in outlet.writes] == [(0, "begins"), (1, "the end")]


# --- approvals ----------------------------------------------------------------------------------------------------


def decided(*acts: tuple[float, object]) -> tuple[Decision, list[str]]:
    """What comes of a request at whose times these things are done, and what the clicks were told."""
    said: list[str] = []

    async def scenario() -> Decision:
        desk = ApprovalDesk()
        request = desk.open(99, "!run make")
        request.card = CARD
        loop = asyncio.get_running_loop()

        async def play() -> None:
            for at, act in acts:
                await asyncio.sleep(at - loop.time())
                assert callable(act)
                said.append(act(desk, request) or "")

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(play())
            return await desk.wait(request)
        raise AssertionError

    return run_virtual(scenario()), said


def press(
    yes: bool, by: int = 1, refused: str = "", untouched: bool = True, place: tuple[int, int, int] = CARD
) -> object:
    return lambda desk, request: desk.click(
        request.request_id, by, yes=yes, refused=refused, place=place, untouched=untouched
    )


def change(text: str | None, origin: int = 99) -> object:
    return lambda desk, request: desk.withdraw(origin, text)


@pytest.mark.parametrize(
    ("acts", "verdict", "said"),
    [
        ([(1, press(True))], Verdict.APPROVED, [""]),
        ([(1, press(False))], Verdict.DENIED, [""]),
        ([(APPROVAL_S - 0.01, press(True))], Verdict.APPROVED, [""]),
        ([(APPROVAL_S + 0.01, press(True))], Verdict.EXPIRED, [EXPIRED]),
        ([(1, press(True)), (1, press(False)), (2, press(True))], Verdict.APPROVED, ["", DECIDED, DECIDED]),
        ([(1, press(False)), (1, press(True))], Verdict.DENIED, ["", DECIDED]),
        ([(1, press(True, refused="not you")), (2, press(False))], Verdict.DENIED, ["not you", ""]),
        ([(1, press(True, refused="not you"))], Verdict.EXPIRED, ["not you"]),
        ([(1, change("!run other")), (2, press(True))], Verdict.WITHDRAWN, ["", DECIDED]),
        ([(1, change(None))], Verdict.WITHDRAWN, [""]),
        ([(1, change("!run make")), (2, press(True))], Verdict.APPROVED, ["", ""]),
        ([(1, change("!run other", 98)), (2, press(True))], Verdict.APPROVED, ["", ""]),
        ([(1, press(True, place=(3, 5, 501))), (2, press(True))], Verdict.APPROVED, [ELSEWHERE, ""]),
        ([(1, press(True, place=(3, 6, 500)))], Verdict.EXPIRED, [ELSEWHERE]),
        ([(1, change("!run make", 500)), (2, press(True))], Verdict.APPROVED, ["", ""]),
        ([(1, change(None, 500)), (2, press(True))], Verdict.WITHDRAWN, ["", DECIDED]),
        ([(1, lambda desk, request: desk.close())], Verdict.STOPPED, [""]),
    ],
)
def test_requests(acts: list[tuple[float, object]], verdict: Verdict, said: list[str]) -> None:
    decision, told = decided(*acts)
    assert decision.verdict is verdict
    assert told == said


def test_a_click_before_the_card_is_known_decides_nothing() -> None:
    async def scenario() -> str:
        desk = ApprovalDesk()
        request = desk.open(99, "!run make")
        return desk.click(request.request_id, 1, yes=True, refused="", place=CARD, untouched=True)

    assert run_virtual(scenario()) == TOO_SOON


def test_a_card_that_was_deleted_is_answered_in_a_message() -> None:
    stage = Stage(FakeAgent(allowed=False), asker=FakeAsker(gone=True))
    run_virtual(stage.play(until=5, act=lambda: stage.approvals.withdraw(CARD[-1])))
    assert len(stage.agent.runs) == 1
    assert "was changed or deleted; it was not run" in stage.outlet.last
    assert stage.mark.states == [State.WORKING, State.REFUSED]


def test_a_changed_card_decides_against_it() -> None:
    decision, told = decided((1, press(True, untouched=False)))
    assert decision.verdict is Verdict.WITHDRAWN
    assert "was changed" in told[0]


def test_a_click_on_a_card_from_before_a_restart() -> None:
    async def scenario() -> str:
        before = ApprovalDesk()
        request: Request = before.open(99, "!run make")
        return ApprovalDesk().click(request.request_id, 1, yes=True, refused="", place=CARD, untouched=True)

    assert run_virtual(scenario()) == EXPIRED


# --- commands -----------------------------------------------------------------------------------------------------


def test_an_allowed_command_runs_at_once() -> None:
    stage = Stage(FakeAgent([b"one\n", b"two\n"]))
    run_virtual(stage.play())
    assert stage.agent.runs == [("7", Command(("make",)), None)]
    assert stage.asker.asked == []
    assert stage.outlet.last == "`make`\n```text\none\ntwo\n```\nEnded; exit code 0, after 3.0 s."
    assert stage.outlet.posts == 1
    assert stage.mark.states == [State.WORKING, State.DONE]


def test_a_yes_runs_it_with_the_token_and_a_no_does_not() -> None:
    stage = Stage(FakeAgent(allowed=False))
    run_virtual(stage.play(until=5, act=lambda: click(stage)))
    assert stage.agent.runs == [("7", Command(("make",)), None), ("7", Command(("make",)), "token for 7 make")]
    assert "Approved by <@1>." in stage.asker.closed[0]
    assert "token" not in str(stage.outlet.writes) + str(stage.asker)
    assert stage.mark.states == [State.WORKING, State.DONE]
    no: tuple[Callable[[Stage], object], ...] = (
        lambda stage: click(stage, yes=False),
        lambda stage: click(stage, untouched=False),
        lambda stage: None,
    )
    for act in no:
        stage = Stage(FakeAgent(allowed=False))
        run_virtual(stage.play(until=5, act=partial(act, stage)))
        assert len(stage.agent.runs) == 1
        assert "was not run" in stage.asker.closed[0]
        assert stage.outlet.posts == 0
        assert stage.mark.states == [State.WORKING, State.REFUSED]


def test_the_end_of_the_bot() -> None:
    waiting = Stage(FakeAgent(allowed=False))
    run_virtual(waiting.play(until=5))
    assert len(waiting.agent.runs) == 1
    assert "being shut down; it was not run" in waiting.asker.closed[0]
    running = Stage(FakeAgent([b"one\n"] * 1000))
    run_virtual(running.play(until=5))
    assert running.outlet.last.endswith(STOPPED)
    assert "one" in running.outlet.last


def test_a_silent_command_is_seen_to_be_alive_and_to_leave_the_queue() -> None:
    class Silent(FakeAgent):
        begins = 12.0

        async def run(self, user: str, command: Command, approval: str | None) -> Job:
            return replace(JOB, state="queued")

        async def output(self, user: str, job_id: str, offset: int) -> Output:
            await asyncio.sleep(18.0)
            return Output(b"", 0, 0, True)

        async def job(self, user: str, job_id: str, wait_s: float) -> Job:
            if wait_s:
                return ENDED
            waits = asyncio.get_running_loop().time() < self.begins
            return replace(JOB, state="queued") if waits else JOB

    stage = Stage(agent=Silent())
    run_virtual(stage.play())
    seen = [(text.partition(":")[0], text.partition("; ")[2].rstrip(")")) for _, _, text in stage.outlet.writes[:-1]]
    wait = "Waiting for its turn"
    assert seen == [(wait, "0 s"), (wait, "5 s"), (wait, "10 s"), ("Running", "15 s")]
    assert "exit code 0" in stage.outlet.last


def test_an_agent_that_comes_back_is_waited_for() -> None:
    away = AgentError("The agent does not answer.", "unreachable")
    stage = Stage(FakeAgent([b"one\n", away, away, b"two\n"]))
    run_virtual(stage.play())
    assert "one\ntwo" in stage.outlet.last
    assert any("does not answer" in text for _, _, text in stage.outlet.writes)
    gone = Stage(FakeAgent([b"one\n", away, AgentError("No such job.", "not_found")]))
    run_virtual(gone.play())
    assert gone.outlet.last.endswith("The agent was restarted, and the command ended with it.")
    dead = Stage(FakeAgent([b"one\n", *[away] * 100]))
    run_virtual(dead.play())
    assert dead.outlet.last.endswith("The agent does not answer.")
    assert dead.agent.read_at[-1] < PATIENCE_S + 10
    assert dead.mark.states == [State.WORKING, State.FAILED]


def test_a_deleted_message_ends_the_reading_and_nothing_else() -> None:
    stage = Stage(FakeAgent([b"x\n"] * 500), FakeOutlet(errors=[None, MessageGone("gone")]))
    run_virtual(stage.play())
    assert stage.agent.read < 20
    assert stage.mark.states[-1] is State.FAILED


def test_slow_discord_never_holds_the_reader_up() -> None:
    stage = Stage(FakeAgent([b"x\n"] * 20), FakeOutlet(seconds=30.0))
    run_virtual(stage.play())
    assert stage.agent.read_at[-1] < 30
    assert stage.outlet.last.count("x") >= 20


def test_long_output_comes_as_a_file() -> None:
    stage = Stage(FakeAgent([b"a line of output\n" * 500]))
    run_virtual(stage.play())
    assert stage.outlet.files == {0: ("output.txt", "a line of output\n" * 500)}
    assert len(stage.outlet.last) <= 2000
    assert "all of it is in the file" in stage.outlet.last


def test_the_double_fits_the_port() -> None:
    agent: Commands = FakeAgent()
    assert agent
