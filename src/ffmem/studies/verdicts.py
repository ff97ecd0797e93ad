"""What a test of a claim comes to: three verdicts, by intervals alone."""

from typing import Literal

from ffmem.analyses.intervals import Estimate

Verdict = Literal["shown", "contradicted", "undecided"]
"""Shown: the interval lies where the claim puts it. Contradicted: it lies wholly on the other side. Undecided: neither."""


def is_greater(left: Estimate, right: Estimate) -> Verdict:
    """Whether ``left`` is greater than ``right``: their intervals must not meet."""
    return _by_order(left.low > right.high, left.high < right.low)


def exceeds(estimate: Estimate, limit: float) -> Verdict:
    """Whether an estimate is above a number that has no interval of its own."""
    return _by_order(estimate.low > limit, estimate.high < limit)


def falls_below(estimate: Estimate, limit: float) -> Verdict:
    """Whether an estimate is below a number that has no interval of its own."""
    return _by_order(estimate.high < limit, estimate.low > limit)


def every(*verdicts: Verdict) -> Verdict:
    """A claim with several parts: shown if all are, contradicted if one is."""
    return _by_order(all(one == "shown" for one in verdicts), "contradicted" in verdicts)


def in_order(holds: bool) -> Verdict:
    """Of numbers without intervals, such as medians: they can bear a claim out, but not refute it."""
    return "shown" if holds else "undecided"


def _by_order(holds: bool, fails: bool) -> Verdict:
    return "shown" if holds else "contradicted" if fails else "undecided"
