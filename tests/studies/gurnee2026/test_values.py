"""What the page says of values, against the arrays beside it."""

import numpy as np
import pytest

from ffmem.studies.gurnee2026.values import MEASURES, by_layer, values
from ffmem.studies.results import Results
from ffmem.studies.runner import findings_of


def test_the_numbers_of_the_page_are_those_of_the_arrays(read: Results) -> None:
    found, arrays = values(findings_of(read)), read.load_arrays("values")
    assert "about means" not in found.lenses
    for name in MEASURES:
        for number, layer in enumerate(found.layers):
            some = np.asarray(arrays[name])[np.asarray(arrays["layer"]) == number].astype(float)
            assert [layer.by[name][lens].value for lens in found.lenses] == pytest.approx(some.mean(0).tolist())
            assert layer.by[name]["own"].n == len(some)


def test_numbers_stand_in_the_layer_of_their_cell() -> None:
    spread = by_layer(np.array([[1.0], [2.0]]), np.array([2, 0]), 3)
    assert np.array_equal(spread[:, :, 0], [[np.nan, np.nan, 1.0], [2.0, np.nan, np.nan]], equal_nan=True)
