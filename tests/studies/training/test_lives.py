"""Deaths and revivals that were planted come out, in the study and in its control."""

import numpy as np
import pytest

from ffmem.analyses.through_training.lives import energy
from ffmem.studies.report import Report
from ffmem.studies.results import Findings
from ffmem.studies.training.courses import arrays_of
from ffmem.studies.training.lives import EXPERIMENT, LivesResult
from tests.fixtures.training import COMES_BACK, DIES


def test_what_was_planted_comes_out(findings: Findings) -> None:
    found, arrays = findings.get(EXPERIMENT, LivesResult), arrays_of(findings, EXPERIMENT)
    alive = arrays["alive"].astype(bool)
    assert found.by_activity and alive[:, DIES].tolist() == [True, False, False, False]
    assert alive[:, COMES_BACK].tolist() == [True, False, True, True]
    assert found.flows[0].n_deaths >= 2 and found.flows[0].n_for_good >= 1 and found.flows[1].n_revivals >= 1
    for one in found.flows:
        assert one.n_after == one.n_before - one.n_deaths + one.n_revivals
    assert [one.n_after for one in found.flows] == alive[1:].sum(1).tolist() and found.n_cells == alive.shape[1]


def test_numbers_alive_are_the_same_in_any_order_but_lives_are_not(findings: Findings) -> None:
    mixed = findings.controls["shuffled"].get(EXPERIMENT, LivesResult)
    own = findings.get(EXPERIMENT, LivesResult)
    for ours, theirs in zip(own.alive, mixed.alive, strict=True):
        assert [one.value for one in ours.values] == pytest.approx([one.value for one in theirs.values])
    assert [one.n_after for one in own.flows] == [one.n_after for one in mixed.flows]


def test_shares_and_the_table(findings: Findings, report: Report) -> None:
    numbers = {number.quantity: number for name, number in report.numbers if name == "Lives"}
    alive = arrays_of(findings, EXPERIMENT)["alive"].astype(bool)
    assert numbers["cells alive at the last moment"].ours == alive[-1].mean()
    assert numbers["cells that die and never come back"].ours == (alive.any(0) & ~alive[-1]).mean() > 0
    rows = report.tables["deaths-and-revivals"].rows
    assert [(row["from"], row["to"]) for row in rows][-1] == ("step 100", "step 1,000") and len(rows) == 3
    assert all(row["alive after"] == row["alive before"] - row["deaths"] + row["revivals"] for row in rows)


def test_of_other_cells_energy_decides(training_of, tmp_path) -> None:  # type: ignore[no-untyped-def]
    """A gated cell whose value is 0 writes nothing: it has no energy, however often it is active."""
    index = training_of("llama")[0]
    norms = np.ones(index.cells.layers[0].n_cells)
    norms[2] = 0
    assert energy(index.layer(0), norms)[2] == 0 < energy(index.layer(0), norms)[3]
