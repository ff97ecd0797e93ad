"""What lists and tables of the other pages give away."""

import shutil
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from ffmem import Index
from ffmem.errors import InputError
from ffmem.names.collections import adding
from ffmem.server.app import make_app
from ffmem.server.explorer import Explorer
from ffmem.server.opening import open_explorer
from ffmem.server.taken.of_lists import (
    annotated_labels,
    check_found,
    claims,
    items,
    numbers,
    sentence_cells,
    sentence_tokens,
)
from ffmem.server.taken.taking import Taken
from ffmem.server.views.annotate import annotations_view
from ffmem.server.views.collections import collection_view, kept_collection
from ffmem.server.views.figures import figures_view
from ffmem.server.views.sentence import sentence_view
from ffmem.store.collection_files import Collections
from ffmem.store.collections import Item, Note
from tests.server.conftest import HTML
from tests.server.files import marks_of, numbers_of, table_of
from tests.server.page import assert_sound


def test_nothing_is_no_file() -> None:
    with pytest.raises(InputError, match="no 'heads' here to take away"):
        check_found(Taken("heads", ("a",), ()))


def test_numbers_and_claims_of_a_study_are_those_of_its_page(explained: Explorer) -> None:
    view = figures_view(explained)
    assert view.report is not None
    rows = table_of(numbers(view).file("csv"))
    expected = [(one.quantity, one.ours, one.low) for _, one in view.report.numbers]
    assert numbers_of(rows, "quantity", "here", "low") == [
        (name, ours if ours == ours else None, low) for name, ours, low in expected
    ]
    assert [(row["statement"], row["verdict"]) for row in claims(view).rows] == [
        (one.statement, one.verdict) for _, one in view.report.claims
    ]


def test_tokens_of_a_sentence_count_its_cells(explained: Explorer) -> None:
    found = next(
        view for number in range(20) if (view := sentence_view(explained, number)).n_cells and view.n_cells <= 500
    )
    rows = sentence_cells(found).rows
    assert len(rows) == found.n_cells == sum(row["n_cells"] for row in sentence_tokens(found).rows)
    for row in rows[:5]:
        assert row["token"] == found.tokens[row["token_number"]]
        at = [one for one in explained.index.cell(str(row["cell"])).triggers if one.sentence_id == found.sentence_id]
        assert row["coefficient"] in [one.coefficient for one in at]


def test_labels_by_layer_are_those_of_the_table(explained_index: Index, tmp_path: Path) -> None:
    shutil.copytree(explained_index.folder, tmp_path / "index")
    explorer = open_explorer(tmp_path / "index", with_model=False)
    client = TestClient(make_app(explorer), base_url="http://localhost")
    client.post("/annotate", data={"name": "b", "per_layer": 2, "triggers": 5})
    body = {
        "revision": 0,
        "patterns": [{"text": "water", "class": "semantic"}],
        "marks": [[1]] * 4 + [[]],
        "done": True,
    }
    for number in (1, 2, 3):
        assert client.put(f"/annotate/b/ann/{number}.json", json=body).status_code == 200
    taken = annotated_labels(annotations_view(explorer))
    page = assert_sound(client.get("/annotate", headers=HTML).text)
    table = page.one("section", aria_labelledby="labels").one("details").rows()
    assert [row[0] for row in table] == [row["layer"] for row in taken.rows]
    assert [row[3].split(" %")[0] for row in table] == [f"{100 * row['semantic']:.3g}" for row in taken.rows]
    shares = {
        (one["category"], one["series"]): one["number"] for one in marks_of(taken.file("svg")) if "by people" in one
    }
    assert float(shares["all", "semantic"]) == pytest.approx(taken.rows[0]["semantic"])


def test_items_of_a_collection_keep_their_notes(explained_index: Index, tmp_path: Path) -> None:
    shutil.copytree(explained_index.folder, tmp_path / "index")
    explorer = open_explorer(tmp_path / "index", with_model=False)
    collections = Collections(explorer.index)
    cell = explorer.index.cell_id("L1.3")
    item = Item(cell, 1, (Note("ann", 'wet, "very"'), Note("", "=cold")), ("river", "sea"))
    collections.change("water", adding("water", collections.origin, [item]))
    row = table_of(items(collection_view(explorer, kept_collection(explorer, "water"), 10)).file("csv"))[0]
    assert (row["cell"], row["sign"], row["tags"]) == ("L1.3", "1", "river sea")
    assert row["notes"] == '\'=cold; ann: wet, "very"'  # no spreadsheet runs it
