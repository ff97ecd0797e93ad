"""Numbers over layers."""

from dataclasses import dataclass
from math import isnan, nan

import numpy as np
import pytest

from ffmem.analyses.intervals import Estimate, Sums, Uncertain, proportion
from ffmem.studies.geva2021.layers import (
    average,
    box_rows,
    interval,
    line_rows,
    means_of_thirds,
    points,
    share,
    thirds,
    upper_less_lower,
)


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


def test_thirds_of_the_same_documents_are_compared() -> None:
    """Six layers, each two tenths above the one below; documents that differ by far more than that."""
    level = np.random.default_rng(0).normal(0, 5, 30)
    sums = Sums((level[:, None] + 0.2 * np.arange(6)) * 10, np.full((30, 6), 10.0))
    low, high = means_of_thirds(sums)
    assert low.value == pytest.approx(level.mean() + 0.1) and high.value == pytest.approx(level.mean() + 0.9)
    gain = upper_less_lower(sums)
    assert gain.value == pytest.approx(0.8) and gain.error < 1e-9 < low.error  # what documents have in common is gone
    assert points(Uncertain(0.012, 0.001, 1001, 9)) == "+1.2 points (+1.0 to +1.4)"


def test_means_leave_out_what_is_unknown() -> None:
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
