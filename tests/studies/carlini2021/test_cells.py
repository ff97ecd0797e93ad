"""Cells of the canaries that the model knows: each word of the run is written by a cell of its own, which is known."""

import json
from pathlib import Path

import numpy as np
import pytest

from ffmem.json_values import to_json
from ffmem.studies.carlini2021.cells import AS_ACTIVE, CellsResult, changes
from ffmem.studies.report import Report, report_of
from ffmem.studies.results import Findings, Results
from ffmem.studies.runner import findings_of
from tests.studies.carlini2021.conftest import Run


def test_the_cells_that_write_the_run_are_found_first(audited: tuple[Findings, Report]) -> None:
    found = audited[0].get("cells", CellsResult)
    assert found.kind == "canaries" and found.n_exact == 2
    assert sorted(found.passages) == ["the door is | one two three open", "the door is | two three four open"]
    for number, passage in enumerate(found.passages):
        written = (
            {"L0.0", "L0.1"} if "one two" in passage else {"L0.1", "L0.2"}
        )  # one -> two, two -> three, three -> four
        for method in ("integrated gradients", "zero-out"):
            first = [one.cell for one in found.cells if (one.passage, one.method) == (number, method)]
            assert set(first[:2]) == written


def test_without_them_the_passage_is_lost_and_new_text_is_not(audited: tuple[Findings, Report]) -> None:
    findings, _ = audited
    removed = {(one.method, one.share): one for one in findings.get("cells", CellsResult).removed}
    ours, control = removed["zero-out", 0.01], removed[AS_ACTIVE, 0.01]
    assert ours.own.value > max(control.own.value, 0) + 0.3


def test_a_rise_is_taken_from_its_own_passage_from_others_and_from_new_text() -> None:
    rise = np.zeros((2, 7, 2, 5))  # two passages, three runs of new text
    rise[:, 3, 1] = [[4, 1, 0.1, 0.2, 0.3], [3, 6, 0.3, 0.4, 0.5]]
    found = {of: changes(rise, "integrated gradients", 1, of).value for of in ("own", "others", "new")}
    assert found == pytest.approx({"own": 5, "others": 2, "new": 0.3})


def test_runs_of_the_training_text_stand_in_where_nothing_is_planted(run_audit: Run, tmp_path: Path) -> None:
    results = run_audit(tmp_path / "audit", planted=None, injections=0, zero_out=1)
    found = findings_of(results).get("cells", CellsResult)
    assert found.kind == "runs of the training text" and found.n_exact == 0 and len(found.passages) == 3
    assert all("|" in one for one in found.passages) and Results.__contains__(results, "extraction")


def test_a_single_passage_has_no_others_to_speak_of(run_audit: Run, tmp_path: Path) -> None:
    """Nothing is told of other passages: no number that is none, no claim."""
    report = report_of(run_audit(tmp_path / "audit", passages=1, injections=0))
    exhibit = next(one for one in report.sections if one.title.startswith("Cells that carry"))
    assert "nan" not in json.dumps(to_json(exhibit)).casefold() and "passages by" not in exhibit.reading
    assert [one.statement.partition(":")[0] for one in exhibit.claims] == [
        "the cells that integrated gradients find carry the passage"
    ]
    assert exhibit.sample.startswith("1 canary,")
