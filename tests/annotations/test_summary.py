"""The table of Figure 2."""

from collections.abc import Callable

import numpy as np
import pytest

from ffmem import Index, InputError
from ffmem.analyses.intervals import mean
from ffmem.annotations.protocol import LABELS, CellAnnotation
from ffmem.annotations.summary import summarize
from ffmem.json_values import to_json
from tests.annotations.made import annotation


@pytest.fixture
def index(index_of: Callable[[str], Index]) -> Index:
    return index_of("gpt2")


SHALLOW = annotation([{1}, {1}, {1}, set()], {1: "shallow"})
BOTH = annotation([{1, 2}, {1, 2}, {1, 2}, {1}], {1: "shallow", 2: "semantic"}, cell="0.7")
NONE = annotation([set()] * 4, {}, cell="2.7")


def test_shares_are_counted_by_layer(index: Index) -> None:
    found = summarize(index, [NONE, SHALLOW, BOTH])
    assert [one.layer for one in found.layers] == ["L0", "L2"] and found.all_layers.layer == "all"
    low, high = found.layers
    assert {label: low.shares[label].value for label in LABELS} == {
        "shallow": 0.5,
        "shallow+semantic": 0.375,
        "semantic": 0,
        "not-covered": 0.125,
    }
    assert low.coverage.value == 0.875 and low.patterns_per_cell.value == 1.5 and low.n_without_pattern == 0
    assert (low.n_cells, low.n_annotations, low.coverage.n, low.patterns_per_cell.n) == (2, 2, 8, 2)
    assert high.shares["not-covered"].value == 1 and high.coverage.value == 0 and high.n_without_pattern == 1
    assert sum(found.all_layers.shares[label].value for label in LABELS) == pytest.approx(1)


def test_intervals_draw_cells_and_not_triggers(index: Index) -> None:
    (low,) = summarize(index, [SHALLOW, BOTH]).layers
    values = np.array([1, 1, 1, 0, 1, 1, 1, 1])
    assert low.coverage == mean(values, np.array([0] * 4 + [1] * 4))
    assert low.coverage != mean(values)
    assert low.coverage.low < 0.2 and low.coverage.high > 0.99  # two cells say next to nothing


def by(one: CellAnnotation, annotator: str) -> CellAnnotation:
    return CellAnnotation(one.batch, annotator, one.shown, one.patterns, one.marks)


def test_annotators_count_the_same_until_one_adjudicates(index: Index) -> None:
    other = annotation([set()] * 4, {}, annotator="bob")
    (layer,) = summarize(index, [SHALLOW, other]).layers
    assert layer.coverage.value == 0.375 and (layer.n_cells, layer.n_annotations) == (1, 2)
    (settled,) = summarize(index, [SHALLOW, other, by(SHALLOW, "adjudicated"), BOTH]).layers
    assert settled.coverage.value == 0.875 and (settled.n_cells, settled.n_annotations) == (2, 2)
    (only,) = summarize(index, [SHALLOW, other, by(SHALLOW, "adjudicated")], annotator="bob").layers
    assert only.coverage.value == 0


def test_invalid_patterns_are_told(index: Index) -> None:
    found = summarize(index, [annotation([{1}, {1}, set()], {1: "shallow"})])
    (bad,) = found.invalid
    assert (str(bad.cell), bad.pattern.number, bad.n_triggers) == ("L0.0", 1, 2)
    assert found.layers[0].patterns_per_cell.value == 0
    assert to_json(found)["invalid"][0]["cell"] == "L0.0"


def test_there_must_be_something(index: Index) -> None:
    with pytest.raises(InputError) as error:
        summarize(index, [SHALLOW], annotator="bob")
    assert str(error.value) == (
        f"{index.folder} has no annotations of 'bob'. Expected those of one of: ann. "
        "Import them first: ffmem annotate import DIR SHEET."
    )
    with pytest.raises(InputError, match=r"has no annotations\. Expected some annotations"):
        summarize(index, [])
