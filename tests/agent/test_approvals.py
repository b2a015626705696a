"""What needs a yes, and what a yes is good for: one run of one command by one user in one directory."""

from __future__ import annotations

import threading

import pytest

from agent_wsl.envelope import APPROVAL_S
from agent_wsl.errors import Refusal
from agent_wsl.jobs.approvals import IN_ALL, PER_USER, Approvals, Command, is_allowed


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


LS = Command(("ls", "-l"))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def approvals(clock: Clock) -> Approvals:
    return Approvals(clock)


def refused(approvals: Approvals, token: str, user: str = "1", command: Command = LS, cwd: str = "/w") -> str:
    with pytest.raises(Refusal) as caught:
        approvals.redeem(token, user, command, cwd)
    assert caught.value.code == "approval_invalid"
    return caught.value.message


def test_a_yes_is_good_once(approvals: Approvals) -> None:
    token = approvals.issue("1", LS, "/w")
    approvals.redeem(token, "1", LS, "/w")
    assert "used before" in refused(approvals, token)


def test_two_minutes_and_no_longer(approvals: Approvals, clock: Clock) -> None:
    early, late = approvals.issue("1", LS, "/w"), approvals.issue("1", LS, "/w")
    clock.now += APPROVAL_S - 0.001
    approvals.redeem(early, "1", LS, "/w")
    clock.now += 0.001
    assert "older than 120 s" in refused(approvals, late)


MISMATCHES = {
    "user": ({"user": "2"}, "another user"),
    "other word": ({"command": Command(("ls", "-a"))}, "another command"),
    "one word more": ({"command": Command(("ls", "-l", ""))}, "another command"),
    "words joined": ({"command": Command(("ls -l",))}, "another command"),
    "shell line of the same text": ({"command": Command(("ls -l",), shell=True)}, "another command"),
    "case": ({"command": Command(("LS", "-l"))}, "another command"),
    "trailing space": ({"command": Command(("ls", "-l "))}, "another command"),
    "look-alike": ({"command": Command(("l\u0455", "-l"))}, "another command"),
    "directory": ({"cwd": "/w/x"}, "another directory"),
    "directory, same path in other words": ({"cwd": "/w/"}, "another directory"),
}


@pytest.mark.parametrize(("change", "reason"), MISMATCHES.values(), ids=MISMATCHES)
def test_whatever_differs_uses_the_yes_up(approvals: Approvals, change: dict[str, str], reason: str) -> None:
    token = approvals.issue("1", LS, "/w")
    assert reason in refused(approvals, token, **change)  # type: ignore[arg-type]
    assert "not known" in refused(approvals, token)


PAIRS = {
    "split elsewhere": (Command(("a b",)), Command(("a", "b"))),
    "empty word": (Command(("a", "")), Command(("a",))),
    "quote in a word": (Command(('a", "b',)), Command(("a", "b"))),
    "shell and argv": (Command(("a",), shell=True), Command(("a",))),
    "shell as a word": (Command(("x",), shell=True), Command(("shell", "x"))),
    "composed and decomposed": (Command(("\u00e9",)), Command(("e\u0301",))),
    "newline": (Command(("a\nb",)), Command(("a", "b"))),
}


@pytest.mark.parametrize(("one", "other"), PAIRS.values(), ids=PAIRS)
def test_commands_that_look_alike_differ(one: Command, other: Command) -> None:
    assert one.digest() != other.digest()


@pytest.mark.parametrize("token", ["", "x", "\0", "A" * 200, "\u20ac", "../../etc"], ids=repr)
def test_an_invented_token(approvals: Approvals, token: str) -> None:
    approvals.issue("1", LS, "/w")
    assert "not known" in refused(approvals, token)


def test_only_one_of_many_at_once_gets_through(approvals: Approvals) -> None:
    for _ in range(50):
        token = approvals.issue("1", LS, "/w")
        barrier, passed = threading.Barrier(8), []

        def redeem(token: str = token, barrier: threading.Barrier = barrier, passed: list[int] = passed) -> None:
            barrier.wait()
            try:
                approvals.redeem(token, "1", LS, "/w")
            except Refusal:
                return
            passed.append(1)

        threads = [threading.Thread(target=redeem) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(passed) == 1


def test_the_oldest_of_a_user_makes_room_and_nobody_elses(approvals: Approvals) -> None:
    other = approvals.issue("2", LS, "/w")
    tokens = [approvals.issue("1", LS, "/w") for _ in range(PER_USER + 1)]
    assert "pushed out" in refused(approvals, tokens[0])
    for token in tokens[1:]:
        approvals.redeem(token, "1", LS, "/w")
    approvals.redeem(other, "2", LS, "/w")


def test_there_is_an_end_to_what_is_remembered(approvals: Approvals) -> None:
    tokens = [approvals.issue(f"{number}", LS, "/w") for number in range(IN_ALL + 10)]
    refused(approvals, tokens[9], user="9")
    approvals.redeem(tokens[10], "10", LS, "/w")


def test_the_token_itself_is_not_kept(approvals: Approvals) -> None:
    token = approvals.issue("1", LS, "/w")
    assert len(token) >= 32
    assert token not in repr(vars(approvals))
    assert token.encode() not in b"".join(approvals._grants)


ALLOWED = (("git", "status"), ("ls",), ())
NEEDS = {
    "exact": (("git", "status"), True),
    "longer": (("git", "status", "-s"), True),
    "one word": (("ls", "-l", "/"), True),
    "shorter": (("git",), False),
    "option in between": (("git", "-c", "core.fsmonitor=evil", "status"), False),
    "in the working directory": (("./git", "status"), False),
    "by its path": (("/usr/bin/git", "status"), False),
    "longer name": (("gits", "status"), False),
    "longer word": (("git", "status-evil"), False),
    "joined": (("git status",), False),
    "case": (("Git", "status"), False),
    "space": (("git ", "status"), False),
    "empty first word": (("", "git", "status"), False),
    "output into a file": (("git", "status", "--format=format:import os", "--output=conftest.py"), False),
    "output, two words": (("git", "status", "--output", "conftest.py"), False),
    "output, cut short": (("git", "status", "--outp=conftest.py"), False),
    "how output looks": (("git", "status", "--output-indicator-new=+"), True),
}


@pytest.mark.parametrize(("words", "allowed"), NEEDS.values(), ids=NEEDS)
def test_prefixes_are_compared_word_by_word(words: tuple[str, ...], allowed: bool) -> None:
    assert is_allowed(Command(words), ALLOWED) is allowed


@pytest.mark.parametrize("line", ["ls", "git status", "ls; rm -rf ."])
def test_a_shell_line_always_needs_a_yes(line: str) -> None:
    assert not is_allowed(Command((line,), shell=True), (*ALLOWED, (line,)))
