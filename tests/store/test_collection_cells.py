"""What @NAME stands for: the cells of a collection, in a selection and in a change."""

from pathlib import Path

import numpy as np
import pytest

from ffmem import Index
from ffmem.errors import InputError
from ffmem.ids import CellId
from ffmem.store.collection_cells import cells_of, changes_of, selected, without_collections
from ffmem.store.collection_files import Collections
from ffmem.store.collections import Collection
from tests.fixtures.collected import collected_index, put


@pytest.fixture
def index(tmp_path: Path) -> Index:
    return collected_index(tmp_path / "index")


def test_a_name_that_is_not_there_lists_those_that_are(index: Index) -> None:
    with pytest.raises(InputError, match=r"no collection 'wind' beside .*Expected a collection, and there is none yet"):
        selected(index, "@wind")
    put(index, "water", "L0.0")
    put(index, "fire", "L0.1")
    with pytest.raises(InputError, match=r"no collection 'wind' beside .*\. Expected one of: fire, water\."):
        selected(index, "L0,@wind")
    with pytest.raises(InputError, match=r"there is no file .*/gone\.json"):
        selected(index, f"@{index.folder}/gone.json")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("@water", ["L0.2", "L1.0"]),
        ("@water,@fire", ["L0.1", "L0.2", "L1.0"]),
        ("L1.1-2 @fire", ["L0.1", "L1.1", "L1.2"]),
        ("L1,@water", ["L0.2", "L1.0", "L1.1", "L1.2"]),
    ],
)
def test_a_selection_is_its_cells(text: str, expected: list[str], index: Index) -> None:
    put(index, "water", "L1.0", "-L0.2", "L0.2")
    put(index, "fire", "L0.1")
    masks = selected(index, text)
    assert [str(one) for one in cells_of(index, masks)] == expected
    assert [len(one) for one in masks] == [4, 3] and all(one.dtype == np.bool_ for one in masks)
    path = index.folder / "collections" / "water.json"
    assert cells_of(index, selected(index, f"@{path}")) == [CellId(0, 2), CellId(1, 0)]


def test_an_index_of_some_cells_has_those_and_no_others(tmp_path: Path) -> None:
    from tests.fixtures.made_index import Document, Layer, make_index

    some = make_index(
        tmp_path / "some",
        [Document((("a", "b"),))],
        [Layer([[1, 2], [3, 4]]), Layer([[1, 2], [3, 4]])],
        kept={"L0": "0-1", "L1": "0-1"},
    )
    assert [str(one) for one in cells_of(some, selected(some, "L1.1"))] == ["L1.1"]
    with pytest.raises(InputError, match="the model does not have"):
        selected(some, "L2")


def test_a_selection_without_collections_is_the_same_cells(index: Index) -> None:
    put(index, "water", "L1.0", "L1.1", "L0.2")
    assert without_collections("@water,1%", "ab", "made", index) == "L0.2,L1.0-1,1%"
    path = index.folder / "collections" / "water.json"
    assert without_collections(f"@{path}", "ab", "made") == "L0.2,L1.0-1"
    with pytest.raises(InputError, match="is of another model"):
        without_collections(f"@{path}", "xy", "another")
    with pytest.raises(InputError, match=r"@water is the name of a collection, and no index is known here"):
        without_collections("@water", "ab", "made")
    Collections(index).change("none", lambda _: Collection("none", Collections(index).origin))
    with pytest.raises(InputError, match="these collections are empty"):
        without_collections("@none", "ab", "made", index)


def test_a_change_of_a_collection_changes_each_of_its_cells(index: Index) -> None:
    put(index, "water", "L1.0", "-L0.2", "L0.2")
    assert changes_of("@water*0", "ab", "made", index) == ["L0.2*0", "L1.0*0"]
    assert changes_of("@water + 1@-1", "ab", "made", index) == ["L0.2+1@-1", "L1.0+1@-1"]
    assert changes_of("L0.2=5@-1", "ab", "made", None) == ["L0.2=5@-1"]
    with pytest.raises(InputError, match="Expected one of: water"):
        changes_of("@fire*0", "ab", "made", index)
