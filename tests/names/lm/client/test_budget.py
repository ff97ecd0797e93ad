import threading
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffmem import InputError
from ffmem.names.lm.client.budget import Budget, Limits, Prices

CALL = st.tuples(st.integers(0, 50), st.integers(0, 20), st.sampled_from(["answered", "busy", "broken"]))


@given(
    st.lists(CALL, max_size=30),
    st.none() | st.integers(0, 20),
    st.none() | st.integers(0, 500),
    st.none() | st.floats(0, 5),
)
def test_no_limit_is_exceeded_and_the_sums_are_those_of_a_list(
    calls: list[tuple[int, int, str]], n_calls: int | None, tokens: int | None, money: float | None
) -> None:
    budget = Budget(Limits(n_calls, tokens, money), Prices(10_000, 50_000))
    paid: list[tuple[int, int]] = []
    n_sent = 0
    for tokens_in, tokens_out, end in calls:
        try:
            reserved = budget.reserve(tokens_in, tokens_out)
        except InputError:
            break
        n_sent += 1
        if end == "answered":
            budget.settle(reserved, tokens_in, tokens_out // 2, counted=True, seconds=1.0)
            paid.append((tokens_in, tokens_out // 2))
        else:
            budget.give_up(reserved, may_be_paid=end == "broken", seconds=1.0)
            paid += [(tokens_in, tokens_out)] * (end == "broken")
    used = budget.used
    assert (used.n_calls, used.tokens_in, used.tokens_out) == (n_sent, sum(a for a, _ in paid), sum(b for _, b in paid))
    assert used.money == pytest.approx(sum(a * 0.01 + b * 0.05 for a, b in paid))
    assert n_calls is None or used.n_calls <= n_calls
    assert tokens is None or used.tokens_in + used.tokens_out <= tokens
    assert money is None or used.money <= money + 1e-9


def test_calls_under_way_are_set_aside() -> None:
    budget = Budget(Limits(tokens=100))
    first = budget.reserve(30, 30)
    with pytest.raises(InputError, match=r"--max-tokens 100 is reached: 0 used, and the next call may need 101"):
        budget.reserve(41, 0)
    budget.settle(first, 30, 1, counted=True, seconds=0.0)
    budget.reserve(41, 0)


def test_many_threads_do_not_exceed_a_limit() -> None:
    budget = Budget(Limits(calls=50))

    def call() -> None:
        with suppress(InputError):
            for _ in range(20):
                budget.settle(budget.reserve(1, 1), 1, 1, counted=False, seconds=0.0)

    threads = [threading.Thread(target=call) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (budget.used.n_calls, budget.used.n_uncounted, budget.used.money) == (50, 50, None)


def test_a_limit_of_money_needs_prices() -> None:
    with pytest.raises(InputError, match="Add --price-in and --price-out"):
        Budget(Limits(money=1.0))
    for bad in (-1.0, float("nan"), float("inf")):
        with pytest.raises(InputError, match="--price-out is"):
            Prices(0.0, bad)
