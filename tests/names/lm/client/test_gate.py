import threading
import time
from contextlib import ExitStack, nullcontext

import pytest

from ffmem.names.lm.client.gate import Gate, Halted


def test_it_is_halved_once_for_calls_that_were_under_way_together() -> None:
    gate = Gate(8)
    with ExitStack() as calls:
        passages = [calls.enter_context(gate.passage()) for _ in range(8)]
        for passage in passages:
            gate.slow_down(0.0, passage)
    assert gate.limit == 4
    for expected in (2, 1, 1):
        with gate.passage() as passage:
            gate.slow_down(0.0, passage)
        assert gate.limit == expected


def test_it_opens_again_one_by_one_and_slowly() -> None:
    gate = Gate(3)
    gate.slow_down(0.0, 0)
    limits = []
    for _ in range(40):
        gate.went_well()
        limits.append(gate.limit)
    assert (limits.index(2), limits.index(3), max(limits)) == (7, 7 + 16, 3)


def test_no_more_are_under_way_than_may_be() -> None:
    gate, together, lock, most = Gate(3), [], threading.Lock(), [0]

    def call() -> None:
        with gate.passage():
            with lock:
                together.append(1)
                most[0] = max(most[0], len(together))
            time.sleep(0.005)
            with lock:
                together.pop()

    threads = [threading.Thread(target=call) for _ in range(9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most[0] == 3


def test_all_wait_as_long_as_the_server_asks() -> None:
    gate = Gate(2)
    gate.slow_down(0.05, 0)
    begin = time.monotonic()
    with gate.passage():
        assert time.monotonic() - begin >= 0.049


def test_who_waits_is_let_go_when_no_more_calls_are_wanted() -> None:
    gate, ends = Gate(1), []

    def wait(how: str) -> None:
        with pytest.raises(Halted), nullcontext(gate.pause(60.0)) if how == "pause" else gate.passage():
            pass
        ends.append(how)

    gate.slow_down(60.0, 0)
    threads = [threading.Thread(target=wait, args=[how]) for how in ("pause", "passage")]
    for thread in threads:
        thread.start()
    gate.halt()
    for thread in threads:
        thread.join(5)
    assert sorted(ends) == ["passage", "pause"]
