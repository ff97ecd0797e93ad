"""Trigger lists through a made-up training: overlaps as `ffmem diff` has them, and what settles last."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from ffmem import Index
from ffmem.queries import diff
from ffmem.studies.report import Report
from ffmem.studies.results import Findings
from ffmem.studies.training.courses import arrays_of
from ffmem.studies.training.lists import EXPERIMENT, ListsResult, settled_share, settled_triggers
from tests.fixtures.training import DIES

Trained = Callable[[str], Sequence[Index]]


def test_overlaps_are_those_of_diff(training_of: Trained, findings: Findings) -> None:
    indexes, arrays = training_of("wikilm"), arrays_of(findings, EXPERIMENT)
    by_cell = {row.cell: row for row in diff(indexes[1], indexes[3], limit=1000).rows}
    cells = [
        indexes[0].cells.cell_id(place, row)
        for place in range(3)
        for row in range(indexes[0].cells.layers[place].n_cells)
    ]
    expected = np.array([by_cell[cell].trigger_overlap for cell in cells])
    found = arrays["to_last"][1]
    known = ~np.isnan(found)
    assert found[known] == pytest.approx(expected[known], abs=1e-6) and known.sum() >= len(cells) - 3
    assert np.isnan(found[DIES]) and found[known].mean() > arrays["floor"][1][known].mean()
    before = {row.cell: row.trigger_overlap for row in diff(indexes[2], indexes[3], limit=1000).rows}
    at_end = arrays["to_previous"][-1]
    assert at_end[known] == pytest.approx(np.array([before[cell] for cell in cells])[known], abs=1e-6)


def test_the_last_moment_is_its_own_ceiling(findings: Findings) -> None:
    arrays, found = arrays_of(findings, EXPERIMENT), findings.get(EXPERIMENT, ListsResult)
    known = ~np.isnan(arrays["to_last"][-1])
    assert arrays["to_last"][-1][known] == pytest.approx(1) and arrays["sentences"][-1][known] == pytest.approx(1)
    ceiling, floor = (np.nanmean(arrays[name][-1]) for name in ("across", "across_floor"))
    assert floor < np.nanmean(arrays["across"][-2]) < 1 and floor < ceiling < 1
    assert found.chance == pytest.approx(6 / (2 * 150 - 6))
    for course, layer in zip(found.to_last, range(3), strict=True):
        rows = arrays["layer"] == layer
        assert course.values[0].value == pytest.approx(float(np.nanmean(arrays["to_last"][0][rows])), rel=1e-5)


def test_what_is_settled_stays(findings: Findings) -> None:
    to_last, at = arrays_of(findings, EXPERIMENT)["to_last"], settled_triggers(findings)
    assert at[DIES] == -1 and (at >= 0).sum() > 10
    for cell in np.flatnonzero(at > 0).tolist():
        assert (to_last[at[cell] :, cell] >= 0.5).all() and not to_last[at[cell] - 1, cell] >= 0.5
    for course in settled_share(findings):
        shares = [one.value for one in course.values]
        assert shares == sorted(shares) and shares[-1] == 1


def test_mixed_up_cells_share_what_others_do(report: Report) -> None:
    (control,) = report.controls
    own = {number.quantity: number for _, number in report.numbers}
    quantity, floor = "overlap of the last two moments", "overlap with another cell of the layer (floor)"
    mixed = control.numbers["Triggers", quantity]
    assert own[quantity].ours > 0.5 > mixed.ours and abs(mixed.ours - own[floor].ours) < 0.15
    claims = {claim.statement: claim for _, claim in report.claims}
    (one,) = (claim for statement, claim in claims.items() if "more of its triggers in common with itself" in statement)
    assert one.verdict == "shown" and control.claims["Triggers", one.statement].verdict != "shown"
