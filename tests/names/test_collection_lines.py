"""What an index knows of the cells of a collection, against the tables that it was made from; and the files for others."""

import csv
import io
import json
from pathlib import Path

import pytest

from ffmem import Index
from ffmem.errors import InputError
from ffmem.ids import CellId
from ffmem.names.collection_lines import ROWS, Form, export_collection, lines_of
from ffmem.store.collections import Collection, Item, Note, Origin
from ffmem.store.label_rows import NewLabel
from tests.fixtures.collected import collected_index

ITEMS = (
    Item(CellId(0, 3), 1, (Note("ann", "=1+1"), Note("bob", "rivers, \"and\"\nmore")), ("wet", "a+b")),
    Item(CellId(0, 3), -1),
    Item(CellId(1, 2)),
    Item(CellId(5, 0), 1, (Note("", "gone"),)),
)  # fmt: skip


@pytest.fixture
def index(tmp_path: Path) -> Index:
    return collected_index(tmp_path / "index")


def test_a_line_says_what_the_tables_say(index: Index) -> None:
    up, down, never, gone = lines_of(index, ITEMS)
    words = index.text.vocabulary
    assert (up.fires_on, up.strongest, up.active_fraction) == ("river ", 5.0, 2 / 8)
    assert (down.fires_on, down.strongest) == ("river ", -2.0)
    assert up.promotes == tuple(words[:2]) and down.promotes == tuple(reversed(words[:2]))
    assert (never.here, never.fires_on, never.strongest, never.active_fraction) == (True, None, None, 0.0)
    assert (gone.here, gone.promotes, gone.notes) == (False, (), "gone")
    assert up.notes == 'ann: =1+1\nbob: rivers, "and"\nmore'


def test_names_of_cells_stand_beside_them(index: Index) -> None:
    index.names.add([NewLabel(CellId(0, 3), -1, "human", "<b>rivers</b>", author="ann")])
    lines = list(lines_of(index, ITEMS))
    assert [one.name and one.name.text for one in lines] == [None, "<b>rivers</b>", None, None]
    assert lines[1].name == index.names.name(CellId(0, 3), -1)


def made(index: Index, n: int = 4) -> Collection:
    return Collection("water", Origin.of(index), ITEMS[:n], "wet cells")


def test_a_table_is_the_same_in_every_form(index: Index, tmp_path: Path) -> None:
    files: dict[Form, Path] = {form: tmp_path / f"a.{form}" for form in ("csv", "json", "parquet")}
    for form, path in files.items():
        assert export_collection(index, made(index), path, form, "m", "-mlp") == 4
    found = json.loads(files["json"].read_text())
    assert (found["name"], found["description"], found["index"]["model"]) == ("water", "wet cells", "made")
    rows = found["items"]
    assert [list(one) for one in rows] == [[column.name for column in ROWS.columns]] * 4
    assert [(one["cell"], one["sign"], one["layer"], one["index"]) for one in rows] == [
        ("L0.3", 1, 0, 3), ("L0.3", -1, 0, 3), ("L1.2", 1, 1, 2), ("L5.0", 1, 5, 0),
    ]  # fmt: skip
    pq = pytest.importorskip("pyarrow.parquet", reason="needs the extra parquet")
    table = pq.read_table(files["parquet"])
    assert table.to_pylist() == rows
    about = json.loads(table.schema.metadata[b"ffmem.collection"])
    assert about["name"] == "water" and about["items"] == 4
    text = files["csv"].read_bytes()
    assert text.startswith(b"\xef\xbb\xbf")
    read = list(csv.DictReader(io.StringIO(text.decode("utf-8-sig"))))
    assert [one["notes"] for one in read] == ['ann: =1+1\nbob: rivers, "and"\nmore', "", "", "gone"]
    assert [(one["active_fraction"], one["expert"]) for one in read][-1] == ("", "")


def test_a_spreadsheet_runs_no_note(index: Index, tmp_path: Path) -> None:
    items = (Item(CellId(0, 0), 1, (Note("", '=HYPERLINK("x")'),)),)
    export_collection(index, Collection("a", Origin.of(index), items), tmp_path / "a.csv", "csv", "m", "")
    (row,) = csv.DictReader(io.StringIO((tmp_path / "a.csv").read_bytes().decode("utf-8-sig")))
    assert row["notes"] == '\'=HYPERLINK("x")'


def test_a_list_of_neuronpedia(index: Index, tmp_path: Path) -> None:
    index.names.add([NewLabel(CellId(1, 2), 1, "human", "silence", author="ann")])
    export_collection(index, made(index, 3), tmp_path / "a.json", "neuronpedia", "gpt2-small", "-mlp")
    mark = index.names.name(CellId(1, 2)).mark  # type: ignore[union-attr]
    assert json.loads((tmp_path / "a.json").read_text()) == {
        "name": "water",
        "description": "wet cells",
        "items": [
            {"modelId": "gpt2-small", "layer": "0-mlp", "index": "3", "description": '=1+1; rivers, "and"\nmore'},
            {"modelId": "gpt2-small", "layer": "0-mlp", "index": "3", "description": "sign -1"},
            {"modelId": "gpt2-small", "layer": "1-mlp", "index": "2", "description": f"silence ({mark})"},
        ],
    }
    for cell, what in (
        (CellId(0, 0, expert=1), "an expert"),
        (CellId(0, 0, stack="dec"), "an encoder-decoder"),
        (CellId(0, 0, dictionary="tc"), "a dictionary"),
    ):
        strange = Collection("a", Origin.of(index), (Item(cell),))
        with pytest.raises(InputError, match=f"is a cell of {what}"):
            export_collection(index, strange, tmp_path / "b.json", "neuronpedia", "m", "")
    assert not (tmp_path / "b.json").exists()
    with pytest.raises(InputError, match="--form is 'xlsx'"):
        export_collection(index, made(index), tmp_path / "b.xlsx", "xlsx", "m", "")  # type: ignore[arg-type]
