"""Cells over HTTP: a table of them, each by itself, those near it, and its shades."""

import csv
import io
from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.testclient import TestClient

import ffmem
from ffmem import Index
from ffmem.json_values import to_json
from ffmem.server.app import make_app
from ffmem.server.opening import open_explorer
from tests.conftest import IN_PROCESS
from tests.fixtures.made_index import Document, Layer, make_index
from tests.server.conftest import HTML
from tests.server.page import assert_sound


@pytest.mark.parametrize("family", ["gpt2", "llama", "mixtral", "t5", "bert"])
def test_every_family_has_its_pages(client_of: Callable[[str], TestClient], family: str) -> None:
    client = client_of(family)
    index = client.app.state.explorer.index  # type: ignore[attr-defined]
    for place in (0, index.n_layers - 1):
        for row in (0, index.cells.layers[place].n_cells - 1):
            name = str(index.cells.cell_id(place, row))
            answer = client.get(f"/cells/{name}", headers=HTML)
            assert answer.status_code == 200 and f"<h1>{name}</h1>" in answer.text
            assert client.get(f"/cells/{name}.json").json()["cell"] == name
    assert client.get("/", headers=HTML).status_code == 200
    assert client.get("/cells", headers=HTML, params={"layer": index.cells.layers[0].name}).status_code == 200


def test_a_gated_cell_shows_both_signs(client_of: Callable[[str], TestClient]) -> None:
    text = client_of("llama").get("/cells/L1.3", headers=HTML).text
    assert "to positive coefficients" in text and "to negative coefficients" in text


def test_the_page_leads_to_the_cells_beside_it(client: TestClient) -> None:
    told = client.get("/cells/L1.0.json").json()
    assert (told["previous"], told["next"]) == ("L0.47", "L1.1")
    assert client.get("/cells/L0.0.json").json()["previous"] is None
    assert client.get("/cells/L2.47.json").json()["next"] is None
    assert 'rel="prev" href="/cells/L0.47"' in client.get("/cells/L1.0", headers=HTML).text


@pytest.mark.parametrize("path", ["/cells/L9.1", "/cells/x", "/nowhere"])
def test_what_is_not_there_is_404_and_says_what_is(client: TestClient, path: str) -> None:
    answer = client.get(path, headers=HTML)
    assert answer.status_code == 404 and "That did not work" in answer.text
    told = client.get(f"{path}.json").json()["error"]
    assert told["got"] and told["expected"] and told["mend"]


def test_bad_parameters_are_refused_by_name(client: TestClient) -> None:
    answer = client.get("/cells.json", params={"limit": 0})
    assert answer.status_code == 400 and "limit" in answer.json()["error"]["message"]
    assert client.get("/cells.json", params={"layer": "L99"}).status_code == 400


@pytest.mark.parametrize("family", ["gpt2", "llama", "bert"])
def test_shades_hold_the_stored_coefficients_and_the_whole_text(
    client_of: Callable[[str], TestClient], index_of: Callable[[str], Index], family: str
) -> None:
    cell = index_of(family).cell("L1.7")
    told = client_of(family).get("/cells/L1.7/shades.json").json()["triggers"]
    assert len(told) == len(cell.triggers)
    for shown, trigger in zip(told, cell.triggers, strict=True):
        firing = [one for one in shown["pieces"] if one["place"] == "firing"]
        assert len(firing) == 1 and firing[0]["coefficient"] == pytest.approx(trigger.coefficient, rel=1e-4)
        assert max(abs(one["share"]) for one in shown["pieces"]) <= 1
        assert trigger.text.startswith("".join(one["text"] for one in shown["pieces"]))
    page = client_of(family).get("/cells/L1.7/shades", headers=HTML).text
    assert 'class="t' in page and "<mark title=" in page


def test_shades_of_text_in_many_scripts_lose_no_character(tmp_path: Path, tiny_folder: Callable[[str], Path]) -> None:
    corpus = tmp_path / "scripts.txt"
    corpus.write_text("naïve café 日本語 😀 — “quoted” né\n\nfamille 👨‍👩‍👧 und Straße\n\n" * 3)
    ffmem.build_index(
        tiny_folder("gpt2"), corpus, tmp_path / "i", options=ffmem.IndexOptions(top=4, holdout=0), run=IN_PROCESS
    )
    explorer = open_explorer(tmp_path / "i")
    client = TestClient(make_app(explorer), base_url="http://localhost")
    cell = explorer.index.cell("L0.1")
    for shown, trigger in zip(client.get("/cells/L0.1/shades.json").json()["triggers"], cell.triggers, strict=True):
        assert "".join(one["text"] for one in shown["pieces"]) == trigger.text
    explorer.model.close()


def test_near_cells_are_those_of_the_query(client: TestClient, index_of: Callable[[str], Index]) -> None:
    from ffmem.queries import similar

    expected = to_json(similar(index_of("gpt2"), "L1.3", by="triggers", limit=5))["rows"]
    assert client.get("/cells/L1.3/similar.json", params={"limit": 5}).json()["rows"] == expected
    assert client.get("/cells/L1.3/similar.json", params={"by": "value", "limit": 5}).status_code == 200
    assert client.get("/cells/L1.3/similar.json", params={"by": "gate-key"}).status_code == 400
    assert expected[0]["cell"] in client.get("/cells/L1.3/similar", headers=HTML).text


