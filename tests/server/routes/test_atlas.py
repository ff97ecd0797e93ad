"""The picture of all cells over HTTP: its page, its points, and an outline that becomes a collection."""

from pathlib import Path

import numpy as np
import pytest
from starlette.testclient import TestClient

from ffmem import Index
from ffmem.names.collection_queries import as_typed, refresh
from ffmem.queries.atlas.points import cells_within
from ffmem.server.app import make_app
from ffmem.server.explorer import Explorer
from ffmem.store.collection_files import Collections
from tests.fixtures.collected import collected_index
from tests.queries.atlas.made import with_atlas
from tests.server.conftest import HTML
from tests.server.files import table_of
from tests.server.page import assert_sound


@pytest.fixture
def index(tmp_path: Path) -> Index:
    return collected_index(tmp_path / "index")


@pytest.fixture
def client(index: Index) -> TestClient:
    return TestClient(make_app(Explorer(index)), base_url="http://localhost", follow_redirects=False)


def test_points_colours_and_marks_are_arrays_in_one_order(client: TestClient, index: Index) -> None:
    places = with_atlas(index).positions
    n = index.n_cells
    data = client.get("/atlas/points.bin").content
    np.testing.assert_array_equal(np.frombuffer(data, "<f4", 2 * n).reshape(n, 2), places)
    assert np.frombuffer(data, "<u4", offset=8 * n).tolist() == list(range(n))
    assert list(client.get("/atlas/colour.bin?colour=layer").content) == [0] * 4 + [254] * 3
    assert list(client.get("/atlas/found.bin?q=L0.2").content) == [0, 0, 1, 0, 0, 0, 0]
    in_order = client.get("/atlas/points.bin?by=order").content
    assert len(in_order) == 12 * n and in_order != data


def test_the_page_reads_without_a_script(client: TestClient, index: Index) -> None:
    with_atlas(index)
    page = assert_sound(client.get("/atlas?within=0,0,1.1,1.1&q=river", headers=HTML).text)
    words = page.one("main").words
    assert "50 % of a cell's 2 nearest cells are among its 2 nearest here; with all places shuffled 12.5 %" in words
    assert "How far two groups lie apart, how large a group is and which way is up mean nothing" in words
    assert "7 cells in the outline" in words and "Add all 7" in words
    cells = {f"L0.{i}" for i in range(4)} | {f"L1.{i}" for i in range(3)}
    assert {one.text for one in page.by_id("chosen").all("a")} == cells | {"CSV", "JSON"}
    rows = table_of(client.get("/atlas.csv", params={"within": "0,0,1.1,1.1"}).content)
    assert {one["cell"] for one in rows} == cells
    assert len(page.by_id("atlas").one("svg").all("path")) >= 5
    squares = page.all("a", class_="square")
    listed = [client.get(one.attributes["href"].replace("/atlas?", "/atlas.json?")).json()["chosen"] for one in squares]
    assert sum(one["n_cells"] for one in listed) == 7
    plain = assert_sound(client.get("/atlas?by=order", headers=HTML).text)
    assert "a row for each layer" in plain.one("main").words


def test_a_point_tells_of_its_cell(client: TestClient) -> None:
    told = client.get("/atlas/cell.json?number=4").json()
    assert (told["cell"] == "L1.0" and told["text"] == ["the wind ", "", ""]) or told["text"][1]
    assert client.get("/atlas/cell.json?number=6").json()["text"] is None  # never active
    assert client.get("/atlas/cell.json?number=7").status_code == 400


def test_an_outline_becomes_a_collection_and_a_query(client: TestClient, index: Index) -> None:
    with_atlas(index)
    fields = {"by": "triggers", "within": "0,0,0.6,1.1", "name": "left"}
    answer = client.post("/atlas/collection", data=fields)
    assert (answer.status_code, answer.headers["location"]) == (303, "/collections/left")
    kept = Collections(index).load("left").collection
    expected = cells_within(index, "triggers", fields["within"])
    assert list(kept.cells) == expected and 0 < len(expected) < index.n_cells
    assert as_typed(kept.query) == "ffmem atlas DIR --by triggers --within 0,0,0.6,1.1"
    assert refresh(index, kept).n_same == len(expected)
    more = client.post("/atlas/collection", data=fields | {"within": "0,0,1.1,1.1"})
    assert more.status_code == 303 and len(Collections(index).load("left").collection.items) == index.n_cells


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"name": "x", "by": "taste", "within": "0,0,1,1"}, "the picture is 'taste'"),
        ({"name": "X Y", "by": "order", "within": "0,0,1,1"}, "is not a valid name"),
        ({"name": "x", "by": "order", "within": "5,5,6,6"}, "0 cells are in it"),
        ({"name": "x", "by": "order", "within": "?"}, "is no outline"),
        ({"name": "x", "by": "keys", "within": "0,0,1,1"}, "there is no picture"),
        ({}, "the picture is ''"),
    ],
)
def test_what_a_form_cannot_ask(client: TestClient, index: Index, fields: dict[str, str], told: str) -> None:
    answer = client.post("/atlas/collection", data=fields)
    assert answer.status_code == 400 and told in answer.json()["error"]["message"]
    assert not Collections(index).names()


def test_a_read_only_explorer_keeps_nothing(index: Index) -> None:
    client = TestClient(make_app(Explorer(index, read_only=True)), base_url="http://localhost")
    answer = client.post("/atlas/collection", data={"by": "order", "within": "0,0,1,1", "name": "x"})
    assert answer.status_code == 400
    assert "Keep them" not in client.get("/atlas?within=0,0,1,1", headers=HTML).text
