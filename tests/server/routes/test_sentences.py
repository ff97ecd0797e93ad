"""Sentences over HTTP: the page and its data say the same, and there are no others."""

from collections.abc import Callable

import pytest
from starlette.testclient import TestClient

from ffmem import Index
from tests.server.conftest import HTML
from tests.server.page import assert_sound


def test_a_sentence_lists_every_cell_that_has_it(client: TestClient, index_of: Callable[[str], Index]) -> None:
    index = index_of("gpt2")
    expected = sorted(
        (str(cell.cell), trigger.rank)
        for place in range(index.n_layers)
        for row in range(index.cells.layers[place].n_cells)
        for cell in [index.cell(index.cells.cell_id(place, row))]
        for trigger in cell.triggers
        if trigger.sentence_id == 5
    )
    told = client.get("/sentences/5.json").json()
    assert sorted((one["cell"], one["rank"]) for one in told["cells"]) == expected and told["n_cells"] == len(expected)
    page = assert_sound(client.get("/sentences/5", headers=HTML).text)
    assert [[row[0], int(row[3])] for row in page.one("table").rows()] == [
        [one["cell"], one["rank"]] for one in told["cells"]
    ]
    assert page.one("p", class_="reading").text == told["text"] and f"{len(told['tokens'])} tokens" in page.words


def test_sentences_end(client: TestClient, index_of: Callable[[str], Index]) -> None:
    n = index_of("gpt2").text.n_all_sentences
    assert client.get(f"/sentences/{n - 1}.json").json()["next"] is None
    for path, status in ((f"{n}", 404), (f"{2**32 - 1}", 404), (f"{2**32}", 400), ("-1", 400)):
        for form in ("", ".json"):
            answer = client.get(f"/sentences/{path}{form}")
            assert answer.status_code == status
            assert answer.json()["error"]["expected"].startswith("Expected")


@pytest.mark.parametrize("family", ["t5", "mixtral", "bert"])
def test_any_model_has_its_sentences(family: str, client_of: Callable[[str], TestClient]) -> None:
    client = client_of(family)
    told = client.get("/sentences/5.json").json()
    page = assert_sound(client.get("/sentences/5", headers=HTML).text)
    links = [one.attributes["href"] for one in page.one("table").all("a")]
    assert links == [f"/cells/{one['cell']}" for one in told["cells"]]
    for one in told["cells"]:
        (trigger,) = [
            trigger
            for trigger in client.get(f"/cells/{one['cell']}.json").json()["triggers"]
            if (trigger["rank"], trigger["sign"]) == (one["rank"], one["sign"])
        ]
        assert (trigger["sentence_id"], trigger["position"]) == (5, one["position"])
        assert trigger["coefficient"] == one["coefficient"]
