"""The bins of a histogram, worked out by hand."""

import numpy as np
import pytest

from ffmem.store.histogram import N_BINS, histogram_edges
from tests.fixtures.made_index import bin_of


def test_two_bins_an_octave() -> None:
    edges = histogram_edges()
    assert edges.dtype == np.float64 and len(edges) == N_BINS + 1 == 65
    assert edges[0] == -np.inf and edges[-1] == np.inf
    assert edges[1:5].tolist() == [2**-15, 1.5 * 2**-15, 2**-14, 1.5 * 2**-14]
    assert edges[31:35].tolist() == [1.0, 1.5, 2.0, 3.0] and edges[63] == 2.0**16
    assert (np.diff(edges) > 0).all()
    assert np.array_equal(edges[1:-1], edges[1:-1].astype(np.float32))  # a float32 coefficient is compared exactly


@pytest.mark.parametrize(
    ("value", "number"), [(-3.0, 0), (0.0, 0), (2.0**-15, 1), (1.0, 31), (1.49, 31), (1.5, 32), (65535.0, 62), (1e30, 63)]
)  # fmt: skip
def test_where_a_number_goes(value: float, number: int) -> None:
    edges = histogram_edges()
    assert edges[number] <= value < edges[number + 1] and bin_of(value) == number
