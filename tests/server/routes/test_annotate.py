"""Annotation over HTTP: blind, kept, and refused where it has to be."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.testclient import TestClient

import ffmem
from ffmem import Index
from ffmem.annotations.batches import draw, load_batch
from ffmem.annotations.store import import_files, load
from ffmem.server.app import make_app
from ffmem.server.limits import MAX_FIELDS
from ffmem.server.opening import open_explorer
from tests.server.conftest import HTML


@pytest.fixture
def index(index_of: Callable[[str], Index], tmp_path: Path) -> Index:
    shutil.copytree(index_of("llama").folder, tmp_path / "index")
    return ffmem.open_index(tmp_path / "index")


@pytest.fixture
def annotating(index: Index) -> TestClient:
    client = TestClient(make_app(open_explorer(index.folder, with_model=False)), base_url="http://localhost")
    drawn = client.post(
        "/annotate", data={"name": "b", "per_layer": 2, "triggers": 5, "seed": 3}, follow_redirects=False
    )
    assert drawn.status_code == 303
    return client


def body(n: int, revision: int = 0, text: str = "water") -> dict[str, object]:
    return {"revision": revision, "patterns": [{"text": text, "class": "semantic"}], "marks": [[1]] * n, "done": True}


def test_a_batch_is_drawn_as_on_the_command_line(annotating: TestClient, index: Index) -> None:
    expected = draw(index, "b", per_layer=2, n_triggers=5, seed=3)
    assert load_batch(index, "b").cells == expected.cells
    told = annotating.get("/annotate.json").json()["batches"]
    assert told == [{"name": "b", "n_cells": len(expected.cells), "progress": [], "n_to_settle": 0, "n_settled": 0}]
    for wrong in (
        {"name": "../b"},
        {"name": "b2", "per_layer": "many"},
        {"name": "b", "seed": 4},
        {"name": "c", "sign": 5},
        {"name": "c", "seed": -1},
        {"name": "c", "seed": "9" * 6000},
        {"name": "c", "per_layer": 100_000},
        {str(i): "1" for i in range(MAX_FIELDS + 1)},
    ):
        assert annotating.post("/annotate", data=wrong, headers=HTML).status_code == 400


def test_the_page_is_blind(annotating: TestClient, index: Index) -> None:
    batch = load_batch(index, "b")
    for number, shown in enumerate(batch.cells, 1):
        for path in (f"/annotate/b/ann/{number}", f"/annotate/b/ann/{number}.json"):
            text = annotating.get(path, headers=HTML).text
            work = text.split('<main id="content">')[-1]
            assert str(shown.cell) not in work
            cell = index.cell(shown.cell)
            for trigger in cell.triggers:
                assert f"{trigger.coefficient:.3f}" not in work and str(trigger.coefficient) not in work
                if len(trigger.document.name) > 3:
                    assert trigger.document.name not in work


def test_what_is_saved_counts(annotating: TestClient, index: Index) -> None:
    batch = load_batch(index, "b")
    for annotator, text in (("ann", "water"), ("bob", "water"), ("eve", "fire")):
        for number, shown in enumerate(batch.cells, 1):
            answer = annotating.put(f"/annotate/b/{annotator}/{number}.json", json=body(len(shown.triggers), 0, text))
            assert answer.status_code == 200 and answer.json()["revision"] > 0, answer.text
    told = annotating.get("/annotate.json").json()
    assert [one["n_done"] for one in told["batches"][0]["progress"]] == [len(batch.cells)] * 3
    assert told["agreement"]["pairs"][0]["matched_fraction"] == 1
    assert len(load(index)) == 3 * len(batch.cells)
    text = annotating.get("/annotate", headers=HTML).text
    assert "Krippendorff" in text and "covered, 95" in text
    found = annotating.get("/search.json?q=said:fire&limit=200").json()["cells"]
    assert {one["cell"] for one in found} == {str(one.cell) for one in batch.cells}


def test_two_tabs(annotating: TestClient, index: Index) -> None:
    n = len(load_batch(index, "b").cells[0].triggers)
    first = annotating.put("/annotate/b/ann/1.json", json=body(n)).json()
    answer = annotating.put("/annotate/b/ann/1.json", json=body(n, 0, "other"))
    assert answer.status_code == 409 and answer.json()["current"]["patterns"][0]["text"] == "water"
    assert annotating.put("/annotate/b/ann/1.json", json=body(n, first["revision"], "other")).status_code == 200
    undone = annotating.get("/annotate/b/ann/1.json").json()["revision"]
    back = annotating.post("/annotate/b/ann/1/undo.json", json={"revision": undone}).json()
    assert back["patterns"][0]["text"] == "water"


def test_without_scripts_a_form_does(annotating: TestClient, index: Index) -> None:
    n = len(load_batch(index, "b").cells[0].triggers)
    fields = {
        "revision": 0,
        "triggers": n,
        "text-1": "",
        "text-2": "water",
        "class-2": "semantic",
        "done": "on",
        "go": 2,
    }
    fields |= {f"mark-{i}-2": "on" for i in range(1, n + 1)}
    answer = annotating.post("/annotate/b/ann/1", data=fields, follow_redirects=False)
    assert answer.headers["location"] == "/annotate/b/ann/2"
    told = annotating.get("/annotate/b/ann/1.json").json()
    assert told["patterns"] == [{"text": "water", "class": "semantic"}] and told["marks"] == [[1]] * n and told["done"]
    assert (
        annotating.get("/annotate/go?batch=b&annotator=ann", follow_redirects=False).headers["location"].endswith("/2")
    )
    again = annotating.post("/annotate/b/ann/1", data=fields | {"text-2": "fire"}, headers=HTML)
    assert again.status_code == 409 and "changed elsewhere" in again.text
    assert 'value="fire"' in again.text and "water (semantic)" in again.text  # neither is lost
    now = annotating.get("/annotate/b/ann/1.json").json()["revision"]
    assert f'name="revision" value="{now}"' in again.text
    kept = annotating.post("/annotate/b/ann/1", data=fields | {"text-2": "fire", "revision": now, "go": "9" * 6000})
    assert kept.status_code == 200 and annotating.get("/annotate/b/ann/1.json").json()["patterns"][0]["text"] == "fire"


def test_who_has_begun_is_listed(annotating: TestClient, index: Index) -> None:
    n = len(load_batch(index, "b").cells[0].triggers)
    begun = body(n) | {"patterns": [{"text": "no class yet", "class": ""}]}
    assert not annotating.put("/annotate/b/ann/1.json", json=begun).json()["done"]
    (told,) = annotating.get("/annotate.json").json()["batches"][0]["progress"]
    assert (told["annotator"], told["n_done"], told["n_begun"]) == ("ann", 0, 1)


def test_undo_and_redo(annotating: TestClient, index: Index) -> None:
    n = len(load_batch(index, "b").cells[0].triggers)
    now = annotating.put("/annotate/b/ann/1.json", json=body(n)).json()
    back = annotating.post("/annotate/b/ann/1/undo.json", json={"revision": now["revision"]}).json()
    assert back["patterns"] == [] and back["can_redo"] and not back["can_undo"]
    assert annotating.post("/annotate/b/ann/1/redo.json", json={"revision": now["revision"]}).status_code == 409
    again = annotating.post("/annotate/b/ann/1/redo.json", json={"revision": back["revision"]}).json()
    assert again["patterns"] == now["patterns"] and not again["can_redo"]


def test_differences_are_settled(annotating: TestClient, index: Index) -> None:
    batch = load_batch(index, "b")
    n = len(batch.cells[0].triggers)
    annotating.put("/annotate/b/ann/1.json", json=body(n, 0, "water"))
    half = body(n, 0, "rivers") | {"marks": [[1]] * (n - 1) + [[]]}
    annotating.put("/annotate/b/bob/1.json", json=half)
    assert annotating.get("/annotate.json").json()["batches"][0]["n_to_settle"] == 1
    at = annotating.get("/annotate/go?batch=b&annotator=adjudicated", follow_redirects=False).headers["location"]
    assert at == "/annotate/b/adjudicated/1"
    text = annotating.get(at, headers=HTML).text
    assert "settle it" in text and "ann: 1; bob: 0" in text
    proposed = annotating.get(f"{at}.json").json()
    assert proposed["revision"] == 0 and proposed["patterns"][0]["text"] == "water"
    saved = annotating.put(f"{at}.json", json=proposed | {"done": True})
    assert saved.status_code == 200
    assert annotating.get("/annotate.json").json()["batches"][0]["n_settled"] == 1
    assert {one.annotator for one in load(index)} == {"ann", "bob", "adjudicated"}


def test_an_export_is_read_again(annotating: TestClient, index: Index, tmp_path: Path) -> None:
    n = len(load_batch(index, "b").cells[0].triggers)
    annotating.put("/annotate/b/ann/1.json", json=body(n))
    (tmp_path / "all.json").write_text(annotating.get("/annotate/export.json").text)
    (tmp_path / "all.csv").write_text(annotating.get("/annotate/export.csv").text)
    for name in ("all.json", "all.csv"):
        (found,) = import_files(index, [tmp_path / name])
        assert found.done == "unchanged"
    assert json.loads((tmp_path / "all.json").read_text())["annotations"]


@pytest.mark.parametrize(
    "path",
    ["/annotate/none/ann/1", "/annotate/b/ann/999", "/annotate/b/ANN/1", "/annotate/..%2fb/ann/1", "/annotate/b/ann/0"],
)
def test_what_is_not_there(annotating: TestClient, path: str) -> None:
    assert annotating.get(path).status_code in (400, 404)
    assert annotating.put(f"{path}.json", json=body(5)).status_code in (400, 404)


@pytest.mark.parametrize(
    "wrong", [{}, {"revision": "x"}, {"revision": 0, "patterns": 5}, {"revision": 0, "patterns": [], "marks": [[7]]}]
)
def test_what_is_no_annotation(annotating: TestClient, wrong: dict[str, object]) -> None:
    assert annotating.put("/annotate/b/ann/1.json", json=wrong).status_code == 400
    assert annotating.post("/annotate/b/ann/1/undo.json", json={"revision": 0}).status_code == 400


@pytest.mark.parametrize(
    "text", ['{"revision": Infinity}', '{"revision": 1e999, "patterns": [], "marks": []}', "[]", "\xff"]
)
def test_no_body_makes_it_fail(annotating: TestClient, text: str) -> None:
    for method, path in (("PUT", "1.json"), ("POST", "1/undo.json"), ("POST", "1/redo.json")):
        headers = {"content-type": "application/json"}
        answer = annotating.request(method, f"/annotate/b/ann/{path}", content=text.encode("latin-1"), headers=headers)
        assert answer.status_code == 400, answer.text


def test_pages_of_other_sites_cannot_annotate(annotating: TestClient) -> None:
    other = {"origin": "http://evil.example"}
    assert annotating.put("/annotate/b/ann/1.json", json=body(5), headers=other).status_code == 403
    assert annotating.post("/annotate", data={"name": "c"}, headers=other).status_code == 403


def test_read_only(index: Index) -> None:
    explorer = open_explorer(index.folder, with_model=False, read_only=True)
    client = TestClient(make_app(explorer), base_url="http://localhost")
    assert client.post("/annotate", data={"name": "b"}).status_code == 400
    assert "--read-only" in client.post("/annotate", data={"name": "b"}).json()["error"]["mend"]
    assert "Draw a batch" not in client.get("/annotate", headers=HTML).text
