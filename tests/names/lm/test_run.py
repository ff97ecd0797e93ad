import threading
import time
from collections.abc import Callable

import pytest

from ffmem import InputError
from ffmem.names.lm.client.budget import Budget, Limits
from ffmem.names.lm.run import Done, Failed, results
from tests.fixtures.stand_in import StandIn
from tests.names.lm.conftest import Connect


@pytest.mark.parametrize("threads", [1, 4])
def test_results_come_in_the_order_of_the_units(threads: int) -> None:
    def work(unit: int) -> int | Failed:
        time.sleep(0.002 * (unit % 3))
        return Failed(f"unit {unit} is odd") if unit % 2 else unit * 10

    found = list(results(range(20), work, threads=threads))
    assert found == [Done(n, None, f"unit {n} is odd") if n % 2 else Done(n, n * 10, "") for n in range(20)]


def test_progress_tells_how_many_are_done_and_failed() -> None:
    told: list[tuple[str, int, int]] = []
    list(results([1, 2, 3], lambda unit: Failed("x") if unit == 2 else unit, listen=lambda *now: told.append(now)))
    assert told == [("labels", 1, 3), ("labels (1 failed)", 2, 3), ("labels (1 failed)", 3, 3)]


def test_no_unit_is_worked_on_far_ahead_of_the_one_that_is_asked_for() -> None:
    begun: list[int] = []
    for done in results(range(100), lambda unit: begun.append(unit) or unit, threads=2):  # type: ignore[func-returns-value]
        time.sleep(0.001)
        assert max(begun) <= done.unit + 8
    assert sorted(begun) == list(range(100))


@pytest.mark.parametrize("threads", [1, 3])
def test_a_fault_is_raised_after_the_results_before_it_and_nothing_goes_on(threads: int) -> None:
    begun, out = [], []

    def work(unit: int) -> int:
        begun.append(unit)
        if unit == 5:
            raise ZeroDivisionError("a bug")
        return unit

    def until_the_fault() -> None:
        for done in results(range(1000), work, threads=threads):
            out.append(done.unit)

    with pytest.raises(ZeroDivisionError, match="a bug"):
        until_the_fault()
    assert out == [0, 1, 2, 3, 4] and len(begun) < 30


@pytest.mark.parametrize("end", ["ctrl-c", "break"])
def test_what_is_under_way_at_the_end_is_kept(end: str, connect: Connect, stand_in: StandIn) -> None:
    stand_in.delay_s = 0.03
    server, said = connect(stand_in, concurrency=3), []

    def work(unit: int) -> str:
        return server.ask([{"role": "user", "content": f"unit {unit}"}], 1).text

    def until(stop: Callable[[], None]) -> None:
        for done in results(range(50), work, threads=3, halt=server.halt, say=said.append):
            assert done.result == "1"
            if done.unit == 4:
                stop()
                break

    def interrupt() -> None:
        raise KeyboardInterrupt

    if end == "ctrl-c":
        with pytest.raises(KeyboardInterrupt):
            until(interrupt)
    else:
        until(lambda: None)
    assert len(said) == 1 and "whose answers are kept" in said[0]
    n_sent = stand_in.n_calls
    assert n_sent < 15 and threading.active_count() < 20
    time.sleep(0.05)
    assert stand_in.n_calls == n_sent, "nothing is sent any more"

    again = connect(stand_in)
    sent = [body["messages"] for body in stand_in.bodies]  # not always the first: a thread may wait before it sends
    assert len(sent) == n_sent
    for messages in sent:
        again.ask(messages, 1)
    assert stand_in.n_calls == n_sent, "all that was sent was kept"


@pytest.mark.parametrize(("limits", "n_units"), [(Limits(calls=7), 7), (Limits(tokens=60), 5)])
def test_a_spent_budget_stops_after_the_units_that_it_was_enough_for(
    limits: Limits, n_units: int, connect: Connect, stand_in: StandIn
) -> None:
    server, out = connect(stand_in, budget=Budget(limits)), []

    def label() -> None:
        for done in results(
            range(20), lambda unit: server.ask([{"role": "user", "content": f"as the crow flies {unit}"}], 4)
        ):
            out.append(done.unit)

    with pytest.raises(InputError, match=r"is reached: .* continue with a larger --max-"):
        label()
    assert out == list(range(n_units))
    assert stand_in.n_calls == n_units


def test_there_may_be_no_units() -> None:
    assert list(results([], lambda unit: unit)) == []
