"""Names of an index that a build made, kept and held against fakes."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import ffmem
from ffmem import Index, IndexOptions
from ffmem.errors import StoreError
from ffmem.names.evaluation import evaluate
from ffmem.names.rules import naming
from ffmem.names.rules.labels import labels_of
from ffmem.names.rules.naming import name_units
from ffmem.names.rules.summary import keep, summarize
from ffmem.selection import select
from tests.fixtures.indexes import IN_PROCESS
from tests.fixtures.shared import MakeOnce


@pytest.fixture(scope="session")
def sampled_index(
    tiny_folder: Callable[[str], Path], corpus: Path, small_options: IndexOptions, make_once: MakeOnce
) -> Index:
    def build(out: Path) -> None:
        options = replace(small_options, sample=24, holdout=0)
        ffmem.build_index(tiny_folder("wikilm"), corpus, out, options=options, run=IN_PROCESS)

    return ffmem.open_index(make_once("indexes-with-samples/wikilm", build))


def test_names_do_not_depend_on_how_many_cells_are_looked_at_together(
    sampled_index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told() -> list[tuple[object, ...]]:
        names = name_units(sampled_index)
        return [(one.cell, one.text, one.grade, json.dumps(one.evidence), scores) for one, scores in labels_of(names)]

    whole = told()
    monkeypatch.setattr("ffmem.names.rules.units.BLOCK", 7)
    monkeypatch.setattr(naming, "n_threads", lambda: 1)
    assert told() == whole
    assert len(whole) == sampled_index.n_cells


def test_names_are_kept_beside_the_index_and_those_of_some_cells_leave_others(sampled_index: Index) -> None:
    names = name_units(sampled_index)
    n = keep(names, sampled_index.names, whole=True)
    assert n == sampled_index.n_cells
    named = {cell: name.text for cell, _, name in sampled_index.names.all_names()}
    expected = {one.cell: one.text for one, _ in labels_of(names) if one.text and one.kind not in ("unclear", "none")}
    assert {cell: text for cell, text in named.items() if cell in expected} == expected
    some = name_units(sampled_index, select(sampled_index.cells.whole, "L0", 0))
    assert summarize(some).n_units == sampled_index.cells.layers[0].n_cells
    keep(some, sampled_index.names, whole=False)
    assert {cell: text for cell, text in named.items() if cell.layer} == {
        cell: name.text for cell, _, name in sampled_index.names.all_names() if cell.layer
    }


def test_coefficients_at_random_positions_get_no_names(sampled_index: Index) -> None:
    found = evaluate(sampled_index, name_units(sampled_index))
    fakes = {one.name: one for one in found.fakes}
    assert fakes["positions at random"].confident == 0
    assert sum(found.coverage.values()) == pytest.approx(1)


def test_an_index_without_a_sample_is_refused(index_of: Callable[[str], Index]) -> None:
    with pytest.raises(StoreError) as refused:
        name_units(index_of("wikilm"))
    assert "was built without a sample" in str(refused.value) and "--sample 24" in str(refused.value)
