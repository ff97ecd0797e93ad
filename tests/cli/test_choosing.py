"""`--cells`, `--save` and `@NAME` in a change: one way for all verbs."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ffmem import Index, queries
from ffmem.cli.choosing import among, check_save, expand_changes, keep, keep_cells
from ffmem.errors import InputError
from ffmem.ids import CellId
from ffmem.store.collection_files import Collections
from tests.fixtures.collected import collected_index


@pytest.fixture
def index(tmp_path: Path) -> Index:
    return collected_index(tmp_path / "index")


def test_left_out_is_all_and_given_is_those(index: Index) -> None:
    assert among(index, None) is None
    assert [one.tolist() for one in among(index, "L0.1,L1") or ()] == [[False, True, False, False], [True, True, True]]


def test_a_collection_of_another_text_is_said(index: Index, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keep(index, "best", "cells", {"limit": 2}, queries.cells(index, limit=2))
    other = collected_index(tmp_path / "other", corpus="ef")
    capsys.readouterr()
    masks = among(other, f"@{index.folder}/collections/best.json")
    assert [one.tolist() for one in masks or ()] == [[True, True, False, False], [False] * 3]
    assert capsys.readouterr().err.startswith("ffmem: best was made with another text, cd.txt, not ef.txt")
    assert among(index, "@best") is not None and capsys.readouterr().err == ""


def test_an_answer_is_kept_only_where_a_name_is_given(index: Index, capsys: pytest.CaptureFixture[str]) -> None:
    answer = queries.cells(index, sort="max", limit=2)
    keep(index, None, "cells", {"sort": "max", "limit": 2}, answer)
    assert Collections(index).names() == [] and capsys.readouterr() == ("", "")
    keep(index, "best", "cells", {"sort": "max", "limit": 2}, answer)
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "ffmem: saved as the collection best: 2 cells\n")
    assert [str(one) for one in Collections(index).load("best").collection.cells] == ["L0.0", "L0.3"]


def test_a_collection_in_a_change_is_each_of_its_cells_in_its_own_model_only(index: Index) -> None:
    keep(index, "best", "cells", {"limit": 2}, queries.cells(index, limit=2))
    model: Any = SimpleNamespace(weights_hash=lambda: "ab", facts=SimpleNamespace(name="made"))
    assert expand_changes(["L1.0*2", "@best*0"], model, index) == ["L1.0*2", "L0.0*0", "L0.1*0"]
    path = index.folder / "collections" / "best.json"
    other: Any = SimpleNamespace(weights_hash=lambda: "xy", facts=SimpleNamespace(name="other"))
    with pytest.raises(InputError, match=r"is of another model: made.*weights xy, which other is of"):
        expand_changes([f"@{path}*0"], other, None)

    def never() -> str:
        raise AssertionError("weights are hashed only where a collection is named")

    other.weights_hash = never
    assert expand_changes(["L1.0+1@-1"], other, None) == ["L1.0+1@-1"]


def test_cells_of_an_answer_join_a_collection(index: Index, capsys: pytest.CaptureFixture[str]) -> None:
    keep_cells(index, None, [(CellId(0, 1), 1.0)])
    assert Collections(index).names() == []
    keep_cells(index, "mine", [(CellId(0, 1), 2.0), (CellId(1, 2), -1.0), (CellId(0, 1), 5.0)])
    assert capsys.readouterr().err == "ffmem: 2 cells are in the collection mine, which has 2\n"
    keep_cells(index, "mine", [(CellId(0, 3), 2.0)])
    kept = Collections(index).load("mine").collection.items
    assert [(str(one.cell), one.sign) for one in kept] == [("L0.1", 1), ("L0.3", 1), ("L1.2", -1)]
    check_save("mine", str(index.folder))
    with pytest.raises(InputError, match=r"--save mine is given without an index.*Add --index DIR"):
        check_save("mine", "smollm2")
