"""What the page says of all layers, against the arrays beside it."""

import pytest

from ffmem.studies.gupta2021.all_layers import AllLayersResult, enough
from ffmem.studies.results import Results
from ffmem.studies.runner import findings_of


def test_the_numbers_of_the_page_are_those_of_the_arrays(truncated: Results) -> None:
    findings = findings_of(truncated)
    found, arrays = findings.get("all-layers", AllLayersResult), truncated.load_arrays("all-layers")
    assert found.n_positions == 60 and found.ks[0] == 0 and found.ks[-1] == found.n_cells
    for i, order in enumerate(found.change):
        assert [one.value for one in found.change[order]] == pytest.approx(arrays["change"][:, i].mean(0).tolist())
        assert found.change[order][-1].value == 0 and found.same[order][-1].value == 1


def test_enough_asks_nothing_of_cells_that_do_not_help(truncated: Results) -> None:
    found = findings_of(truncated).get("all-layers", AllLayersResult)
    for order, some in found.change.items():
        lost, k = [one.value for one in some], enough(found, order)
        if lost[0] <= 0:
            assert k is None
        else:
            assert k is not None and all(one <= 0.05 * lost[0] for one in lost[found.ks.index(k) :])
