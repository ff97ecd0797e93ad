"""Collections over HTTP: kept, told, and refused where they have to be."""

import json
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from ffmem import Index
from ffmem.ids import CellId
from ffmem.server.app import make_app
from ffmem.server.explorer import Explorer
from ffmem.server.sharing.settings import Sharing
from ffmem.server.sharing.tokens import Tokens
from ffmem.store.collection_files import Collections
from ffmem.store.collections import Item, Note, parse_collection
from tests.fixtures.collected import collected_index
from tests.server.conftest import HTML
from tests.server.page import assert_sound


@pytest.fixture
def index(tmp_path: Path) -> Index:
    return collected_index(tmp_path / "index")


@pytest.fixture
def collecting(index: Index) -> TestClient:
    return TestClient(make_app(Explorer(index)), base_url="http://localhost", follow_redirects=False)


def items_of(index: Index, name: str) -> tuple[Item, ...]:
    path = index.folder / "collections" / f"{name}.json"
    return parse_collection(path.read_bytes(), str(path)).items


def test_a_cell_is_kept_from_its_page(collecting: TestClient, index: Index) -> None:
    page = assert_sound(collecting.get("/cells/L0.3", headers=HTML).text)
    (form,) = [one for one in page.one("main").all("form") if one.attributes["action"] == "/collections"]
    fields = {one.attributes["name"]: one.attributes.get("value", "") for one in form.all("input")}
    assert fields == {"cells": "L0.3", "back": "cell", "name": "", "note": "", "author": "", "tags": ""}
    said = {"name": "water", "sign": "-1", "note": "wet\r\n<b>", "author": "ann", "tags": "t u"}
    answer = collecting.post("/collections", data=fields | said)
    assert (answer.status_code, answer.headers["location"]) == (303, "/cells/L0.3#collections")
    assert items_of(index, "water") == (Item(CellId(0, 3), -1, (Note("ann", "wet\n<b>"),), ("t", "u")),)
    item = {"cell": "L0.3", "notes": [{"author": "ann", "text": "wet\n<b>"}], "sign": -1, "tags": ["t", "u"]}
    assert collecting.get("/cells/L0.3.json").json()["collections"] == [{"name": "water", "items": [item]}]
    page = assert_sound(collecting.get("/cells/L0.3", headers=HTML).text)
    assert page.by_id("collections") and page.one("span", class_="said-note").text == "ann: wet\n<b>"
    assert page.one("a", class_="star").words == "★ in water"
    answer = collecting.post("/collections", data={"name": "more", "cells": "L0.1,-L1.0", "description": "what"})
    assert answer.headers["location"] == "/collections/more"
    assert [(str(one.cell), one.sign) for one in items_of(index, "more")] == [("L0.1", 1), ("L1.0", -1)]


@pytest.mark.parametrize("address", ["/cells?limit=3&sort=index", "/search?q=layer:L0&limit=3&sort=index"])
def test_a_list_is_kept_whole_or_what_is_ticked_of_it(address: str, collecting: TestClient, index: Index) -> None:
    page = assert_sound(collecting.get(address, headers=HTML).text)
    boxes = [one.attributes["value"] for one in page.all("input") if one.attributes.get("form") == "keep"]
    assert len(boxes) == 3 == len(set(boxes))
    (hidden,) = [one.attributes for one in page.by_id("keep").all("input", type="hidden")]
    collecting.post("/collections", data={"name": "all", hidden["name"]: hidden["value"]})
    collecting.post("/collections", data={"name": "some", hidden["name"]: hidden["value"], "cells": boxes[::2]})
    kept = [[f"{'-' * (one.sign < 0)}{one.cell}" for one in items_of(index, name)] for name in ("all", "some")]
    assert [sorted(one) for one in kept] == [sorted(boxes), sorted(boxes[::2])]
    page = assert_sound(collecting.get("/collections/some", headers=HTML).text)
    led = {one.words: one.attributes["href"] for one in page.all("a")}
    found = collecting.get(led["Search in it"].replace("/search", "/search.json")).json()["cells"]
    assert {one["cell"] for one in found} == {one.lstrip("-") for one in boxes[::2]}
    assert led["See where it lies among all cells"] == "/atlas?q=in%3Asome"
    reading = TestClient(make_app(Explorer(index, read_only=True)), base_url="http://localhost")
    page = assert_sound(reading.get(address, headers=HTML).text)
    assert not [one for one in page.all("input") if one.attributes.get("type") == "checkbox"]


