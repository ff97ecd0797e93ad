"""What the page says of the use of cells, against the arrays beside it."""

import numpy as np
import pytest

from ffmem.studies.results import Results
from ffmem.studies.runner import findings_of
from ffmem.studies.sukhbaatar2019.use import OF_BESIDE, OF_OWN, result


def test_the_numbers_of_the_page_are_those_of_the_arrays(softmax_study: Results) -> None:
    findings = findings_of(softmax_study)
    for name, heads in ((OF_OWN, 4), (OF_BESIDE, 0)):
        found, arrays = result(findings, name), softmax_study.load_arrays(name)
        assert found.n_positions == 120 and found.n_heads == heads
        for quantity in ("active", "effective"):
            values = [getattr(one, quantity).value for one in found.layers]
            assert values == pytest.approx(np.nanmean(arrays[quantity], axis=0).tolist())
            assert all(0 < one < 1 for one in values)


def test_memories_that_never_stand_out_are_counted_and_relu_cells_are_not(softmax_study: Results) -> None:
    findings = findings_of(softmax_study)
    highest = softmax_study.load_arrays(OF_OWN)["highest"]
    for place, one in enumerate(result(findings).layers):
        assert one.never.value == pytest.approx((highest[place] <= 1).mean()) and one.never.n == one.n_cells
    assert all(np.isnan(one.never.value) and np.isnan(one.mass.value) for one in result(findings, OF_BESIDE).layers)
