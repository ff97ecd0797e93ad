"""Numbers over layers."""

from dataclasses import dataclass
from math import isnan, nan

import pytest

from ffmem.analyses.intervals import Estimate, proportion
from ffmem.studies.geva2021.layers import average, averaged, box_rows, interval, line_rows, pooled, share, thirds


@dataclass(frozen=True)
class Layer:
    layer: str
    rate: Estimate
    quantiles: tuple[float, ...] = (0, 1, 2, 3, 4)


NOTHING = Estimate(nan, nan, nan, 0)
LAYERS = [Layer(f"L{i}", proportion(i, 10)) for i in range(7)]


def test_a_third_is_one_layer_at_least() -> None:
    assert [[one.layer for one in part] for part in thirds(LAYERS)] == [["L0", "L1"], ["L5", "L6"]]
    assert thirds(LAYERS[:2]) == (LAYERS[:1], LAYERS[1:2])


def test_proportions_are_pooled_by_their_counts() -> None:
    assert pooled([proportion(1, 10), proportion(30, 30), NOTHING]) == proportion(31, 40)
    assert isnan(pooled([NOTHING]).value)


def test_means_leave_out_what_is_unknown() -> None:
    assert averaged([Estimate(1, 0, 2, 3), Estimate(3, 2, 6, 4), NOTHING]) == Estimate(2, 1, 4, 7)
    assert average([1.0, nan, 2.0]) == 1.5 and isnan(average([nan]))


def test_rows_have_a_value_for_each_layer_and_series() -> None:
    rows = line_rows([Layer("L0", NOTHING), LAYERS[5]], {"rate": lambda one: one.rate, "half": lambda _: 0.5})
    assert [(row["layer"], row["name"], row["series"], row["value"]) for row in rows] == [
        (0, "L0", "rate", None),
        (0, "L0", "half", 0.5),
        (1, "L5", "rate", 0.5),
        (1, "L5", "half", 0.5),
    ]
    assert rows[2]["n"] == 10 and rows[2]["low"] == pytest.approx(0.2366, abs=1e-4)
    boxes = box_rows([LAYERS[0], Layer("L1", NOTHING, (nan,) * 5)], lambda one: one.quantiles)
    assert boxes == [{"layer": 0, "name": "L0", "q5": 0, "q25": 1, "q50": 2, "q75": 3, "q95": 4}]


def test_shares_are_written_in_per_cent() -> None:
    assert share(0.5) == "50.0 %" and interval(Estimate(0.5, 0.25, 0.75, 8)) == "50.0 % (25.0 to 75.0)"