def test_pages_and_their_data(collecting: TestClient, index: Index) -> None:
    assert collecting.get("/collections.json").json() == {"rows": []}
    collecting.post("/collections", data={"name": "water", "cells": "L0.1 L1.2", "description": "wet"})
    told = collecting.get("/collections.json").json()["rows"]
    assert [(one["name"], one["n_items"], one["description"]) for one in told] == [("water", 2, "wet")]
    page = assert_sound(collecting.get("/collections", headers=HTML).text)
    assert page.one("table").one("a").attributes["href"] == "/collections/water"
    found = collecting.get("/collections/water.json").json()
    kept = json.loads((index.folder / "collections" / "water.json").read_text())
    assert {name: found[name] for name in kept} == kept
    assert [one["fires_on"] for one in found["lines"]] == ["river ", None]
    page = assert_sound(collecting.get("/collections/water", headers=HTML).text)
    (link,) = [one.attributes["href"] for one in page.all("a") if "cells=" in one.attributes["href"]]
    linked = collecting.get(link.replace("/collections?", "/collections.json?")).json()
    assert linked["items"] == found["items"] and linked["description"] == "wet" and linked["revision"] == ""
    page = assert_sound(collecting.get(link, headers=HTML).text)
    (form,) = page.one("main").all("form")
    fields = {one.attributes["name"]: one.attributes.get("value", "") for one in form.all("input")}
    assert collecting.post("/collections", data=fields | {"name": "copy"}).status_code == 303
    assert items_of(index, "copy") == items_of(index, "water")


def test_what_is_said_is_changed_on_the_revision_that_was_shown(collecting: TestClient, index: Index) -> None:
    collecting.post("/collections", data={"name": "water", "cells": "-L0.3 L0.1", "note": "wet", "author": "ann"})
    page = assert_sound(collecting.get("/collections/water", headers=HTML).text)
    form = page.one("table").all("form")[1]  # of -L0.3, behind L0.1
    fields = {one.attributes["name"]: one.attributes.get("value", "") for one in form.all("input")}
    fields |= {one.attributes["name"]: one.text for one in form.all("textarea")}
    assert (fields["cell"], fields["author-0"], fields["note-0"], fields["note-1"]) == ("-L0.3", "ann", "\nwet", "\n")
    changed = fields | {"note-1": "dry", "author-1": "bob", "tags": "x", "do": "note"}
    assert collecting.post("/collections/water", data=changed).status_code == 303
    assert items_of(index, "water")[1] == Item(CellId(0, 3), -1, (Note("ann", "wet"), Note("bob", "dry")), ("x",))
    answer = collecting.post("/collections/water", data=fields | {"note-0": "mine", "do": "note"}, headers=HTML)
    assert answer.status_code == 409 and items_of(index, "water")[1].notes[0].text == "wet"
    page = assert_sound(answer.text)
    assert "Somebody else has changed" in page.one("p", class_="problem").words
    again = page.one("table").all("form")[1]
    assert again.all("textarea")[0].text.strip() == "mine"
    assert "bob: dry" in page.one("table").words  # what the other one said
    newer = {one.attributes["name"]: one.attributes.get("value", "") for one in again.all("input")}
    assert newer["revision"] != fields["revision"]
    collecting.post("/collections/water", data=newer | {"do": "remove"})
    assert [str(one.cell) for one in items_of(index, "water")] == ["L0.1"]
    for do in ("describe", "delete"):
        revision = collecting.get("/collections/water.json").json()["revision"]
        answer = collecting.post("/collections/water", data={"revision": revision, "do": do, "description": "a\r\nb"})
        assert answer.status_code == 303
        if do == "describe":
            assert collecting.get("/collections/water.json").json()["description"] == "a\nb"
    assert Collections(index).names() == [] and collecting.get("/collections/water.json").status_code == 404


def test_a_program_puts_and_removes(collecting: TestClient, index: Index) -> None:
    items = [{"cell": "L0.1", "notes": [{"author": "", "text": "x"}]}]
    first = collecting.put("/collections/a.json", json={"revision": "", "items": items, "description": "d"})
    assert first.status_code == 200 and items_of(index, "a")[0].notes == (Note("", "x"),)
    revision = first.json()["revision"]
    for wrong in ("", "0" * 16):
        answer = collecting.put("/collections/a.json", json={"revision": wrong, "items": []})
        assert answer.status_code == 409 and answer.json()["current"]["revision"] == revision
        assert answer.json()["error"]["kind"] == "Conflict"
    assert collecting.request("DELETE", "/collections/a.json", json={"revision": "0"}).status_code == 409
    gone = collecting.request("DELETE", "/collections/a.json", json={"revision": revision})
    assert gone.json() == {"removed": "a"} and Collections(index).names() == []
    assert collecting.request("DELETE", "/collections/a.json", json={"revision": revision}).status_code == 404


