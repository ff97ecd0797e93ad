"""Curves of a task whose circuit is known: none is 0, all is 1, the chain is enough, and without a link nothing is left."""

import numpy as np
import pytest

from ffmem import InputError
from ffmem.analyses.circuit.curves import (
    Curve,
    area,
    chance_overlap,
    faithfulness,
    ladder,
    measure_curve,
    overlap,
    single_nodes,
    size_reached,
)
from ffmem.analyses.circuit.kept_cells import KeptCells, mean_coefficients
from ffmem.analyses.circuit.pairs import Group
from ffmem.analyses.circuit.ranking import ranked
from ffmem.models.transformer import Transformer
from tests.analyses.circuit.test_ranking import chained

__all__ = ["chained"]


@pytest.fixture(scope="module")
def trial(chained: tuple[Transformer, Group]) -> KeptCells:
    model, group = chained
    return KeptCells(model, group, mean_coefficients(model, group.counterfactual_ids))


def test_all_is_one_none_is_nothing_and_the_chain_is_enough(
    chained: tuple[Transformer, Group], trial: KeptCells
) -> None:
    model, group = chained
    order = ranked(model, group, "relp")
    sizes = ladder(len(order), 10)
    assert sizes == (0, 1, 2, 5, 10, 24)
    curve = measure_curve(trial, "relp", order, sizes, group.whole)
    kept = [faithfulness([curve], size).value for size in sizes]
    without = [faithfulness([curve], size, complement=True).value for size in sizes]
    assert (kept[0], kept[-1]) == (0.0, pytest.approx(1.0)) and (without[0], without[-1]) == (pytest.approx(1.0), 0.0)
    assert kept[1] == pytest.approx(0.0, abs=0.02)  # one link of a chain does nothing
    assert kept[2] == pytest.approx(1.0, abs=0.02) and without[1] == pytest.approx(0.0, abs=0.02)
    assert size_reached([curve]) == 2 and curve.n_cells == (0, 1, 2, *curve.n_cells[3:])
    with pytest.raises(InputError, match="no size 3"):
        faithfulness([curve], 3)


def test_each_link_is_needed_and_nothing_else_is(chained: tuple[Transformer, Group], trial: KeptCells) -> None:
    model, group = chained
    circuit = trial.nodes.mask(ranked(model, group, "relp")[:2])
    found = single_nodes(trial, circuit, group.whole, most=5)
    assert len(found.drops) == len(found.gains) == 2
    assert min(found.drops) > 0.9 and max(map(abs, found.gains)) < 0.05


def test_ratios_are_of_sums_over_prompts_and_the_area_is_a_mean_over_log_sizes() -> None:
    curve = Curve(
        "x",
        (0, 1, 10, 50),
        (0, 1, 9, 40),
        ((1.0, 0.0), (2.0, 1.0), (4.0, 2.0), (5.0, 3.0)),
        ((0.0, 0.0),) * 4,
        (5.0, 3.0),
    )
    assert faithfulness([curve], 1).value == pytest.approx((1 + 1) / (4 + 3))
    assert faithfulness([curve, curve], 10).value == pytest.approx((3 + 2) / 7)
    # straight between 1 and 10 on the axis of logarithms: the mean of both ends
    assert area([curve]).ratios[0] == pytest.approx(((1 + 3) / 2 + (1 + 2) / 2) / 7)
    assert size_reached([curve], 0.7) == 10 and size_reached([curve], 0.9) is None
    assert ladder(7, 100) == (0, 1, 2, 5, 7) and ladder(4000, 1000) == (
        0,
        1,
        2,
        5,
        10,
        20,
        50,
        100,
        200,
        500,
        1000,
        4000,
    )


def test_overlap_and_that_of_chance() -> None:
    assert overlap([(0, 1), (0, 2)], [(0, 2), (1, 1)]) == pytest.approx(1 / 3) and np.isnan(overlap([], []))
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(2000):
        one, other = (set(rng.choice(50, 10, replace=False).tolist()) for _ in range(2))
        drawn.append(len(one & other) / len(one | other))
    assert chance_overlap(10, 10, 50) == pytest.approx(float(np.mean(drawn)), abs=0.01)
