"""Collections beside an index: whole or as before, of this model only; and what `@NAME` stands for."""

import json
import threading
from pathlib import Path

import pytest

import ffmem
from ffmem import Index
from ffmem.errors import InputError, StoreError
from ffmem.ids import CellId
from ffmem.names.collections import adding
from ffmem.store.collection_cells import selected
from ffmem.store.collection_files import Changed, Collections, other_text
from ffmem.store.collections import Item, format_collection
from tests.fixtures.collected import collected_index, put


@pytest.fixture
def index(tmp_path: Path) -> Index:
    return collected_index(tmp_path / "index")


def test_what_was_kept_is_there_and_its_file_is_whole(index: Index) -> None:
    kept = put(index, "water", "L1.0", "L0.2", "-L0.2", note="wet")
    path = index.folder / "collections" / "water.json"
    assert path.read_text() == format_collection(kept.collection)
    assert json.loads(path.read_text())["index"]["weights_sha256"] == "ab"
    again = Collections(ffmem.open_index(index.folder))
    assert again.names() == ["water"] and again.load("water") == kept
    assert [str(one) for one in again.load("water").collection.cells] == ["L0.2", "L1.0"]
    before = path.stat().st_mtime_ns
    assert put(index, "water", "L1.0").revision == kept.revision and path.stat().st_mtime_ns == before
    assert {one.name for one in path.parent.iterdir()} == {".lock", "water.json"}


def test_a_change_names_what_it_was_made_on(index: Index) -> None:
    collections = Collections(index)
    first = collections.change("a", adding("a", collections.origin, [Item(CellId(0, 0))]), "")
    assert first is not None
    second = collections.change("a", adding("a", collections.origin, [Item(CellId(0, 1))]), first.revision)
    assert second is not None and second.revision != first.revision
    for revision in ("", first.revision):
        with pytest.raises(Changed) as refused:
            collections.change("a", lambda _: None, revision)
        assert refused.value.current == second
    assert collections.change("a", lambda _: None, second.revision) is None and collections.names() == []
    with pytest.raises(Changed) as refused:
        collections.change("a", lambda before: before, second.revision)
    assert refused.value.current is None


def test_many_who_add_at_a_time_lose_nothing(index: Index) -> None:
    cells = [CellId(0, n) for n in range(4)] + [CellId(1, n) for n in range(3)]

    def add(cell: CellId) -> None:
        collections = Collections(index)
        collections.change("all", adding("all", collections.origin, [Item(cell)]))

    threads = [threading.Thread(target=add, args=(one,)) for one in cells]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert Collections(index).load("all").collection.cells == tuple(cells)


def test_what_the_index_does_not_have_is_refused_and_nothing_is_written(index: Index, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cell L0\.4 does not exist"):
        put(index, "a", "L0.0", "L0.4")
    plain = collected_index(tmp_path / "plain", gated=False)
    with pytest.raises(InputError, match=r"L0\.0 has sign -1 in the collection a\. Expected 1"):
        put(plain, "a", "-L0.0")
    assert Collections(index).names() == Collections(plain).names() == []
    for name in ("../x", "", "con"):
        with pytest.raises(InputError, match="valid name"):
            put(index, name, "L0.0")
    assert not (index.folder.parent / "x.json").exists()


def test_another_text_is_said_and_another_model_is_refused(index: Index, tmp_path: Path) -> None:
    put(index, "water", "L0.0")
    file = index.folder / "collections" / "water.json"
    same, text, model = (
        collected_index(tmp_path / name, **changed)
        for name, changed in (("same", {}), ("text", {"corpus": "ef"}), ("model", {"weights": "xy"}))
    )
    assert other_text(Collections(same).find(str(file)), Collections(same).origin) == ""
    told = other_text(Collections(text).find(str(file)), Collections(text).origin)
    assert told.startswith("water was made with another text, cd.txt, not ef.txt")
    with pytest.raises(
        InputError, match=r"the collection water is of another model: made, weights ab\. Expected weights xy"
    ):
        Collections(model).find(str(file))
    (model.folder / "collections").mkdir()
    (model.folder / "collections" / "water.json").write_bytes(file.read_bytes())
    with pytest.raises(InputError, match="of another model"):
        Collections(model).load("water")
    with pytest.raises(InputError, match="of another model"):
        selected(model, "@water")


def test_names_of_folders_need_not_be_text(tmp_path: Path) -> None:
    index = collected_index(tmp_path / "index", corpus="half \udcff")
    assert put(index, "a", "L0.0").collection.origin.corpus == "half \\udcff.txt"
    assert Collections(index).load("a").collection.cells == (CellId(0, 0),)


def test_files_that_are_none_are_told_and_never_written_over(index: Index) -> None:
    put(index, "good", "L0.0")
    folder = index.folder / "collections"
    (folder / "bad.json").write_text("{")
    (folder / "moved.json").write_bytes((folder / "good.json").read_bytes())
    (folder / "Nobody's.json").write_text("{}")
    (folder / "folder.json").mkdir()
    collections = Collections(index)
    assert collections.names() == ["bad", "good", "moved"]
    for name, told in (
        ("bad", "is no collection, or is damaged"),
        ("moved", "is called 'good'. Expected a file that has the"),
    ):
        with pytest.raises(StoreError, match=told):
            collections.load(name)
    with pytest.raises(StoreError):
        put(index, "bad", "L0.0")
    assert (folder / "bad.json").read_text() == "{"
