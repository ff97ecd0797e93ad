from collections.abc import Sequence

import pytest

from ffmem.names.lm.client.budget import Budget, Prices
from ffmem.names.lm.client.pace import Pace, pace
from ffmem.names.lm.client.request import Request
from ffmem.names.lm.client.server import Server
from ffmem.names.lm.plan import plan
from ffmem.names.lm.run import results
from tests.fixtures.stand_in import StandIn
from tests.names.lm.conftest import Connect

SENTENCE = "the keeper of a lighthouse rowed out before dawn and found 2 sailors on 17 planks , cold yet alive"
WORDS = SENTENCE.split()
PRICES = Prices(2.0, 8.0)


def requests(unit: int) -> list[Request]:
    """A label and six judgements of one unit, on texts of different lengths."""
    text = " ".join(WORDS[(unit * 7 + i) % len(WORDS)] for i in range(60 + unit % 9))
    items = [" ".join(WORDS[(unit + item * i) % len(WORDS)] for i in range(12)) for item in range(1, 7)]
    return [
        Request(({"role": "user", "content": f"Name this: {text}"},), 60, json=True, purpose="label", expected_out=30),
        *[
            Request(({"role": "user", "content": f"Is it {unit}? {item}"},), 1, 20, purpose="detection", expected_out=1)
            for item in items
        ],
    ]


def label_all(server: Server, units: Sequence[int]) -> None:
    for _ in results(units, lambda unit: [server.reply_to(one) for one in requests(unit)]):
        pass


@pytest.mark.parametrize("learnt_from", [2, 5])
def test_a_plan_is_what_the_run_uses(learnt_from: int, connect: Connect, stand_in: StandIn) -> None:
    stand_in.character = lambda body: (
        '{"label": "sailors", "kind": "topic", "not": "ships"}' if body["max_tokens"] > 1 else "1"
    )
    label_all(connect(stand_in), range(learnt_from))
    server = connect(stand_in, budget=Budget(prices=PRICES))
    known = server.cache.measured(stand_in.url, "model")
    n_sent = len(stand_in.bodies)
    planned = plan(
        [requests(unit) for unit in range(10, 20)], 20, pace(None, known), answered=known, prices=PRICES,
        is_answered=server.is_answered,
    )  # fmt: skip
    assert len(stand_in.bodies) == n_sent, "planning sends nothing"

    label_all(server, range(10, 30))
    used = server.budget.used
    assert planned.n_calls == used.n_calls == 20 * 7
    assert planned.tokens_in == pytest.approx(used.tokens_in, rel=0.1)
    assert planned.tokens_out == pytest.approx(used.tokens_out, rel=0.1)
    assert planned.money == pytest.approx(used.money, rel=0.1)
    # and no more text than it says has left the machine
    sent = sum(len(prompt.encode()) for prompt in stand_in.prompts()[n_sent:])
    assert planned.text_bytes == pytest.approx(sent, rel=0.02)
    whole = plan([requests(unit) for unit in range(10, 30)], 20, Pace())
    assert whole.text_bytes == sent, "counted on all units, it is what is sent to the byte"


def test_a_plan_counts_each_call_once_and_not_those_that_are_answered() -> None:
    units = [requests(unit) for unit in range(4)]
    exact = plan(
        units, 4, Pace(2.0, 0.2, 0.001, 0.1), prices=PRICES, concurrency=2, is_answered=lambda one: one.max_tokens > 1
    )
    left = [one for unit in units for one in unit if one.max_tokens == 1]
    n_bytes = sum(len(one.messages[0]["content"]) for one in left)
    tokens_in = 2 * 24 + 0.2 * n_bytes
    assert (exact.n_calls, exact.n_answered, exact.text_bytes, exact.tokens_out) == (24, 4, n_bytes, 24)
    assert exact.tokens_in == round(tokens_in)
    assert exact.hours == pytest.approx((0.001 * tokens_in + 0.1 * 24) / 3600 / 2)
    assert exact.money == pytest.approx((2 * tokens_in + 8 * 24) / 1e6)


def test_plans_of_two_kinds_of_units_add_up() -> None:
    first, second = (plan([requests(unit)], 10, Pace()) for unit in (0, 1))
    both = first + second
    assert (both.n_units, both.n_units_counted, both.n_calls) == (20, 2, 140)
    assert both.tokens_in == first.tokens_in + second.tokens_in
    assert both.hours is None and both.money is None


def test_there_may_be_nothing_to_do() -> None:
    nothing = plan([], 0, Pace(), prices=PRICES)
    assert (nothing.n_calls, nothing.tokens_in, nothing.money) == (0, 0, 0.0)
