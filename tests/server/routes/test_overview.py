"""The overview over HTTP."""

from collections.abc import Callable

import pytest
from starlette.testclient import TestClient

from ffmem import Index
from ffmem.server.app import make_app
from ffmem.server.explorer import Explorer
from ffmem.server.opening import open_explorer
from ffmem.server.warm import warm
from tests.server.arrays import NO_TOKEN, layer_arrays, manifest, token_arrays
from tests.server.conftest import HTML, LABELS
from tests.server.page import assert_sound


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_agreement_is_counted_from_the_first_triggers(family: str, client_of: Callable[[str], TestClient]) -> None:
    client = client_of(family)
    folder = client.app.state.explorer.index.folder  # type: ignore[attr-defined]
    told, tokens = client.get("/index.json").json(), token_arrays(folder)
    starts = set(tokens["sentence_start"].tolist())
    shown = assert_sound(client.get("/", headers=HTML).text).one("table", class_="layers").rows()
    for place, (row, on_page) in enumerate(zip(told["layers"], reversed(shown), strict=True)):
        arrays = layer_arrays(folder, place)
        n_compared = n_agreeing = 0
        for first, promoted in zip(arrays["trigger_token"][:, 0, 0].tolist(), arrays["promoted_ids"], strict=True):
            if first != NO_TOKEN and first + 1 not in starts:  # else it ends its sentence
                n_compared += 1
                n_agreeing += int(tokens["token_id"][first + 1] == promoted[0])
        assert (row["layer"], row["n_compared"]) == (f"L{place}", n_compared)
        assert row["agreement_rate"] == n_agreeing / n_compared
        share = 100 * n_agreeing / n_compared
        assert on_page[3] == (f"{share:.3g} %" if share else "0 %")


def test_the_page_and_the_data_say_what_the_manifest_says(client: TestClient, index_of: Callable[[str], Index]) -> None:
    told, page = client.get("/index.json").json(), assert_sound(client.get("/", headers=HTML).text)
    expected = manifest(index_of("gpt2").folder)
    for name in ("identity", "counts", "model"):
        assert told["info"][name] == expected[name]
    facts = [one.words for one in page.one("dl", class_="facts").all("dd")]
    counts = expected["counts"]
    assert f"{counts['n_documents']:,} documents indexed" in facts[1] and facts[0].startswith("gpt2, weights")
    assert f"{counts['n_tokens']:,} tokens of {counts['n_sentences']:,} sentences read" in page.words
    assert facts[2] == "the first 7 of each cell" and "144 cells" in page.one("p", class_="lead").words


def test_labels_of_a_study_are_in_the_data(explained: Explorer) -> None:
    client = TestClient(make_app(explained), base_url="http://localhost")
    told = client.get("/index.json").json()
    assert {row["layer"]: row["labels"] for row in told["layers"]} == LABELS and told["study"]["available"]


def test_highlights_come_when_they_are_chosen(index_of: Callable[[str], Index]) -> None:
    explorer = open_explorer(index_of("gpt2").folder, with_model=False)
    client = TestClient(make_app(explorer), base_url="http://localhost")
    assert "are being chosen" in client.get("/", headers=HTML).text
    warm(explorer).join()
    page = assert_sound(client.get("/", headers=HTML).text)
    assert "Worth a first look" in page.words
    assert [one.one("h3").words for one in page.all("article")] == [
        one["cell"] for one in client.get("/index.json").json()["highlights"]
    ]
