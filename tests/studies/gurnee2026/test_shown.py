"""Numbers of things, layers and lenses, against means by hand; and words."""

import numpy as np
import pytest

from ffmem.analyses.intervals import Estimate
from ffmem.analyses.lenses.reading import Lens
from ffmem.studies.gurnee2026.shown import Measure, Summed, claims_by_third, thirds_below_last, verdict_of, written
from ffmem.studies.verdicts import judged

LENSES: tuple[Lens, ...] = ("own", "jacobian")


def test_thirds_leave_the_last_layer_out() -> None:
    assert thirds_below_last(7) == [("lower", [0, 1]), ("middle", [2, 3]), ("upper", [4, 5])]
    assert thirds_below_last(3) == [("lower", [0]), ("middle", [1])]
    assert thirds_below_last(2) == [("lower", [0])]


def test_means_by_hand() -> None:
    numbers = np.arange(12.0).reshape(3, 2, 2)
    found = Summed(np.array([4, 4, 9]), LENSES).readings({"x": numbers}, ["L0", "L1"], 5)
    assert (found.n, found.n_documents, found.n_layers) == (3, 2, 5)
    assert found.layers[1].by["x"]["jacobian"].value == pytest.approx(numbers[:, 1, 1].mean())
    assert found.layers[0].gain["x"].value == pytest.approx(1)
    assert found.below_last["x"]["own"].value == pytest.approx(numbers[:, 0, 0].mean())


@pytest.mark.parametrize("larger_is_better", [True, False])
def test_a_planted_difference_is_seen_and_its_direction_is_told(larger_is_better: bool) -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(400, 5, 2))
    values[:, 0, 1] += 1.0
    values[:, 2:4, 1] -= 1.0
    summed = Summed(np.repeat(np.arange(40), 10), LENSES)
    measure = Measure("x", "nats", larger_is_better)
    names = [f"L{i}" for i in range(5)]
    (claims,) = judged([list(claims_by_third(summed, names, values, measure, "it is better"))])
    first, last = ("shown", "contradicted") if larger_is_better else ("contradicted", "shown")
    assert claims[0].verdict != last and claims[2].verdict == last
    found = summed.readings({"x": values}, names, 5)
    words = [verdict_of(layer.gain["x"], measure) for layer in found.layers]
    assert words[0] == ("better" if first == "shown" else "worse")
    assert words[2] == words[3] == ("worse" if first == "shown" else "better")


def test_words_for_numbers() -> None:
    assert verdict_of(Estimate(0.0, 0.0, 0.03, 9), Measure("x")) == "same"  # nowhere any difference
    assert verdict_of(Estimate(0.0, -0.1, 0.1, 9), Measure("x")) == "cannot be told"
    assert verdict_of(Estimate(0.1, -0.1, 0.3, 9), Measure("x")) == "cannot be told"
    assert verdict_of(Estimate(0.1, np.nan, np.nan, 9), Measure("x")) == "cannot be told"
    assert written(Estimate(0.25, 0, 1, 9), "%") == "25.0 %" and written(Estimate(0.25, 0, 1, 9), "") == "0.25"
