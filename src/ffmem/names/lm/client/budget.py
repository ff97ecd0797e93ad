"""What a run may use of a server, and what it has used: hard stops for calls, tokens and money."""

import threading
from dataclasses import dataclass

from ffmem.errors import InputError
from ffmem.json_values import Record


@dataclass(frozen=True)
class Prices:
    """What a million tokens cost, in whatever money the user counts."""

    per_million_in: float = 0.0
    per_million_out: float = 0.0

    def __post_init__(self) -> None:
        for name, price in (("--price-in", self.per_million_in), ("--price-out", self.per_million_out)):
            if not 0 <= price < 1e9:
                raise InputError(
                    f"{name} is {price:g}", "Expected the price of a million tokens, 0 or more", "Correct it"
                )

    def of(self, tokens_in: float, tokens_out: float) -> float:
        """What so many tokens cost."""
        return (tokens_in * self.per_million_in + tokens_out * self.per_million_out) / 1e6


@dataclass(frozen=True)
class Limits:
    """The most that a run may use; None for what is not limited."""

    calls: int | None = None
    tokens: int | None = None
    """Read and written together."""
    money: float | None = None


@dataclass(frozen=True)
class Use(Record):
    """What a run has used."""

    n_calls: int = 0
    """That were sent, those that the server refused as busy among them."""
    n_answered: int = 0
    n_unanswered: int = 0
    """Broken off or too slow: the server may have done the work, so they count as if it had."""
    n_from_cache: int = 0
    """Answers that were there already: they cost nothing."""
    tokens_in: int = 0
    tokens_out: int = 0
    n_uncounted: int = 0
    """Answers whose tokens the server has not counted."""
    money: float | None = None
    """None where no prices were given."""
    seconds: float = 0.0
    """That calls took, together."""
    waited_s: float = 0.0
    """That the server was busy or away, over all calls."""


@dataclass(frozen=True)
class Reservation:
    """What one call may use, set aside before it is sent."""

    tokens_in: int
    tokens_out: int


class Budget:
    """Counts what a run uses, and lets no call begin that could exceed its limits.

    What calls under way may use at most is set aside, so that the limits hold with many at a time too. They are exact as far
    as the size of a prompt in tokens is known before it is sent: nothing else can make a run exceed them.
    """

    def __init__(self, limits: Limits = Limits(), prices: Prices | None = None) -> None:
        if limits.money is not None and prices is None:
            raise InputError(
                "--max-money is given, but no price is",
                "Expected the prices of a million tokens that are read, and of a million that are written",
                "Add --price-in and --price-out",
            )
        self.limits, self.prices = limits, prices
        self._lock = threading.Lock()
        self._counts = dict.fromkeys(
            ("n_calls", "n_answered", "n_unanswered", "n_from_cache", "tokens_in", "tokens_out", "n_uncounted"), 0
        )
        self._seconds = self._waited_s = 0.0
        self._aside_in = self._aside_out = 0

    @property
    def used(self) -> Use:
        """What was used so far."""
        with self._lock:
            money = self._money(self._counts["tokens_in"], self._counts["tokens_out"]) if self.prices else None
            return Use(**self._counts, money=money, seconds=self._seconds, waited_s=self._waited_s)

    def reserve(self, tokens_in: int, tokens_out: int) -> Reservation:
        """Set aside what a call may use at most.

        Raises:
            InputError: the run would exceed one of its limits.
        """
        with self._lock:
            in_all = self._counts["tokens_in"] + self._aside_in + tokens_in
            out_all = self._counts["tokens_out"] + self._aside_out + tokens_out
            money = self._money(in_all, out_all)
            self._check("--max-calls", self.limits.calls, self._counts["n_calls"], 1)
            used = self._counts["tokens_in"] + self._counts["tokens_out"]
            self._check("--max-tokens", self.limits.tokens, used, in_all + out_all - used)
            so_far = self._money(self._counts["tokens_in"], self._counts["tokens_out"])
            self._check("--max-money", self.limits.money, so_far, money - so_far)
            self._counts["n_calls"] += 1
            self._aside_in += tokens_in
            self._aside_out += tokens_out
            return Reservation(tokens_in, tokens_out)

    def settle(self, reserved: Reservation, tokens_in: int, tokens_out: int, *, counted: bool, seconds: float) -> None:
        """A call was answered, and took this."""
        with self._lock:
            self._free(reserved)
            self._counts["n_answered"] += 1
            self._counts["n_uncounted"] += not counted
            self._counts["tokens_in"] += tokens_in
            self._counts["tokens_out"] += tokens_out
            self._seconds += seconds

    def give_up(self, reserved: Reservation, *, may_be_paid: bool, seconds: float) -> None:
        """A call was not answered; if the server may have done the work all the same, it counts as if it had."""
        with self._lock:
            self._free(reserved)
            if may_be_paid:
                self._counts["n_unanswered"] += 1
                self._counts["tokens_in"] += reserved.tokens_in
                self._counts["tokens_out"] += reserved.tokens_out
            self._seconds += seconds

    def from_cache(self) -> None:
        """An answer was there already."""
        with self._lock:
            self._counts["n_from_cache"] += 1

    def waited(self, seconds: float) -> None:
        """The server was busy or away."""
        with self._lock:
            self._waited_s += seconds

    def _free(self, reserved: Reservation) -> None:
        self._aside_in -= reserved.tokens_in
        self._aside_out -= reserved.tokens_out

    def _money(self, tokens_in: int, tokens_out: int) -> float:
        return self.prices.of(tokens_in, tokens_out) if self.prices else 0.0

    def _check(self, option: str, limit: float | None, used: float, more: float) -> None:
        if limit is not None and used + more > limit:
            raise InputError(
                f"the limit {option} {limit:,.10g} is reached: {used:,.10g} used, and the next call may need {more:,.4g}",
                "Expected the run to stop there, and so it has",
                f"What was answered is kept and is not paid for again: continue with a larger {option}, or with none",
            )
