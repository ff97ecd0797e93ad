"""Dead cells of planted models, and why they are dead."""

import numpy as np
import pytest

from ffmem.analyses.sparsity.silent import REASONS
from ffmem.studies.report import Report
from ffmem.studies.results import Findings
from ffmem.studies.wild2024.cells import arrays_of
from ffmem.studies.wild2024.silence import EXPERIMENT, SilenceResult
from tests.studies.wild2024.conftest import ALWAYS, DEAD


def test_planted_cells_are_dead_out_of_reach(planted: tuple[Findings, Report]) -> None:
    """One of each layer, and ten of the second."""
    findings, report = planted
    arrays = arrays_of(findings, EXPERIMENT)
    places = list(zip(arrays["silent_layer"].tolist(), arrays["silent_row"].tolist(), strict=True))
    why = dict(zip(places, arrays["reason"].tolist(), strict=True))
    n_layers = findings.index.n_layers
    put_off = {(place, DEAD) for place in range(n_layers)} | {(1, row) for row in range(4, 14)}
    assert {REASONS[why[place] - 1] for place in put_off} == {"out of reach"}
    assert not {(place, ALWAYS) for place in range(n_layers)} & set(places)
    dead = [np.flatnonzero(findings.index.layer(place).n_active == 0).tolist() for place in range(n_layers)]
    result = findings.get(EXPERIMENT, SilenceResult)
    assert [round(one.dead.value * one.dead.n) for one in result.layers] == [len(one) for one in dead]
    assert set(range(4, 14)) | {DEAD} <= set(dead[1])
    rows = report.tables["silent-cells"].rows
    assert {"cell": f"L1.{4}", "positions": 0, "largest": 0.0, "why": "out of reach"} in rows


def test_lengths_are_told_by_the_median_of_the_layer(planted: tuple[Findings, Report]) -> None:
    arrays = arrays_of(planted[0], EXPERIMENT)
    for place in range(planted[0].index.n_layers):
        for name in ("key_length", "value_length"):
            assert np.median(arrays[name][arrays["layer"] == place]) == pytest.approx(1)
