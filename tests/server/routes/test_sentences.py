"""Sentences, near cells, shades, figures, comparison: pages that only read."""

from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.testclient import TestClient

import ffmem
from ffmem import Index
from ffmem.json_values import to_json
from ffmem.server.app import make_app
from ffmem.server.opening import open_explorer
from tests.conftest import IN_PROCESS, write_corpus
from tests.server.conftest import HTML


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
    text = client.get("/sentences/5", headers=HTML).text
    assert f"/cells/{expected[0][0]}" in text and 'href="/sentences/6"' in text


def test_sentences_end(client: TestClient, index_of: Callable[[str], Index]) -> None:
    n = index_of("gpt2").text.n_all_sentences
    assert client.get(f"/sentences/{n - 1}.json").json()["next"] is None
    assert client.get(f"/sentences/{n}").status_code == 404
    assert client.get("/sentences/-1").status_code == 400


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


def test_without_a_model_what_needs_one_says_so(index_of: Callable[[str], Index]) -> None:
    client = TestClient(make_app(open_explorer(index_of("gpt2").folder, with_model=False)), base_url="http://localhost")
    assert client.get("/model.json").json()["state"] == "absent"
    assert client.get("/cells/L1.3", headers=HTML).status_code == 200
    answer = client.get("/cells/L1.3/shades.json")
    assert answer.status_code == 400 and "--model" in answer.json()["error"]["mend"]


def test_another_model_is_refused_when_it_is_asked(
    index_of: Callable[[str], Index], tiny_folder: Callable[[str], Path]
) -> None:
    explorer = open_explorer(index_of("gpt2").folder, model=str(tiny_folder("opt")))
    explorer.model.wait()
    client = TestClient(make_app(explorer), base_url="http://localhost")
    assert client.get("/model.json").json()["state"] == "failed"
    assert "other weights" in client.get("/cells/L1.3/shades.json").json()["error"]["message"]
    explorer.model.close()


def test_without_a_study_the_figures_say_how_to_make_one(client: TestClient) -> None:
    text = client.get("/figures", headers=HTML).text
    assert "ffmem reproduce" in text
    assert client.get("/figures/agreement.svg").status_code == 404
    assert client.get("/patterns/L0.csv").status_code == 404


def test_two_indexes_side_by_side(
    tmp_path: Path, index_of: Callable[[str], Index], tiny_folder: Callable[[str], Path]
) -> None:
    from ffmem.queries import diff

    corpus = write_corpus(tmp_path / "other.txt", 60, seed=5)
    other = ffmem.build_index(
        tiny_folder("gpt2"), corpus, tmp_path / "other", options=ffmem.IndexOptions(top=7, promoted=10), run=IN_PROCESS
    )
    index = index_of("gpt2")
    explorer = open_explorer(index.folder, others=[tmp_path / "other"], with_model=False)
    client = TestClient(make_app(explorer), base_url="http://localhost")
    expected = to_json(diff(index, other, limit=5))
    told = client.get("/diff.json", params={"limit": 5}).json()
    assert told["rows"] == expected["rows"] and told["with"] == "other"
    first = expected["rows"][0]["cell"]
    assert f"/diff/{first}?with=other" in client.get("/diff", headers=HTML).text
    both = client.get(f"/diff/{first}.json", params={"with": "other"}).json()
    assert [side["cell"]["cell"] for side in both["sides"]] == [first, first]
    assert client.get(f"/diff/{first}", headers=HTML).status_code == 200
    assert client.get("/diff", params={"with": "nothing"}).status_code == 400


def test_with_nothing_to_compare_the_page_says_so(client: TestClient) -> None:
    assert "ffmem serve" in client.get("/diff", headers=HTML).text
