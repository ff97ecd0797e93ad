"""What the test of a claim comes to: three verdicts, made together for all claims of a report.

Every claim is told as an effect that is above 0 if the claim holds, with p-values in both directions. Twice the smaller of them
is the claim's p; Holm's method (1979) keeps the chance of any wrong verdict in a report at 5 %.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isfinite
from typing import TYPE_CHECKING, Literal

from ffmem.analyses.intervals import Uncertain
from ffmem.analyses.student import student_quantile

if TYPE_CHECKING:
    from ffmem.studies.exhibit import Claim

Verdict = Literal["shown", "contradicted", "undecided"]
"""Shown: the effect lies where the claim puts it. Contradicted: it lies on the other side. Undecided: chance could be all."""
LEVEL = 0.05
"""The chance of any wrong verdict among those of a report."""


@dataclass(frozen=True)
class Test:
    """By how much a claim holds: an effect that is above 0 if it does, and below 0 if it is the other way about."""

    __test__ = False
    """It is none of pytest's."""

    effect: float
    """NaN if there is nothing to estimate it from."""
    error: float
    """Its standard error."""
    degrees: int
    """Of freedom: how well the error itself is known."""
    p_shown: float
    """One-sided: the chance of as large an effect, or a larger one, if there were none."""
    p_contradicted: float
    """The same in the other direction."""
    unit: str = "%"
    """"%": the effect is a share, told in points; else the word behind its number."""
    n_parts: int = 1
    """Of how many parts this is the weakest; each must hold."""

    def smallest(self, level: float) -> float:
        """The smallest effect that would have been seen, in either direction, at a level."""
        share = 1 - level / 2 / self.n_parts
        return student_quantile(share, self.degrees) * self.error if self.degrees > 0 else float("inf")


def above(found: Uncertain, limit: float = 0.0, unit: str = "%") -> Test:
    """A test of something being above a limit: 0, for a difference."""
    return Test(
        effect=found.value - limit,
        error=found.error,
        degrees=found.n_groups - 1,
        p_shown=found.p_above(limit),
        p_contradicted=found.p_below(limit),
        unit=unit,
    )


def below(found: Uncertain, limit: float = 0.0, unit: str = "%") -> Test:
    """A test of something being below a limit."""
    return opposite(above(found, limit, unit))


def opposite(test: Test) -> Test:
    """The test of a claim that says the contrary."""
    return replace(test, effect=-test.effect, p_shown=test.p_contradicted, p_contradicted=test.p_shown)


def every(*tests: Test) -> Test:
    """The test of a claim with several parts: it holds if each does, and is refuted by one that does not.

    So it is shown if the weakest part is (an intersection-union test, which needs no correction), and contradicted if the worst
    part is after Holm's correction for its having been looked for among all of them.
    """
    weakest = max(tests, key=lambda one: (one.p_shown, -one.effect))
    return replace(
        weakest,
        p_contradicted=min(1.0, len(tests) * min(one.p_contradicted for one in tests)),
        n_parts=sum(one.n_parts for one in tests),
    )


def judged(claims: Sequence[Sequence["Claim"]]) -> list[tuple["Claim", ...]]:
    """The claims of a report, exhibit by exhibit, with their verdicts; of what is undecided, what could have been seen."""
    every_claim = [one for some in claims for one in some]
    verdicts = iter(_verdicts([one.test for one in every_claim]))
    level = LEVEL / max(len(every_claim), 1)
    return [tuple(_judge(one, next(verdicts), level) for one in some) for some in claims]


def _judge(claim: "Claim", verdict: Verdict, level: float) -> "Claim":
    if verdict != "undecided":
        return replace(claim, verdict=verdict)
    return replace(claim, verdict=verdict, why=f"{claim.why}; {_not_seen(claim.test, level)}")


def _not_seen(test: Test, level: float) -> str:
    smallest = test.smallest(level)
    if not isfinite(smallest):
        return "too few documents to tell"
    size = 100 * smallest if test.unit == "%" else smallest
    number = f"{size:.2g}" if size < 100 else f"{size:,.0f}"
    told = f"{number} {'points' if test.unit == '%' else test.unit}".strip()
    return f"a difference of less than {told} could not have been told from chance"


def _verdicts(tests: Sequence[Test]) -> list[Verdict]:
    """By Holm's method: from the smallest p on, until one is too large for as many as are left."""
    p_of = [2 * min(one.p_shown, one.p_contradicted) for one in tests]
    found: list[Verdict] = ["undecided"] * len(tests)
    for rank, number in enumerate(sorted(range(len(tests)), key=lambda one: p_of[one])):
        if not p_of[number] <= LEVEL / (len(tests) - rank):
            break
        shown = tests[number].p_shown < tests[number].p_contradicted
        found[number] = "shown" if shown else "contradicted"
    return found
