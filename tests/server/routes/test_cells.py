"""The overview, the table of cells, and the page of a cell."""

import math
from collections.abc import Callable

import pytest
from starlette.testclient import TestClient

from ffmem import Index
from ffmem.server.app import make_app
from ffmem.server.opening import open_explorer
from ffmem.server.warm import warm
from tests.server.conftest import HTML


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


def test_highlights_come_when_they_are_chosen(index_of: Callable[[str], Index]) -> None:
    explorer = open_explorer(index_of("gpt2").folder, with_model=False)
    client = TestClient(make_app(explorer), base_url="http://localhost")
    assert "are being chosen" in client.get("/", headers=HTML).text
    warm(explorer).join()
    assert "Worth a first look" in client.get("/", headers=HTML).text


def test_the_overview_counts_what_the_arrays_hold(client: TestClient, index_of: Callable[[str], Index]) -> None:
    index, told = index_of("gpt2"), client.get("/index.json").json()
    assert [row["layer"] for row in told["layers"]] == ["L0", "L1", "L2"]
    for place, row in enumerate(told["layers"]):
        cells = [index.cell(index.cells.cell_id(place, i)) for i in range(index.cells.layers[place].n_cells)]
        assert row["n_dead"] == sum(one.statistics.maximum <= 0 for one in cells)
        shares = [one.statistics.active_fraction for one in cells]
        assert math.isclose(row["active_fraction"], sum(shares) / len(shares))
        followed = [(one.triggers[0].next_token, one.promoted[0].token) for one in cells if one.triggers]
        compared = [(said, promoted) for said, promoted in followed if said is not None]
        assert row["n_compared"] == len(compared)
        assert row["agreement_rate"] == sum(said == promoted for said, promoted in compared) / len(compared)


def test_a_gated_cell_shows_both_signs(client_of: Callable[[str], TestClient]) -> None:
    text = client_of("llama").get("/cells/L1.3", headers=HTML).text
    assert "to positive coefficients" in text and "to negative coefficients" in text


def test_the_page_leads_to_the_cells_beside_it(client: TestClient) -> None:
    told = client.get("/cells/L1.0.json").json()
    assert (told["previous"], told["next"]) == ("L0.47", "L1.1")
    assert client.get("/cells/L0.0.json").json()["previous"] is None
    assert client.get("/cells/L2.47.json").json()["next"] is None
    assert 'rel="prev" href="/cells/L0.47"' in client.get("/cells/L1.0", headers=HTML).text


def test_the_histogram_counts_every_sentence_and_every_stored_trigger(client: TestClient) -> None:
    from ffmem.server.views.cell import cell_view

    explorer = client.app.state.explorer  # type: ignore[attr-defined]
    view = cell_view(explorer, explorer.index.cell_id("L1.5"), 100)
    bars = view.histograms[0]
    assert sum(bar.n for bar in bars) == view.cell.statistics.n_sentences
    assert sum(bar.n_triggers for bar in bars) == len(view.cell.triggers)
    assert all(bar.n_triggers <= bar.n for bar in bars)


def test_the_citation_names_weights_text_and_index(client: TestClient, index_of: Callable[[str], Index]) -> None:
    told = client.get("/cells/L1.5.json").json()["citation"]
    weights = index_of("gpt2").manifest.identity.model.weights_sha256
    assert told.startswith("Cell L1.5 of gpt2") and weights[:12] in told and "index-" in told


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
