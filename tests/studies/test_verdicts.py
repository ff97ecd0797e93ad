"""Three verdicts, made together."""

from math import nan

import numpy as np
import pytest

from ffmem.analyses.intervals import Uncertain
from ffmem.analyses.student import student_tail
from ffmem.studies.exhibit import Claim
from ffmem.studies.verdicts import Test, Verdict, above, below, every, judged, opposite


def effect(value: float, error: float = 1.0) -> Test:
    return above(Uncertain(value, error, 41, 400), unit="")


def verdicts(*tests: Test) -> list[Verdict]:
    return [one.verdict for one in judged([[Claim("c", test, "w") for test in tests]])[0]]


def test_shown_contradicted_and_undecided() -> None:
    assert verdicts(effect(4), effect(-4), effect(0.5)) == ["shown", "contradicted", "undecided"]
    assert verdicts(opposite(effect(4)), below(Uncertain(1, 0.1, 41, 9), 2.0)) == ["contradicted", "shown"]
    assert verdicts(effect(nan), effect(3, nan), above(Uncertain(3, 1, 1, 9))) == ["undecided"] * 3
    assert verdicts() == []


def test_one_in_twenty_is_not_enough_among_twenty() -> None:
    """2.5 errors would do alone (p = 0.017), not as the best of twenty; those that are certain make room for it."""
    assert verdicts(effect(2.5)) == ["shown"]
    assert verdicts(effect(2.5), *[effect(0.1)] * 19) == ["undecided"] * 20
    assert verdicts(effect(2.5), *[effect(9)] * 19) == ["shown"] * 20


def test_false_verdicts_are_rare_in_a_report_of_nothing() -> None:
    rng = np.random.default_rng(0)
    wrong = [set(verdicts(*map(effect, rng.standard_t(40, 15)))) != {"undecided"} for _ in range(600)]
    assert 0.01 < np.mean(wrong) < 0.09  # 0.05, within three standard errors


def test_every_part_must_hold_and_one_can_refute() -> None:
    assert verdicts(every(effect(4), effect(5))) == ["shown"]
    assert verdicts(every(effect(4), effect(1))) == ["undecided"]
    assert verdicts(every(effect(4), effect(1), effect(-5))) == ["contradicted"]
    weakest = every(effect(9), effect(2.2), effect(4))
    assert weakest.p_shown == pytest.approx(student_tail(2.2, 40)) and weakest.effect == 2.2
    # 2.6 below is enough by itself (p = 0.013), and not as the worst of ten
    assert verdicts(every(effect(-2.6))) == ["contradicted"]
    assert verdicts(every(effect(-2.6), *[effect(1)] * 9)) == ["undecided"]


def test_what_is_undecided_says_what_could_have_been_seen() -> None:
    ((first, second),) = judged([[Claim("c", above(Uncertain(0.001, 0.01, 41, 9)), "w"), Claim("c", effect(9), "w")]])
    # Student's t with 40 degrees at 5 % / 2, two-sided: 2.329
    assert first.why == "w; a difference of less than 2.3 points could not have been told from chance"
    assert second.why == "w"
    ((alone,),) = judged([[Claim("c", above(Uncertain(0.3, nan, 1, 9)), "w")]])
    assert alone.why == "w; too few documents to tell"
