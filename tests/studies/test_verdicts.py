"""Three verdicts, by intervals alone."""

from math import nan

from ffmem.analyses.intervals import Estimate
from ffmem.studies.verdicts import every, exceeds, in_order, is_greater


def between(low: float, high: float) -> Estimate:
    return Estimate((low + high) / 2, low, high, 9)


def test_what_is_greater_must_not_meet_the_other() -> None:
    assert is_greater(between(3, 4), between(1, 2)) == "shown"
    assert is_greater(between(1, 2), between(3, 4)) == "contradicted"
    assert is_greater(between(2, 3), between(1, 2)) == "undecided"  # they touch
    assert is_greater(between(1, 9), between(2, 3)) == "undecided"


def test_what_exceeds_a_limit_lies_above_it_as_a_whole() -> None:
    assert [exceeds(between(1, 2), limit) for limit in (0.5, 1, 1.5, 2, 2.5)] == [
        "shown",
        "undecided",
        "undecided",
        "undecided",
        "contradicted",
    ]


def test_nothing_is_decided_by_what_cannot_be_estimated() -> None:
    unknown = Estimate(nan, nan, nan, 0)
    assert (
        is_greater(unknown, between(1, 2)) == is_greater(between(1, 2), unknown) == exceeds(unknown, 0) == "undecided"
    )


def test_every_part_must_hold_and_one_can_refute() -> None:
    assert every("shown", "shown") == "shown"
    assert every("shown", "undecided") == "undecided"
    assert every("shown", "undecided", "contradicted") == "contradicted"


def test_order_alone_never_refutes() -> None:
    assert (in_order(True), in_order(False)) == ("shown", "undecided")
