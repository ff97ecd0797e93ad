"""The fewest cells that have 90 % of the energy."""

import numpy as np
import pytest

from ffmem.studies.report import Report
from ffmem.studies.results import Findings
from ffmem.studies.wild2024.cells import arrays_of
from ffmem.studies.wild2024.energy import EXPERIMENT, EnergyResult


def test_means_and_quantiles_are_of_the_same_positions(gated: tuple[Findings, Report]) -> None:
    findings, report = gated
    arrays, result = arrays_of(findings, EXPERIMENT), findings.get(EXPERIMENT, EnergyResult)
    assert (arrays["below"].sum(0) == result.n_positions).all() and len(arrays["below"]) == result.n_documents
    for place, layer in enumerate(result.layers):
        assert layer.strongest.value == pytest.approx(arrays["above"][:, place].sum() / result.n_positions)
        whole = np.array(layer.of_positions) * layer.n_cells
        assert 1 <= whole[0] <= whole[-1] <= layer.n_cells
        assert layer.of_positions[0] <= layer.strongest.value <= layer.of_positions[-1]
    assert len(report.charts["energy"].rows) == len(result.layers)
