"""Two moments of one model, between which ten cells were put out of reach."""

import numpy as np
import pytest

from ffmem.studies.report import Report
from ffmem.studies.results import Findings
from ffmem.studies.wild2024.cells import arrays_of
from ffmem.studies.wild2024.turned_off import EXPERIMENT, MomentsResult


def test_cells_that_were_put_out_of_reach_turned_off_by_their_bias(planted: tuple[Findings, Report]) -> None:
    findings, report = planted
    result, table = findings.get(EXPERIMENT, MomentsResult), arrays_of(findings, EXPERIMENT)["changes"]
    (step,), (before, after) = result.steps, result.moments
    assert not step.why_no_weights and step.n_revived <= 3
    assert after.n_alive == before.n_alive - step.n_died + step.n_revived
    off = table[(table[:, 2] == 0) & (table[:, 1] == 1)]
    planted_off = off[np.isclose(off[:, 3], -100)]
    assert 7 <= len(planted_off) <= 10, "some of the ten may have been rare before"
    assert (planted_off[:, 4:] == pytest.approx(0, abs=1e-9)) and step.n_turned_off >= len(planted_off)
    stayed = table[table[:, 2] == 1]
    assert len(stayed) > 50 and np.abs(stayed[:, 3]).max() == 0
    (claim,) = (one for name, one in report.claims if name == "Moments")
    assert claim.test.effect > 50 and claim.verdict == "shown"


def test_moments_are_their_indexes(planted: tuple[Findings, Report]) -> None:
    findings, report = planted
    last = findings.get(EXPERIMENT, MomentsResult).moments[-1]
    for place, one in enumerate(last.layers):
        arrays = findings.index.layer(place)
        assert one.dead == (arrays.n_active == 0).mean()
        assert one.token == arrays.n_active.sum() / (arrays.counts[0, 0] * len(arrays.n_active))
    n_layers = findings.index.n_layers
    assert [row["series"] for row in report.charts["moments-dead"].rows] == ["before"] * n_layers + ["index"] * n_layers