@pytest.mark.parametrize(
    "name", ["../x", "%2e%2e%2fx", "x/../../y", "A", "con", "a" * 41, "wаter", "a%00b", "a.json", "%F0%9F%92%A9"]
)
def test_a_name_that_is_none_reaches_no_file(name: str, collecting: TestClient, index: Index) -> None:
    before = sorted(str(one) for one in index.folder.parent.rglob("*"))
    assert collecting.get(f"/collections/{name}.json").status_code in (400, 404)
    assert collecting.get(f"/collections/{name}", headers=HTML).status_code in (400, 404)
    body = {"revision": "", "items": [{"cell": "L0.0"}]}
    assert collecting.put(f"/collections/{name}.json", json=body).status_code in (400, 404, 405)
    assert collecting.post("/collections", data={"name": name.replace("%2e", "."), "cells": "L0.0"}).status_code == 400
    after = [one for one in sorted(str(one) for one in index.folder.parent.rglob("*")) if "/collections" not in one]
    assert after == before and Collections(index).names() == []


def test_what_is_wrong_is_told_and_nothing_is_written(collecting: TestClient, index: Index) -> None:
    for data in (
        {"name": "a", "cells": "L0.9"},
        {"name": "a", "cells": "@b"},
        {"name": "a", "cells": "L0.0", "tags": "<b>"},
        {"name": "a", "cells": "L0.0", "note": "x" * 2001},
        {"name": "a", "cells": " ".join(["L0.0"] * 201)},
        {"name": "a", "cells": "L0.0", "author": "a\nb", "note": "x"},
    ):
        assert collecting.post("/collections", data=data, headers=HTML).status_code == 400, data
    for body in ({"items": []}, {"revision": 7}, {"revision": "", "items": 7}, {"revision": "", "description": 7}):
        assert collecting.put("/collections/a.json", json=body).status_code == 400, body
    assert Collections(index).names() == []
    collecting.post("/collections", data={"name": "a", "cells": "L0.0"})
    for data in ({"do": "rm"}, {"do": "note", "cell": "L0.0 L0.1"}, {"do": "remove", "cell": ""}):
        assert collecting.post("/collections/a", data=data | {"revision": "x"}).status_code == 400, data
    assert collecting.post("/collections/none", data={"do": "delete", "revision": ""}).status_code == 404


def test_nobody_writes_where_it_is_only_read_or_from_elsewhere(index: Index, collecting: TestClient) -> None:
    collecting.post("/collections", data={"name": "a", "cells": "L0.0"})
    before = (index.folder / "collections" / "a.json").read_bytes()
    reading = TestClient(make_app(Explorer(index, read_only=True)), base_url="http://localhost")
    other_site = {"origin": "http://evil.example", "sec-fetch-site": "cross-site"}
    for client, headers, status in ((reading, {}, 400), (collecting, other_site, 403)):
        for send in (
            lambda: client.post("/collections", data={"name": "a", "cells": "L0.1"}, headers=headers),  # noqa: B023
            lambda: client.post("/collections/a", data={"do": "delete"}, headers=headers),  # noqa: B023
            lambda: client.put("/collections/a.json", json={"revision": ""}, headers=headers),  # noqa: B023
            lambda: client.request("DELETE", "/collections/a.json", json={"revision": ""}, headers=headers),  # noqa: B023
        ):
            assert send().status_code == status
    assert (index.folder / "collections" / "a.json").read_bytes() == before
    page = assert_sound(reading.get("/cells/L0.0", headers=HTML).text)
    assert page.one("main").all("form", method="post") == [] and page.one("ul", class_="collected").words == "a"


def test_notes_are_by_who_has_logged_in_and_those_of_others_stay_theirs(index: Index) -> None:
    tokens = Tokens("write cleo a-token-of-cleo-0123456789", "a test")
    app = make_app(Explorer(index), sharing=Sharing(tokens))
    client = TestClient(
        app, base_url="http://localhost", headers={"authorization": "Bearer a-token-of-cleo-0123456789"}
    )
    item = {"cell": "L0.3", "sign": 1, "notes": [{"author": "ann", "text": "old"}], "tags": []}
    anybody = TestClient(make_app(Explorer(index)), base_url="http://localhost")
    made = anybody.put("/collections/signed.json", json={"revision": "", "items": [item]}).json()
    forged = item | {"notes": [*item["notes"], {"author": "ann", "text": "new"}]}  # type: ignore[misc]
    body = {"revision": made["revision"], "items": [forged]}
    assert client.put("/collections/signed.json", json=body).status_code == 200
    assert items_of(index, "signed")[0].notes == (Note("ann", "old"), Note("cleo", "new"))
    client.post("/collections", data={"name": "signed", "cells": "L0.1", "note": "form", "author": "ann"})
    assert [one.notes for one in items_of(index, "signed") if one.cell == CellId(0, 1)] == [(Note("cleo", "form"),)]
