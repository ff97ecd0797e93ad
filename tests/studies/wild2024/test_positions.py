"""Positional cells of tiny models: counts of what each cell tells."""

import numpy as np
import pytest

from ffmem.analyses.sparsity.positional import INFORMATIVE
from ffmem.studies.report import Report
from ffmem.studies.results import Findings
from ffmem.studies.wild2024.cells import arrays_of
from ffmem.studies.wild2024.positions import EXPERIMENT, PositionsResult
from tests.studies.wild2024.conftest import ALWAYS, DEAD


@pytest.mark.parametrize("which", ["planted", "gated"])
def test_shares_are_counts_of_cells(which: str, request: pytest.FixtureRequest) -> None:
    findings: Findings = request.getfixturevalue(which)[0]
    report: Report = request.getfixturevalue(which)[1]
    arrays, result = arrays_of(findings, EXPERIMENT), findings.get(EXPERIMENT, PositionsResult)
    assert result.n_positions == 4 and result.n_sentences > 30
    for place, layer in enumerate(result.layers):
        own = arrays["layer"] == place
        assert layer.positional.value == (arrays["information"][own] > INFORMATIVE).mean()
        assert layer.by_chance.value == (arrays["by_chance"][own] > INFORMATIVE).mean()
    told = [row["nats"] for row in report.tables["positional"].rows] if "positional" in report.tables else []
    assert told == sorted(told, reverse=True) and all(one > INFORMATIVE for one in told)


def test_cells_that_never_change_tell_nothing(planted: tuple[Findings, Report]) -> None:
    arrays = arrays_of(planted[0], EXPERIMENT)
    assert np.flatnonzero(arrays["information"][[DEAD, ALWAYS]]).tolist() == []
