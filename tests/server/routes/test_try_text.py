"""A text of one's own over HTTP: page and data say the same, nothing that is sent breaks it, and without a model it says so."""

from collections.abc import Callable

import pytest
from starlette.testclient import TestClient

from ffmem import Index
from ffmem.server.app import make_app
from ffmem.server.opening import open_explorer
from tests.server.conftest import HTML
from tests.server.page import assert_sound


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_the_page_shades_what_the_data_says(client_of: Callable[[str], TestClient], family: str) -> None:
    client, asked = client_of(family), {"text": "the <b>old</b> river & the mill"}
    told = client.get("/cells/L1.7/try.json", params=asked).json()
    page = assert_sound(client.get("/cells/L1.7/try", params=asked, headers=HTML).text)
    shown = page.by_id("tried")
    assert shown.one("p", class_="tried").text == asked["text"] == page.by_id("try-text").text
    titles = [one.attributes["title"] for one in shown.all("span", class_="t")]
    assert titles == [
        f"token {one['number']}: {one['coefficient']:.4g}".replace("-", "\u2212")
        for one in told["tokens"]
        if one["number"] is not None
    ]
    assert [one["number"] for one in told["tokens"]][-len(titles) :] == list(range(len(titles)))
    assert len(shown.all("span", class_="special")) == len(told["tokens"]) - len(titles) == (family == "llama")
    links = [one.attributes["href"] for one in shown.all("a") if "Knock" in one.words]
    answer = client.get(links[0], headers=HTML)
    assert answer.status_code == 200 and "L1.7*0" in answer.text


def test_what_cannot_be_read_is_said_in_the_page(client: TestClient) -> None:
    long = " ".join(["river"] * 3_000)
    answer = client.get("/cells/L1.7/try", params={"text": long}, headers=HTML)
    page = assert_sound(answer.text)
    assert answer.status_code == 400 and "Expected at most" in page.by_id("tried").one("p", class_="problem").words
    assert page.by_id("try-text").text == long
    assert client.get("/cells/L1.7/try.json").status_code == 400
    assert client.get("/cells/L9.1/try.json", params={"text": "a"}).status_code == 404
    assert client.get("/cells/L1.7/try", headers=HTML).status_code == 200


def test_how_flat_a_value_is_on_page_and_in_data(client: TestClient) -> None:
    told = client.get("/cells/L1.7/flatness.json").json()
    words = assert_sound(client.get("/cells/L1.7/flatness", headers=HTML).text).by_id("flatness").words
    assert f"{told['even_tokens']:,.0f} equally probable tokens of {told['n_tokens']:,}" in words
    assert f"{100 * told['quantile']:.3g} % of 48 cells" in words


def test_without_a_model_nothing_offers_what_needs_one(index_of: Callable[[str], Index]) -> None:
    explorer = open_explorer(index_of("gpt2").folder, with_model=False)
    client = TestClient(make_app(explorer), base_url="http://localhost:8765")
    page = assert_sound(client.get("/cells/L1.7", headers=HTML).text)
    near = [one.words for one in page.by_id("similar-cells").all("a")]
    assert near == ["by shared triggers", "by promoted tokens"]
    tried = client.get("/cells/L1.7/try", params={"text": "a"}, headers=HTML)
    assert tried.status_code == 200 and "without the model" in tried.text
