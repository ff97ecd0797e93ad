from dataclasses import replace
from pathlib import Path

import pytest

from ffmem.ids import CellId
from ffmem.names.lm.keeping import decided_by, keep
from ffmem.names.lm.known import Unit
from ffmem.names.lm.report import LabelReport, report_of
from ffmem.store.labels import Labels, open_labels
from tests.fixtures.made_index import Document, Layer, make_index
from tests.names.lm.test_report import INDEX, outcome

ABOUT = {"decided_by": "x", "kind": "lm"}


@pytest.fixture
def labels(tmp_path: Path) -> Labels:
    index = make_index(tmp_path / "index", [Document([["a"]])], [Layer([[1.0] * 50])] * 2)
    return open_labels(index.folder, index.manifest)


@pytest.fixture
def report() -> LabelReport:
    return report_of(INDEX, outcome(), labeller="model a", judge="model b", seed=0, with_model=True)


def test_labels_are_kept_with_what_they_rest_on(labels: Labels, report: LabelReport) -> None:
    number = keep(labels, outcome(), report, ABOUT)
    (label,) = labels.labels_of(_cell(0).cell)
    assert (label.text, label.source, label.author, label.run) == ("name of L0.0", "lm", "model a", number)
    assert label.evidence is not None and label.evidence["passes"] and label.evidence["beats_rule"]
    assert label.evidence["shown"] == [1, 2] and label.evidence["above"] == pytest.approx(0.7)
    scores = {one.measure: one for one in labels.scores_of(label.id)[label.id]}
    assert scores["detection_hard"].value == pytest.approx(0.8) and scores["detection_hard"].judge == "model b"
    assert labels.name(label.cell).source == "lm"  # type: ignore[union-attr]
    (failed,) = labels.labels_of(_cell(10).cell)
    assert failed.evidence is not None and not failed.evidence["passes"]
    assert labels.labels_of(_cell(19).cell) == [], "a unit of which nothing came"
    told = labels.runs()[number]
    assert told["finished"] and "units" not in told["report"] and told["report"]["trusted"]


def test_the_same_run_is_kept_once(labels: Labels, report: LabelReport) -> None:
    number = keep(labels, outcome(), report, ABOUT)
    before = [(one.id, one.superseded_by) for one in labels.all_labels(history=True)]
    assert keep(labels, outcome(), report, ABOUT) == number
    assert [(one.id, one.superseded_by) for one in labels.all_labels(history=True)] == before
    other = keep(labels, outcome(), report, ABOUT | {"decided_by": "y"})
    assert other != number and len(labels.labels_of(_cell(0).cell)) == 2


def test_a_run_that_was_stopped_keeps_what_was_judged_alone(labels: Labels, report: LabelReport) -> None:
    some = outcome()
    some.judged = [one for one in some.judged if one.task.unit.cell.index != 0]
    stopped = replace(report_of(INDEX, some, labeller="model a", judge="b", seed=0, with_model=True), stopped="budget")
    number = keep(labels, some, stopped, ABOUT)
    assert labels.labels_of(_cell(0).cell) == [] and labels.labels_of(_cell(1).cell) != []
    assert not labels.runs()[number]["finished"]
    assert keep(labels, outcome(), report, ABOUT) == number
    assert labels.labels_of(_cell(0).cell) != [] and labels.runs()[number]["finished"]
    assert len(labels.labels_of(_cell(1).cell)) == 1


def test_what_decides_a_run() -> None:
    units = [_cell(0)]
    assert decided_by({"a": 1, "b": 2}, units) == decided_by({"b": 2, "a": 1}, units)
    assert decided_by({"a": 1}, units) != decided_by({"a": 1}, [_cell(1)])


def _cell(number: int) -> Unit:
    return Unit(CellId(0, number))
