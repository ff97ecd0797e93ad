"""The compiled loops of a sample, by hand; test_sample.py holds them to all coefficients sorted at once."""

import numpy as np
import pytest
import torch

from ffmem.ids import LayerCells
from ffmem.index.state.layers import CpuLayer, Shape
from ffmem.index.state.places import Places
from ffmem.index.state.sample_kernel import merge_lists_of_strata


def test_a_higher_maximum_moves_what_was_drawn_before_down_and_the_lowest_into_the_rest() -> None:
    shape = Shape((LayerCells(0, 1),), 1, 1, "1", sample=2)
    layer, coefficients, counts = CpuLayer(1, shape), [], []
    keys = np.array([[(lot << 32) | (2**32 - 1 - token) for token, lot in enumerate((5, 9, 1, 7))]])
    for n, value in enumerate((0.1, 1.0, 2.0, 64.0)):
        layer.observe(torch.full((1, 1, 1), value), Places(0, np.array([1]), np.array([[n]]), keys[:, n : n + 1]))
        state = layer.state()
        coefficients.append(
            [[round(float(one), 3) for one in stratum if one] for stratum in state["sample_coefficient"][0]]
        )
        counts.append(state["sample_count"][0].tolist())
    nothing: list[float] = []
    assert coefficients[1] == [[1.0], *[nothing] * 6, [0.1], nothing, nothing]  # 1.0 lies 7 half octaves above 0.1's
    assert coefficients[2] == [[2.0], nothing, [1.0], *[nothing] * 5, [0.1], nothing]
    assert coefficients[3] == [[64.0], *[nothing] * 7, [1.0, 0.1], nothing]  # of three, those with the largest lots
    assert counts[3] == [1, 0, 0, 0, 0, 0, 0, 0, 3, 0]


@pytest.mark.parametrize("swapped", [False, True])
def test_the_strata_of_the_lower_maximum_move_down_before_lists_are_merged(swapped: bool) -> None:
    """One cell of one sign; 1.0 is two half octaves, or bins, below 2.0."""

    def made(stratum: int, keys: list[int], count: int, top: float) -> tuple[np.ndarray, ...]:
        lists, coefficients = np.zeros((1, 10, 2), dtype=np.int64), np.zeros((1, 10, 2), dtype=np.float32)
        counts = np.zeros((1, 10), dtype=np.int64)
        lists[0, stratum], coefficients[0, stratum], counts[0, stratum] = keys, keys, count
        return lists, coefficients, counts, np.array([[top]], dtype=np.float32).view(np.int32) >> 22

    high, low = made(2, [9, 4], 5, 2.0), made(0, [7, 5], 3, 1.0)
    ours, theirs = (low, high) if swapped else (high, low)
    merge_lists_of_strata(*ours, *theirs)
    keys, coefficients, counts, _ = ours
    assert keys[0, 2].tolist() == coefficients[0, 2].tolist() == [9, 7]
    assert counts[0].tolist() == [0, 0, 8, *[0] * 7] and not np.delete(keys[0], 2, axis=0).any()