@pytest.mark.parametrize("asked", [{}, {"layer": "L2", "sort": "min", "limit": 7}, {"layer": "1:", "sort": "top"}])
def test_the_page_and_the_data_list_the_same_cells(asked: dict[str, object], client: TestClient) -> None:
    told = client.get("/cells.json", params=asked).json()
    assert {name: told[name] for name in asked} == asked
    rows = assert_sound(client.get("/cells", params=asked, headers=HTML).text).one("table").rows()
    assert len(rows) == asked.get("limit", 50)
    assert [(row[0], row[4]) for row in rows] == [
        (one["cell"], f"{one['maximum']:.4g}".replace("-", "\u2212")) for one in told["rows"]
    ]


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_the_page_and_the_data_of_a_cell_have_the_same_numbers(
    family: str, client_of: Callable[[str], TestClient]
) -> None:
    client = client_of(family)
    told = client.get("/cells/L1.5.json", params={"triggers": 3}).json()
    page = assert_sound(client.get("/cells/L1.5", params={"triggers": 3}, headers=HTML).text)
    shown = [one.words for one in page.all("span", class_="coefficient")]
    assert shown == [f"{one['coefficient']:.4g}".replace("-", "\u2212") for one in told["triggers"]]
    assert len(shown) == (6 if family == "llama" else 3)
    scores = [one.attributes["title"] for one in page.all("ol", class_="tokens")[0].all("li")]
    assert scores == [
        f"score {one['logit']:.4g}, token {one['token_id']}".replace("-", "\u2212") for one in told["promoted"]
    ]
    assert page.one("code", class_="citation").text == told["citation"]
    beside = [one.attributes["href"] for one in page.one("nav", class_="beside").all("a") if "rel" in one.attributes]
    assert beside == [f"/cells/{told['previous']}", f"/cells/{told['next']}"]


def test_a_cells_name_is_read_as_people_write_it(client: TestClient) -> None:
    assert client.get("/cells/l1.5.json").json() == client.get("/cells/L1.5.json").json()
    assert client.get("/cells/%20L1.5%20.json").json()["cell"] == "L1.5"


def test_every_cell_of_a_list_can_be_reached_and_taken_away(client: TestClient) -> None:
    asked: dict[str, str] = {"layer": "L1", "sort": "active", "reverse": "true"}
    pages, start = [], 0
    while start is not None:
        told = client.get("/cells.json", params={**asked, "limit": 20, "start": start}).json()
        pages += [one["cell"] for one in told["rows"]]
        start = told["next_start"]
    assert len(pages) == len(set(pages)) == told["n"] == 48
    answer = client.get("/cells.csv", params=asked)
    rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert [one["cell"] for one in rows] == pages and answer.headers["content-type"].startswith("text/csv")
    active = [float(one["active_fraction"]) for one in rows]
    assert active == sorted(active)
    page = assert_sound(client.get("/cells", params={**asked, "limit": 20, "start": 20}, headers=HTML).text)
    (more,) = {one.attributes["href"] for one in page.all("a", rel="next")}
    shown = assert_sound(client.get(more, headers=HTML).text).one("table").rows()
    assert [row[0] for row in shown] == pages[40:]
    (head,) = (one for one in page.one("thead").all("a") if one.words == "active")
    turned = assert_sound(client.get(head.attributes["href"], headers=HTML).text).one("table").rows()
    assert {row[0] for row in turned} < set(pages) and turned[0][3] != shown[0][3]


def test_a_count_leads_to_the_cells_that_it_counts(tmp_path: Path) -> None:
    table = [[0, 1, 0, -1], [0, 2, 0, -2]]
    folder = make_index(tmp_path / "i", [Document([["a", "b"]])], [Layer(table)], top=1).folder
    client = TestClient(make_app(open_explorer(folder, with_model=False)), base_url="http://localhost")
    page = assert_sound(client.get("/", headers=HTML).text)
    links = {one.attributes["href"] for one in page.all("a") if one.words == "3"}
    assert len(links) == 2  # of the layer, and of all layers
    for link in links:
        rows = assert_sound(client.get(link, headers=HTML).text).one("table").rows()
        assert [row[0] for row in rows] == ["L0.0", "L0.2", "L0.3"]


def test_a_permalink_tells_when_another_model_has_come(
    client_of: Callable[[str], TestClient], index_of: Callable[[str], Index]
) -> None:
    page = assert_sound(client_of("gpt2").get("/cells/L1.3", headers=HTML).text)
    (link,) = [one.attributes["href"] for one in page.all("a") if one.words == "permalink"]
    own = index_of("gpt2").manifest.identity.model.weights_sha256
    assert link == f"/cells/L1.3?weights={own[:12]}"
    told = {
        family: [
            one.words for one in assert_sound(client_of(family).get(link, headers=HTML).text).all("p", class_="problem")
        ]
        for family in ("gpt2", "llama")
    }
    assert told["gpt2"] == [] and len(told["llama"]) == 1 and own[:12] in told["llama"][0]
