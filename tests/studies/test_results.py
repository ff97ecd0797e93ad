"""Results go to disk as plain JSON, and come back typed; what is damaged is refused."""

import json
import shutil
from dataclasses import dataclass
from math import inf, isnan, nan
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from ffmem import InputError, StoreError
from ffmem.analyses.intervals import Estimate
from ffmem.ids import CellId
from ffmem.studies.results import Results, as_csv, begin_results, open_results, results_in
from ffmem.studies.runner import findings_of
from tests.studies.conftest import Story


@dataclass(frozen=True)
class Found:
    cell: CellId
    rates: dict[Literal["up", "down"], Estimate]
    quantiles: tuple[float, ...]
    note: str | None


FOUND = Found(CellId(3, 12, expert=1), {"up": Estimate(0.5, 0.25, 1.0, 4)}, (0.5, nan, 2.0), None)


@pytest.fixture
def results(tmp_path: Path) -> Results:
    return begin_results(tmp_path, {"study": "geva2021", "index": {"model": {"name": "m"}}, "options": {"seed": 0}})


def test_a_result_comes_back_as_it_was(results: Results) -> None:
    results.save("found", FOUND)
    kept = json.loads((results.folder / "found.json").read_text())
    assert kept == {
        "key": results.key,
        "experiment": "found",
        "result": {
            "cell": "L3.e1.12",
            "rates": {"up": {"value": 0.5, "low": 0.25, "high": 1.0, "n": 4}},
            "quantiles": [0.5, None, 2.0],
            "note": None,
        },
    }
    back = results.load("found", Found)
    assert (back.cell, back.rates, back.note) == (FOUND.cell, FOUND.rates, None)
    assert isnan(back.quantiles[1]) and back.quantiles[::2] == (0.5, 2.0)
    results.save("infinite", {"far": inf, "drawn": np.float32(0.5)})
    assert json.loads((results.folder / "infinite.json").read_text())["result"] == {"far": None, "drawn": 0.5}


@pytest.mark.parametrize(
    "damage",
    [
        "{",
        '{"result": {}}',
        '{"key": "KEY", "result": {"cell": "L3"}}',
        '{"key": "0", "result": {}}',
        '{"key": "KEY", "result": []}',
    ],
)
def test_what_is_damaged_is_refused(results: Results, damage: str) -> None:
    (results.folder / "found.json").write_text(damage.replace("KEY", results.key))
    with pytest.raises(StoreError, match=r"found\.json is damaged"):
        results.load("found", Found)


def test_arrays_come_back(results: Results) -> None:
    arrays = {"flags": np.array([True, False]), "numbers": np.arange(6).reshape(2, 3).T}
    results.save_arrays("some", arrays)
    back = results.load_arrays("some")
    assert back["flags"].tolist() == [1, 0] and np.array_equal(back["numbers"], arrays["numbers"])


def test_the_folder_is_named_by_what_decides(tmp_path: Path) -> None:
    header = {"index": {"model": {"name": "m"}}, "options": {"seed": 0}}
    first = begin_results(tmp_path, header)
    assert begin_results(tmp_path, header).key == first.key == first.folder.name
    assert begin_results(tmp_path, header | {"options": {"seed": 1}}).key != first.key
    renamed = header | {"index": {"model": {"name": "other"}}}
    assert begin_results(tmp_path, renamed, decides=header).key == first.key
    assert len(results_in(tmp_path)) == 2 and results_in(first.folder) == [first.folder]


def test_results_that_name_no_study_are_of_the_first_one(story: Story, tmp_path: Path) -> None:
    """As versions before wrote them."""
    shutil.copytree(story.index.folder, tmp_path / "index")
    folder = tmp_path / "index" / "results" / story.results.key
    header = json.loads((folder / "study.json").read_text())
    del header["study"]
    (folder / "study.json").write_text(json.dumps(header))
    old = open_results(tmp_path / "index")
    assert old.study == "geva2021"
    assert {name: repr(value) for name, value in findings_of(old).values.items()} == {
        name: repr(value) for name, value in story.findings.values.items()
    }


def test_none_or_several_are_told(story: Story, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no results of a study"):
        open_results(tmp_path)
    for name in ("a", "b"):
        shutil.copytree(story.results.folder, tmp_path / "results" / name)
    with pytest.raises(InputError, match="has 2 studies"):
        open_results(tmp_path)
    path = tmp_path / "results" / "a" / "study.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"key": "0"}))
    with pytest.raises(StoreError, match="it is of the study"):
        findings_of(open_results(path.parent))
    path.write_text("{")
    with pytest.raises(StoreError, match=r"study\.json is damaged"):
        open_results(path.parent)


def test_a_table_has_every_column() -> None:
    assert as_csv([{"a": 1}, {"a": 2, "b": "x,y"}]) == b'a,b\n1,\n2,"x,y"\n'
