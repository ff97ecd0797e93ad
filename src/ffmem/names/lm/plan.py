"""What a run will need, before anything is sent: calls, tokens, hours and money."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from ffmem.json_values import Record
from ffmem.names.lm.client.budget import Prices
from ffmem.names.lm.client.cache import StoredReply
from ffmem.names.lm.client.pace import ENOUGH, Pace
from ffmem.names.lm.client.request import Request


@dataclass(frozen=True)
class Plan(Record):
    """What a run will need."""

    n_units: int
    n_units_counted: int
    """Whose prompts were made and counted; the others are taken to be like them."""
    n_calls: int
    n_answered: int
    """Calls that are not needed, since their answers are there already."""
    text_bytes: int
    """Of all prompts together: what would be sent."""
    tokens_in: int
    tokens_out: int
    hours: float | None
    """None: nothing is known of the server's speed."""
    money: float | None
    """None where no prices were given."""
    tokens_by: str
    times_by: str

    def __add__(self, other: "Plan") -> "Plan":
        """Of two kinds of units together."""
        both = (self, other)
        return Plan(
            **{
                name: sum(getattr(one, name) for one in both)
                for name in (
                    "n_units", "n_units_counted", "n_calls", "n_answered", "text_bytes", "tokens_in", "tokens_out"
                )
            },
            hours=None if self.hours is None or other.hours is None else self.hours + other.hours,
            money=None if self.money is None or other.money is None else self.money + other.money,
            tokens_by=self.tokens_by,
            times_by=self.times_by,
        )  # fmt: skip


def plan(
    counted: Iterable[Sequence[Request]],
    n_units: int,
    pace: Pace,
    *,
    answered: Sequence[StoredReply] = (),
    is_answered: Callable[[Request], bool] = lambda _: False,
    prices: Prices | None = None,
    concurrency: int = 1,
) -> Plan:
    """What a run over some units will need, from the requests of a number of them.

    How much the model writes is known from calls of the same purpose, if enough of them were answered; else it is what the
    requests expect.

    Args:
        counted: the requests of each unit that is counted; a draw of all units of one kind.
        n_units: all units of that kind.
        pace: what is known of the server.
        answered: calls that it answered before.
        is_answered: whether a request's answer is there already.
        prices: of a million tokens.
        concurrency: calls at a time.
    """
    written = _written(answered)
    n_counted = n_calls = n_answered = n_bytes = 0
    tokens_in = tokens_out = 0.0
    for requests in counted:
        n_counted += 1
        for request in requests:
            if is_answered(request):
                n_answered += 1
                continue
            n_calls += 1
            n_bytes += request.n_bytes
            tokens_in += pace.tokens(request.n_bytes)
            expected = request.max_tokens if request.expected_out is None else request.expected_out
            tokens_out += min(written.get(request.purpose, expected), request.max_tokens)
    share = n_units / n_counted if n_counted else 0.0
    seconds = pace.seconds(tokens_in * share, tokens_out * share)
    return Plan(
        n_units=n_units,
        n_units_counted=n_counted,
        n_calls=round(n_calls * share),
        n_answered=round(n_answered * share),
        text_bytes=round(n_bytes * share),
        tokens_in=round(tokens_in * share),
        tokens_out=round(tokens_out * share),
        hours=None if seconds is None else seconds / 3600 / concurrency,
        money=None if prices is None else prices.of(tokens_in * share, tokens_out * share),
        tokens_by=pace.tokens_by,
        times_by=pace.times_by,
    )


def _written(answered: Sequence[StoredReply]) -> dict[str, float]:
    """How many tokens were written on average, for each purpose that enough calls had."""
    by_purpose: dict[str, list[int]] = defaultdict(list)
    for one in answered:
        by_purpose[one.purpose].append(one.tokens_out)
    return {
        purpose: sum(counts) / len(counts)
        for purpose, counts in by_purpose.items()
        if purpose and len(counts) >= ENOUGH
    }
