"""Candidates against chance: the numbers of each by its definition, the threshold over units, random ones left out of it."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ffmem.analyses.patterns.control import FALSE_DISCOVERY_RATE, control
from ffmem.analyses.patterns.detect import Triggers, shared_values
from ffmem.analyses.patterns.kinds import Kind
from tests.analyses.patterns.made import Text, Unit, texts, units_of


def tail(k: int, n: int, f: Fraction) -> float:
    """P(Binomial(n, f) >= k), exactly."""
    return float(sum(math.comb(n, i) * f**i * (1 - f) ** (n - i) for i in range(k, n + 1)))


def largest_discovery(p: list[float]) -> float:
    """Of Benjamini and Hochberg, by trying each p as the threshold."""
    passing = [one for one in p if one <= FALSE_DISCOVERY_RATE * sum(other <= one for other in p) / len(p)]
    return max(passing, default=-1.0)


@settings(max_examples=25)
@given(st.data())
@pytest.mark.parametrize("kind", ["token", "position", "final-2-gram", "2-gram"])
def test_numbers_are_those_of_their_definitions(kind: Kind, data: st.DataObject) -> None:
    text = data.draw(texts())
    layers = [data.draw(units_of(text)) for _ in range(3)]  # the last is of random units
    features = text.features()
    triggers = [Triggers.of(features.tokens, text.stored(units)) for units in layers]
    shared = [shared_values(features, kind, one) for one in triggers]
    found, limits = control(features, kind, triggers, shared)
    prefixes = [text.values(kind, *one) for one in text.prefixes()]
    final: Kind = "final-2-gram" if kind == "2-gram" else kind
    ends = [value for one in text.prefixes() for value in text.values(final, *one)]
    assert limits.kind == kind and limits.n_possible == sum(ends.count(value) >= 3 for value in set(ends))
    best = []
    for number, units in enumerate(layers):
        one = found[number]
        smallest = [1.0] * len(units)
        for row in range(len(one.unit)):
            unit = int(one.unit[row])
            slots = [slot for slot in range(7) if int(one.triggers[row]) >> slot & 1]
            sharing = set.intersection(*(text.values(kind, *units[unit][slot]) for slot in slots))  # type: ignore[misc]
            frequencies = [Fraction(sum(value in having for having in prefixes), len(prefixes)) for value in sharing]
            n = len(text.counted(units[unit]))
            tails = [tail(len(slots), n, f) for f in frequencies]
            assert any(
                one.frequency[row] == pytest.approx(float(f)) and one.p[row] == pytest.approx(p, rel=1e-9)
                for f, p in zip(frequencies, tails, strict=True)
            )
            assert one.p_in_unit[row] == pytest.approx(min(1.0, float(one.p[row]) * limits.n_possible))
            smallest[unit] = min(smallest[unit], float(one.p_in_unit[row]))
        if number < 2:
            best += [p for p, unit in zip(smallest, units, strict=True) if len(text.counted(unit)) >= 3]
    assert limits.n_units == len(best)
    assert limits.threshold == pytest.approx(largest_discovery(best))
    for one in found:
        assert one.accepted.tolist() == [p <= limits.threshold for p in one.p_in_unit.tolist()]


def text_with_a_rare_token() -> Text:
    """Forty different sentences of 0, 1 and 2 that have 0 before their end; eight of them end with 3, which is nowhere else."""
    digits = [[number // 3**place % 3 for place in range(4)] for number in range(40)]
    rows = [[*some, 0, 3 if number < 8 else 0] for number, some in enumerate(digits)]
    return Text(rows, list(range(40)), [0] * 40)


def test_a_rare_token_is_a_pattern_and_a_common_one_is_none() -> None:
    text = text_with_a_rare_token()
    planted: Unit = [(number, 5) for number in range(6)]
    common: list[Unit] = [[(number + 3 * unit, 4) for number in range(6)] for unit in range(3)]
    features = text.features()
    triggers = [Triggers.of(features.tokens, text.stored(units)) for units in ([planted, *common], common)]
    found, limits = control(features, "token", triggers, [shared_values(features, "token", one) for one in triggers])
    rows = dict(zip(zip(found[0].unit.tolist(), found[0].value.tolist(), strict=True), found[0].p, strict=True))
    assert rows[0, 3] == pytest.approx((8 / 240) ** 6) and rows.keys() == {(0, 3), (1, 0), (2, 0), (3, 0)}
    assert found[0].accepted.tolist() == [True, False, False, False]
    assert limits.threshold == pytest.approx(4 * (8 / 240) ** 6) and limits.n_units == 4  # of four tokens in all
    assert found[1].unit.tolist() == [0, 1, 2] and not found[1].accepted.any()


def test_random_units_have_no_part_in_the_threshold() -> None:
    text = text_with_a_rare_token()
    planted: Unit = [(number, 5) for number in range(6)]
    other: Unit = [(number, 4) for number in range(10, 16)]
    features = text.features()

    def limits_with(random: list[Unit]) -> object:
        triggers = [Triggers.of(features.tokens, text.stored(units)) for units in ([planted, other], random)]
        shared = [shared_values(features, "token", one) for one in triggers]
        return control(features, "token", triggers, shared)[1]

    assert limits_with([planted]) == limits_with([other] * 30)


def test_units_of_two_triggers_are_not_tested() -> None:
    text = text_with_a_rare_token()
    units: list[Unit] = [[(0, 5), (1, 5), None, None], [None] * 4]
    features = text.features()
    triggers = [Triggers.of(features.tokens, text.stored(some)) for some in (units, units)]
    found, limits = control(features, "token", triggers, [shared_values(features, "token", one) for one in triggers])
    assert (limits.n_units, limits.threshold) == (0, -1.0) and [len(one.unit) for one in found] == [0, 0]
    assert limits.n_possible == int((np.bincount(features.tokens.token_id) >= 3).sum())
