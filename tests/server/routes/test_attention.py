"""Attention and the one map in the explorer: what the analyses say, as data and as pages."""

import html
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

import ffmem
from ffmem import Index
from ffmem.analyses.attention.maps import attention_maps
from ffmem.analyses.attention.one_map import one_map
from ffmem.analyses.attention.patches import patch_attention
from ffmem.json_values import to_json
from ffmem.server.app import make_app
from ffmem.server.limits import MAX_ATTENTION_TOKENS
from ffmem.server.opening import open_explorer
from tests.server.conftest import HTML

TEXT = "the old river of the village"


def test_the_map_says_what_the_function_says(
    client: TestClient, index_of: Callable[[str], Index], tiny_folder: Callable[[str], Path]
) -> None:
    index, model = index_of("gpt2"), ffmem.load_model(str(tiny_folder("gpt2")))
    told = client.get("/map.json", params={"text": TEXT, "target": "s", "at": 3, "layer": "L1"}).json()
    found = one_map(model, TEXT, at=3, target="s", index=index, by="logit", limit=6)
    assert told["problems"] == {} and told["shown"] == "L1"
    assert told["map"]["score"] == pytest.approx(found.score)
    assert told["map"]["by_token"] == [pytest.approx(pair) for pair in found.by_token() or ()]
    for layer, own in zip(told["map"]["layers"], found.layers, strict=True):
        assert [one["cell"]["cell"] for one in layer["memories"]] == [str(one.cell.cell) for one in own.memories]


def test_attention_says_what_the_function_says(
    client: TestClient, index_of: Callable[[str], Index], tiny_folder: Callable[[str], Path]
) -> None:
    model = ffmem.load_model(str(tiny_folder("gpt2")))
    told = client.get(
        "/attention.json", params={"text": TEXT, "layer": "L2", "heads": ["L1.H0, L2"], "by": "norms"}
    ).json()
    assert told["problems"] == {} and [one["layer"] for one in told["layers"]] == ["L0", "L1", "L2"]
    assert told["shown"] == to_json(attention_maps(model, TEXT).layer("L2"))
    assert told["effect"]["kl"] == pytest.approx(patch_attention(model, TEXT, ["L1.H0", "L2"], patch="norms").kl)
    assert [one["where"] for one in told["sweep"]["heads"]] == [f"L2.H{n}" for n in range(4)]


@pytest.mark.parametrize("page", ["map", "attention"])
def test_links_hold_the_whole_state(page: str, client: TestClient) -> None:
    text = client.get(f"/{page}", params={"text": TEXT}, headers=HTML).text
    links = [html.unescape(one) for one in re.findall(rf'href="(/{page}\?[^"#]+)', text)]
    other = next(one for one in links if "layer=L0" in one)
    assert "text=the" in other
    again = client.get(other, headers=HTML).text
    assert ("Layer L0 in full" if page == "map" else "Layer L0: weights beside norms") in again


@pytest.mark.parametrize(
    ("page", "asked", "part"),
    [
        ("map", {"target": "two tokens"}, "target"),
        ("map", {"layer": "L77"}, "layer"),
        ("map", {"at": 500}, "target"),
        ("attention", {"layer": "L77"}, "layer"),
        ("attention", {"heads": "L1.H77"}, "heads"),
        ("attention", {"text": "river " * (MAX_ATTENTION_TOKENS + 1)}, "text"),
        ("map", {"text": "river " * (MAX_ATTENTION_TOKENS + 1)}, "text"),
    ],
)
def test_what_cannot_be_answered_is_told_in_place(
    page: str, asked: dict[str, Any], part: str, client: TestClient
) -> None:
    told = client.get(f"/{page}.json", params={"text": TEXT} | asked).json()
    assert part in told["problems"] and "Expected" in told["problems"][part]
    shown = client.get(f"/{page}", params={"text": TEXT} | asked, headers=HTML)
    assert shown.status_code == 200 and 'class="problem"' in shown.text


@pytest.mark.parametrize("page", ["map", "attention"])
@pytest.mark.parametrize("family", ["bert", "t5", "mixtral", "gpt_neox"])
def test_any_model_has_its_pages(page: str, family: str, client_of: Callable[[str], TestClient]) -> None:
    client = client_of(family)
    assert client.get(f"/{page}", headers=HTML).status_code == 200
    shown = client.get(f"/{page}", params={"text": TEXT}, headers=HTML)
    assert shown.status_code == 200
    if family == "t5":
        assert ("Expected a model with a single stack of layers" in shown.text) == (page == "map")
        if page == "attention":
            cross = client.get(
                "/attention.json", params={"text": TEXT, "target": "a stone", "layer": "dec.L1.cross"}
            ).json()
            assert cross["shown"]["cross"] and cross["problems"] == {}


def test_scripts_in_a_text_stay_text(client: TestClient) -> None:
    text = "<script>alert(1)</script> <img src=x onerror=y>"
    for page in ("map", "attention"):
        shown = client.get(f"/{page}", params={"text": text}, headers=HTML).text
        assert "<script>alert" not in shown and "<img" not in shown


def test_without_a_model_the_pages_say_so(index_of: Callable[[str], Index]) -> None:
    explorer = open_explorer(index_of("gpt2").folder, with_model=False)
    client = TestClient(make_app(explorer), base_url="http://localhost:8765")
    for page in ("map", "attention"):
        assert "started without a model" in client.get(f"/{page}", params={"text": TEXT}, headers=HTML).text
        assert client.get(f"/{page}.json", params={"text": TEXT}).status_code == 400
        assert client.get(f"/{page}.json").status_code == 400
