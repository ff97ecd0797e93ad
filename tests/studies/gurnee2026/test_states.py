"""What the page says of states, against the arrays beside it."""

import numpy as np
import pytest

from ffmem.studies.gurnee2026.states import MEASURES, states
from ffmem.studies.results import Results
from ffmem.studies.runner import findings_of


def test_the_numbers_of_the_page_are_those_of_the_arrays(read: Results) -> None:
    found, arrays = states(findings_of(read)), read.load_arrays("states")
    lenses = found.readings.lenses
    assert lenses == ("raw", "own", "folded", "jacobian", "about means", "another layer", "random")
    for name in MEASURES:
        for number, layer in enumerate(found.readings.layers):
            expected = np.asarray(arrays[name])[:, number].astype(float).mean(0)
            assert [layer.by[name][lens].value for lens in lenses] == pytest.approx(
                expected.tolist(), rel=1e-5, abs=1e-7
            )
            gain = expected[lenses.index("jacobian")] - expected[lenses.index("own")]
            assert layer.gain[name].value == pytest.approx(gain, rel=1e-4, abs=1e-6)
    assert found.own_hit.value == pytest.approx(np.asarray(arrays["own_hit"]).mean())


def test_in_the_last_layer_the_jacobian_is_the_models_own_reading(read: Results) -> None:
    last = states(findings_of(read)).readings.layers[-1]
    assert last.by["same"]["own"].value == last.by["same"]["jacobian"].value == 1
    assert last.by["divergence"]["jacobian"].value == pytest.approx(0, abs=1e-5)
    assert last.by["divergence"]["about means"].value == pytest.approx(0, abs=1e-5)
