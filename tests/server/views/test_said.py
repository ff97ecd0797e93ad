"""What people said of cells is found and shown."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from ffmem import Index
from ffmem.server.app import make_app
from ffmem.server.explorer import Explorer
from ffmem.server.opening import open_explorer
from ffmem.server.views.said import Said, masks_of, said_of_cells
from ffmem.store.collection_files import Collections
from ffmem.store.collections import Collection, Item, Note
from tests.server.conftest import HTML


@pytest.fixture
def explorer(index_of: Callable[[str], Index], tmp_path: Path) -> Explorer:
    shutil.copytree(index_of("gpt2").folder, tmp_path / "i")
    explorer = open_explorer(tmp_path / "i", with_model=False)
    index, collections = explorer.index, Collections(explorer.index)
    items = (
        Item(index.cell_id("L1.3"), notes=(Note("ada", "Ships at <sea>"), Note("", "or rivers")), tags=("water",)),
        Item(index.cell_id("L2.5"), notes=(Note("bo", "not the SEA at all"),)),
    )
    collections.change("wet", lambda _: Collection("wet", collections.origin, items))
    return explorer


def test_notes_and_tags_are_found_by_their_words(explorer: Explorer) -> None:
    found = said_of_cells(explorer, "sea")
    assert {str(cell): said for cell, said in found.items()} == {
        "L1.3": (Said("Ships at <sea>", "ada", "wet"),),
        "L2.5": (Said("not the SEA at all", "bo", "wet"),),
    }
    assert [len(said) for said in said_of_cells(explorer, "*").values()] == [3, 1]
    assert [mask.nonzero()[0].tolist() for mask in masks_of(explorer, found)] == [[], [3], [5]]


def test_the_page_shows_what_was_said_and_a_trigger(explorer: Explorer) -> None:
    client = TestClient(make_app(explorer), base_url="http://localhost")
    told = client.get("/search.json", params={"q": "said:ships in:wet"}).json()
    (hit,) = told["cells"]
    assert hit["cell"] == "L1.3" and hit["said"][0]["author"] == "ada"
    assert hit["example"]["text"] == explorer.index.cell("L1.3").triggers[0].text
    page = client.get("/search", params={"q": "said:ships"}, headers=HTML).text
    assert "Ships at &lt;sea&gt;" in page and "<sea>" not in page and "<b><bdi>ada</bdi></b>" in page
