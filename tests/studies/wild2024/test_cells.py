"""Shares of the cells of each layer."""

import numpy as np
import pytest

from ffmem.analyses.intervals import mean_ratio
from ffmem.studies.wild2024.cells import cell_sums, of_all


def test_a_column_for_each_layer_and_only_cells_that_count() -> None:
    layer, has = np.repeat([0, 1, 2], 40), np.tile([1, 0, 0, 0], 30)
    sums = cell_sums(layer, has, 3)
    assert sums.ratios.tolist() == [0.25] * 3 and sums.below.sum(0).tolist() == [40] * 3
    some = cell_sums(layer, has, 3, (np.arange(120) % 4 < 2) & (layer < 2))
    assert some.ratios[:2].tolist() == [0.5, 0.5] and np.isnan(some.ratios[2])
    less = mean_ratio(cell_sums(layer, has - 1, 3)[[0]])
    assert less.value == pytest.approx(-0.75) and less.interval()[0] < -0.75 < less.interval()[1] < -0.5
    assert of_all(has).value == 0.25 and of_all(has).n == 120
