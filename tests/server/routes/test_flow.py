"""The flow of a prediction over HTTP: as data, as a page, and as a picture to keep."""

from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

import pytest
from starlette.testclient import TestClient

from ffmem import Index
from ffmem.server.app import make_app
from ffmem.server.explorer import Explorer
from ffmem.server.limits import MAX_ATTENTION_TOKENS, MAX_PINS
from ffmem.server.opening import open_explorer
from tests.server.conftest import HTML

TEXT = "the old river of the village"


def test_the_sum_is_that_of_the_prompt_page(client: TestClient) -> None:
    asked = {"text": TEXT, "target": "s", "against": "t"}
    told = client.get("/flow.json", params=asked | {"share": 0.5, "pin": "L1.7"}).json()
    other = client.get("/prompt.json", params=asked | {"new": 0}).json()["explanation"]
    assert told["problems"] == {} and told["flow"]["score"] == pytest.approx(other["score"], abs=1e-5)
    assert told["drawn"]["total"] == pytest.approx(other["score"], abs=1e-4)
    assert 0.5 <= told["drawn"]["both"] <= told["drawn"]["reach"] + 0.2
    assert "L1.7" in {one["name"] for one in told["drawn"]["shown"]}
    assert [one["cell"]["cell"] for one in told["flow"]["fired"]] == ["L1.7"]


def test_the_picture_is_a_file_without_links(client: TestClient) -> None:
    answer = client.get("/flow.svg", params={"text": TEXT})
    assert answer.headers["content-type"].startswith("image/svg+xml")
    tree = ElementTree.fromstring(answer.content)
    assert tree.tag == "{http://www.w3.org/2000/svg}svg" and not [one for one in tree.iter() if "href" in one.attrib]
    wrong = client.get("/flow.svg", params={"text": TEXT, "target": "two tokens"})
    assert wrong.status_code == 400 and "two tokens" in wrong.json()["error"]["message"]


def test_the_model_is_asked_once_while_only_what_is_drawn_changes(
    client: TestClient, explorer_of: Callable[[str], Explorer], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = f"{TEXT} once"
    first = client.get("/flow", params={"text": text}, headers=HTML).text

    async def refuse(*_: Any) -> Any:
        raise AssertionError("the model is asked again")

    monkeypatch.setattr(explorer_of("gpt2").model, "ask", refuse)
    more = client.get("/flow", params={"text": text, "share": 0.9}, headers=HTML).text
    assert more.count("data-part=") > first.count("data-part=")


@pytest.mark.parametrize(
    "asked",
    [
        {"target": "two tokens"},
        {"against": "two tokens"},
        {"at": 500},
        {"pin": "L77.3"},
        {"pin": "nothing"},
        {"text": "river " * (MAX_ATTENTION_TOKENS + 1)},
    ],
)
def test_what_cannot_be_answered_is_told_in_place(asked: dict[str, Any], client: TestClient) -> None:
    told = client.get("/flow.json", params={"text": TEXT} | asked).json()
    assert "Expected" in next(iter(told["problems"].values()))
    shown = client.get("/flow", params={"text": TEXT} | asked, headers=HTML)
    assert shown.status_code == 200 and 'class="problem"' in shown.text


@pytest.mark.parametrize(
    "asked", [{"share": 1.5}, {"share": "nan"}, {"at": -1}, {"pin": ["L0.1"] * (MAX_PINS + 1)}, {"pin": "x" * 61}]
)
def test_what_is_out_of_bounds_is_refused(asked: dict[str, Any], client: TestClient) -> None:
    assert client.get("/flow.json", params={"text": TEXT} | asked).status_code == 400


@pytest.mark.parametrize("family", ["bert", "t5", "mixtral", "gpt_neox"])
def test_any_model_has_its_page(
    family: str, client_of: Callable[[str], TestClient], index_of: Callable[[str], Index]
) -> None:
    client, cell = client_of(family), index_of(family).cells.cell_id(1, 3)
    assert client.get("/flow", headers=HTML).status_code == 200
    shown = client.get("/flow", params={"text": TEXT, "pin": str(cell)}, headers=HTML)
    assert shown.status_code == 200
    assert ("not a causal language model" in shown.text) == (family in ("bert", "t5"))
    assert ("What its gate was given" in shown.text) == (family == "mixtral")


def test_without_a_model_the_page_says_so(index_of: Callable[[str], Index]) -> None:
    explorer = open_explorer(index_of("gpt2").folder, with_model=False)
    client = TestClient(make_app(explorer), base_url="http://localhost:8765")
    assert "without a model" in client.get("/flow", params={"text": TEXT}, headers=HTML).text
    for address in ("/flow.json", "/flow.svg"):
        assert client.get(address, params={"text": TEXT}).status_code == 400
        assert client.get(address).status_code == 400
