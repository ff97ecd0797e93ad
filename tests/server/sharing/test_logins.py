"""Logins and failed attempts, by a clock that a test turns."""

from ffmem.server.sharing.logins import (
    MAX_ALL_FAILURES,
    MAX_FAILURES,
    MAX_SESSIONS,
    SESSION_S,
    WINDOW_S,
    Attempts,
    Sessions,
)
from ffmem.server.sharing.visitors import Visitor

ANN = Visitor("ann", "write")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_login_ends_by_itself_or_by_its_holder() -> None:
    clock = Clock()
    sessions = Sessions(clock)
    first, second = sessions.begin(ANN), sessions.begin(ANN)
    assert first != second and len(first) > 40
    assert sessions.visitor(first) == ANN and sessions.visitor("") is None and sessions.visitor(first[:-1]) is None
    sessions.end(second)
    clock.now += SESSION_S - 1
    assert sessions.visitor(first) == ANN and sessions.visitor(second) is None
    clock.now += 1
    assert sessions.visitor(first) is None


def test_of_too_many_logins_the_oldest_end() -> None:
    sessions = Sessions(Clock())
    made = [sessions.begin(ANN) for _ in range(MAX_SESSIONS + 2)]
    assert [sessions.visitor(one) is None for one in (*made[:3], made[-1])] == [True, True, False, False]


def test_failures_of_a_minute_count_for_their_address() -> None:
    clock = Clock()
    attempts = Attempts(clock)
    for _ in range(MAX_FAILURES):
        assert attempts.wait_s("a") == 0
        attempts.failed("a")
        clock.now += 1
    assert attempts.wait_s("a") == WINDOW_S - MAX_FAILURES and attempts.wait_s("b") == 0
    clock.now += WINDOW_S - MAX_FAILURES
    assert attempts.wait_s("a") == 0  # the first of them is a minute ago


def test_failures_from_everywhere_count_together() -> None:
    clock = Clock()
    attempts = Attempts(clock)
    for number in range(MAX_ALL_FAILURES):
        attempts.failed(f"address {number}")
    assert attempts.wait_s("another") == WINDOW_S
    clock.now += WINDOW_S
    assert attempts.wait_s("another") == 0
