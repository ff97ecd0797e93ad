"""How much of a task the model can do."""

import pytest

from ffmem.studies.arora2026.findings import task_of
from ffmem.studies.arora2026.task import CHAPTER
from ffmem.studies.results import Findings

(TASK,) = CHAPTER.exhibits


def test_what_is_right_is_counted_over_templates(circuit_findings: Findings) -> None:
    found = task_of(circuit_findings)
    assert found.n_right == sum(one.n_right for one in found.templates) or len(found.templates) < 2
    assert found.n_compared == found.n - found.n_unequal == found.n
    (number,) = TASK.numbers(circuit_findings)
    assert number.ours == pytest.approx(found.n_right / found.n_compared) and number.low is not None
    assert f"{found.n_right:,} of {found.n_compared:,} pairs right" in TASK.reading(circuit_findings)
    (table,) = TASK.tables(circuit_findings)
    assert [row["candidates"] for row in table.rows] == [one.n_positions * 48 for one in found.templates]
    assert all(row["F"] > 0 for row in table.rows)
