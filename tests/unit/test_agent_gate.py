"""Wrong keys slow an address down; the right one, and time, make up for it."""

from agent_wsl.wire.gate import ADDRESSES, FORGET_S, LONGEST_DELAY_S, Gate


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_three_wrong_keys_are_free_then_each_doubles_the_wait() -> None:
    gate = Gate(Clock())
    delays = []
    for _ in range(9):
        delays.append(gate.delay("a"))
        gate.failed("a")
    assert delays == [0, 0, 0, 1, 2, 4, 8, 8, 8]
    assert delays[-1] == LONGEST_DELAY_S


def test_only_that_address() -> None:
    gate = Gate(Clock())
    for _ in range(5):
        gate.failed("a")
    assert gate.delay("b") == 0
    assert gate.delay("a") > 0


def test_the_right_key_and_time_are_forgiving() -> None:
    clock = Clock()
    gate = Gate(clock)
    for _ in range(5):
        gate.failed("a")
        gate.failed("b")
    gate.passed("a")
    assert gate.delay("a") == 0
    clock.now = FORGET_S - 1
    assert gate.delay("b") > 0
    clock.now = FORGET_S + 1
    assert gate.delay("b") == 0


def test_what_is_remembered_is_bounded_and_the_newest_stay() -> None:
    gate = Gate(Clock())
    for number in range(ADDRESSES + 10):
        for _ in range(4):
            gate.failed(f"10.0.{number}")
    assert gate.delay("10.0.0") == 0
    assert gate.delay(f"10.0.{ADDRESSES + 9}") > 0
