"""The table of all cells, against the arrays it is made of."""

import pytest

from ffmem.studies.report import Report
from ffmem.studies.results import Findings
from ffmem.studies.training.courses import arrays_of
from tests.fixtures.training import DIES


def test_a_row_for_each_cell(findings: Findings, report: Report) -> None:
    rows = {row["cell"]: row for row in report.tables["cells-through-training"].rows}
    drift, lives = arrays_of(findings, "drift"), arrays_of(findings, "lives")
    assert len(rows) == len(lives["layer"])
    dead = rows[f"L0.{DIES}"]
    assert dead["moments alive"] == 1 and dead["triggers settle at"] is None
    one = rows["L1.4"]
    at = int((lives["layer"] < 1).sum()) + 4
    assert one["moments alive"] == lives["alive"][:, at].sum()
    assert one["drift of its value"] == pytest.approx(float(drift["values_to_last"][0][at]), abs=1e-4)
    assert {row["triggers settle at"] for row in rows.values()} <= {None, "step 0", "step 10", "step 100", "step 1,000"}
