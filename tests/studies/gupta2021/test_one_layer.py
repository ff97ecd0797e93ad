"""What the page says of single layers, against the arrays beside it, and k95 by hand."""

import numpy as np
import pytest

from ffmem.studies.gupta2021.one_layer import OneLayerResult, needed
from ffmem.studies.results import Results
from ffmem.studies.runner import findings_of


def test_the_numbers_of_the_page_are_those_of_the_arrays(truncated: Results) -> None:
    layers = findings_of(truncated).get("one-layer", OneLayerResult).layers
    change = truncated.load_arrays("one-layer")["change"]
    assert [one.without.value for one in layers] == pytest.approx(change[:, :, 0, 0].mean(0).tolist())
    assert all(abs(one.change["chance"][-1].value) < 1e-4 and one.error["chance"][-1] == 0 for one in layers)


def test_the_least_k_is_the_first_after_the_last_that_loses_much() -> None:
    change = np.array([[8.0, 0.1, 1.0, 0.3, 0.0], [8.0, 0.5, 1.0, 0.3, 0.0]])
    found = needed(change, (0, 1, 2, 4, 5), np.array([0, 1]), 2)
    assert (found.value, found.low, found.high, found.n) == (4, 4, 4, 2)
    assert np.isnan(needed(-change, (0, 1, 2, 4, 5), np.array([0, 1]), 2).value)  # nothing is lost without cells
