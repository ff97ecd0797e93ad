"""What a cell is called, over HTTP: told, written by a form without scripts, refused where it has to be."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.testclient import TestClient

import ffmem
from ffmem import Index
from ffmem.ids import CellId
from ffmem.server.app import make_app
from ffmem.server.opening import open_explorer
from ffmem.store.label_rows import NewLabel, Score
from tests.server.conftest import HTML
from tests.server.page import Element, assert_sound

CELL = CellId(0, 3)


@pytest.fixture
def index(index_of: Callable[[str], Index], tmp_path: Path) -> Index:
    shutil.copytree(
        index_of("llama").folder, tmp_path / "index", ignore=shutil.ignore_patterns("labels.*", "annotations")
    )
    return ffmem.open_index(tmp_path / "index")


@pytest.fixture
def client(index: Index) -> TestClient:
    return TestClient(make_app(open_explorer(index.folder, with_model=False)), base_url="http://localhost")


def shown(client: TestClient, address: str = "/cells/L0.3") -> Element:
    return assert_sound(client.get(address, headers=HTML).text)


def filled(form: Element, **changed: str) -> dict[str, str]:
    """The fields of a form as a browser would send them."""
    fields = form.all("input")
    return {one.attributes["name"]: one.attributes.get("value", "") for one in fields} | changed


def forms(page: Element, class_: str) -> list[Element]:
    return page.all("form", class_=class_)


def test_a_form_names_rejects_and_settles(client: TestClient, index: Index) -> None:
    positive, negative = forms(shown(client), "name-it")
    sent = filled(positive, text="old rivers", note="by the bank", tags="water, wet", author="ann", do="say")
    answer = client.post("/cells/L0.3/name", data=sent, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/cells/L0.3#named")
    client.post("/cells/L0.3/name", data=filled(negative, text="dry", do="say"))
    assert [str(one) for one in index.names.of_cell(CELL)] == ["old rivers (by hand)", "negative: dry (by hand)"]
    page = shown(client)
    assert [one.words for one in page.all("span", class_="called")] == ["old rivers by hand", "negative: dry by hand"]
    first, _ = page.all("table", class_="said")
    assert [one.words for one in first.one("tbody").all("bdi")] == ["old rivers", "by the bank", "water", "wet", "ann"]
    judge = forms(first, "judge")[0]
    client.post("/cells/L0.3/name", data=filled(judge, do="reject"))
    assert index.names.name(CELL) is None and "rejected by me" in shown(client).all("table", class_="said")[0].words
    client.post("/cells/L0.3/name", data=filled(forms(shown(client), "judge")[0], do="unreject"))
    client.post("/cells/L0.3/name", data=filled(forms(shown(client), "judge")[0], do="settle"))
    assert str(index.names.name(CELL)) == "old rivers (settled)"
    told = client.get("/cells/L0.3/name.json").json()
    assert [one["what"] for one in told["events"]] == ["reject", "unreject", "adjudicate"]
    assert told["labels"][0]["tags"] == ["water", "wet"] and told["name"]["mark"] == "settled"
    whole = client.get("/cells/L0.3.json").json()
    assert [one["text"] for one in whole["names"]] == ["old rivers", "dry"] and whole["said"][0]["labels"] == told[
        "labels"
    ]


def test_who_comes_late_is_told_and_loses_nothing(client: TestClient, index: Index) -> None:
    form = forms(shown(client), "name-it")[0]
    client.post("/cells/L0.3/name", data=filled(form, text="first", do="say"))
    late = client.post("/cells/L0.3/name", data=filled(form, text="second", author="bob", do="say"), headers=HTML)
    page = assert_sound(late.text)
    assert late.status_code == 409 and "Not saved" in page.one("p", class_="problem").words
    again = forms(page, "name-it")[0]
    assert filled(again)["text"] == "second" and filled(again)["author"] == "bob"
    client.post("/cells/L0.3/name", data=filled(again, do="say"))
    assert str(index.names.name(CELL)) == "second / first (by hand, differing)"


@pytest.mark.parametrize(
    ("sent", "problem"),
    [
        ({"text": "x" * 61}, "the name of L0.3"),
        ({"text": "a\nb"}, "the name of L0.3"),
        ({"text": ""}, "the name of L0.3"),
        ({"text": "x", "sign": "7"}, "sign 7"),
        ({"text": "x", "sign": "one"}, "sign is 'one'"),
        ({"do": "burn"}, "asks to 'burn'"),
        ({"do": "reject", "label": "99"}, "99 is no label"),
        ({"text": "x", "author": "a" * 61}, "the author has"),
    ],
)
def test_what_is_refused_comes_back_in_the_form(
    client: TestClient, index: Index, sent: dict[str, str], problem: str
) -> None:
    answer = client.post("/cells/L0.3/name", data={"sign": "1", "revision": "0.0", "do": "say"} | sent, headers=HTML)
    assert answer.status_code == 400 and problem in assert_sound(answer.text).one("p", class_="problem").words
    answer = client.post("/cells/L0.3/name.json", json={"sign": 1, "revision": "0.0", "do": "say"} | sent)
    assert answer.status_code == 400 and problem in answer.json()["error"]["message"]
    assert list(index.names.all_labels()) == []


def test_over_json(client: TestClient) -> None:
    body = {"do": "say", "sign": -1, "text": "dry", "tags": ["a", "b"], "revision": "0.0"}
    answer = client.post("/cells/L0.3/name.json", json=body)
    assert answer.json()["name"] | {"score": None} == answer.json()["name"] and answer.json()["name"]["text"] == "dry"
    assert answer.json()["labels"][0]["tags"] == ["a", "b"]
    late = client.post("/cells/L0.3/name.json", json=body)
    assert late.status_code == 409 and late.json()["error"]["kind"] == "Conflict"
    assert client.post("/cells/L9.9/name.json", json=body).status_code == 404


def test_nobody_else_writes(index: Index) -> None:
    reading = TestClient(
        make_app(open_explorer(index.folder, with_model=False, read_only=True)), base_url="http://localhost"
    )
    assert not reading.get("/cells/L0.3", headers=HTML).text.count('<form class="filters name-it"')
    sent = {"text": "x", "sign": "1", "revision": "0.0"}
    assert "read-only" in reading.post("/cells/L0.3/name", data=sent, headers=HTML).text
    writing = TestClient(make_app(open_explorer(index.folder, with_model=False)), base_url="http://localhost")
    for headers in ({"origin": "http://evil.example"}, {"sec-fetch-site": "cross-site"}, {"host": "evil.example"}):
        assert writing.post("/cells/L0.3/name", data=sent, headers=headers).status_code in (403, 421)
    assert list(index.names.all_labels()) == []


def test_names_stand_in_lists_at_once_and_guesses_do_not(client: TestClient, index: Index) -> None:
    before = client.get("/cells.json?layer=L0&limit=200").json()["rows"]
    assert all(row["name"] is None for row in before)
    scores = [[Score("f1", 0.5, 0.4, 0.6, 20)], []]
    index.names.add(
        [
            NewLabel(CELL, 1, "rule", "fires on 'x'", "token", {"topic": "water"}, grade="B"),
            NewLabel(CellId(0, 4), 1, "lm", "a guess", author="m"),
        ],
        scores,
    )
    rows = {row["cell"]: row["name"] for row in client.get("/cells.json?layer=L0&limit=200").json()["rows"]}
    assert rows["L0.3"]["text"] == "fires on 'x'" and rows["L0.3"]["mark"] == "rule B" and rows["L0.4"] is None
    assert [one.words for one in shown(client, "/cells?layer=L0&limit=200").all("span", class_="called")] == [
        "fires on 'x' rule B"
    ]
    assert "guess, lm" in shown(client, "/cells/L0.4").words
    for asked in ("named:x", "label:fires", "topic:water", "source:rule", "grade:b", 'named:"fires on" layer:0'):
        found = client.get("/search.json", params={"q": asked}).json()
        assert [one["cell"] for one in found["cells"]] == ["L0.3"] and found["n_cells"] == 1, asked
        assert (
            "fires on 'x' rule B" in assert_sound(client.get("/search", params={"q": asked}, headers=HTML).text).words
        )
    wrong = client.get("/search.json", params={"q": "grade:F"}).json()
    assert "the grade of a name is 'F'" in wrong["problem"] and wrong["cells"] == []


def test_the_blind_protocol_stays_blind(client: TestClient, index: Index) -> None:
    zebra = {"author": "zebra", "note": "zebra", "tags": ("zebra",)}
    labels = [
        NewLabel(index.cells.cell_id(place, row), sign, "human", "zebra crossing", **zebra)  # type: ignore[arg-type]
        for place, layer in enumerate(index.cells.layers)
        for row in range(layer.n_cells)
        for sign in (1, -1)
    ]
    index.names.add(labels)
    client.post("/annotate", data={"name": "b", "per_layer": 2, "triggers": 5, "seed": 3})
    addresses = [
        "/annotate",
        "/annotate.json",
        "/annotate/b/ann/1",
        "/annotate/b/ann/2.json",
        "/annotate/b/adjudicated/1",
    ]
    body = {"revision": 0, "patterns": [{"text": "water", "class": "semantic"}], "marks": [[1]] * 5, "done": True}
    client.put("/annotate/b/ann/1.json", json=body)
    for address in [*addresses, "/annotate/export.json", "/annotate/export.csv"]:
        answer = client.get(address, headers=HTML)
        assert answer.status_code == 200 and "zebra" not in answer.text, address
    assert "zebra" in client.get("/cells", headers=HTML).text
