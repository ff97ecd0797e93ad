"""A prompt of the user's own, and one model for all who ask."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

import ffmem
from ffmem import Index
from ffmem.analyses.change_controls import change_controls
from ffmem.analyses.explain import explain
from ffmem.analyses.indexed import read_as_indexed
from ffmem.analyses.intervene import changed, intervene, parse_change
from ffmem.analyses.lens import lens
from ffmem.json_values import to_json
from ffmem.server.limits import MAX_PROMPT
from tests.server.conftest import HTML

TEXT = "the old river of the village"


def test_it_says_what_the_analyses_say(
    client: TestClient, index_of: Callable[[str], Index], tiny_folder: Callable[[str], Path]
) -> None:
    index, model = index_of("gpt2"), ffmem.load_model(str(tiny_folder("gpt2")))
    asked = {
        "text": TEXT,
        "target": "s",
        "against": "e",
        "change": ["L1.3*0", "L0.2=5"],
        "layer": "L1",
        "at": 2,
        "new": 3,
    }
    told = client.get("/prompt.json", params=asked).json()
    assert told["problems"] == {}
    with changed(
        model, read_as_indexed(model, TEXT, index, None), [parse_change(model, one) for one in asked["change"]]
    ):
        after = explain(model, TEXT, target="s", against="e", index=index)
    assert told["after"]["score"] == pytest.approx(after.score) and told["after"]["error"] < 1e-4
    assert told["verdict"]["after_probability"] == pytest.approx(after.probability)
    assert told["lens"] == to_json(lens(model, TEXT, target="s", index=index)) | {
        "tokens": told["lens"]["tokens"], "layers": ["L0", "L1", "L2"], "boxes": told["lens"]["boxes"],
    }  # fmt: skip
    explained = explain(model, TEXT, target="s", against="e", index=index)
    assert told["explanation"]["score"] == pytest.approx(explained.score)
    assert [one["cell"]["cell"] for one in told["explanation"]["cells"]] == [
        str(one.cell.cell) for one in explained.cells
    ]
    changes = [parse_change(model, one) for one in asked["change"]]
    assert told["intervention"] == to_json(intervene(model, TEXT, changes, n_new=3)) | {
        "changes": ["L1.3*0", "L0.2=5"], "candidates": told["intervention"]["candidates"],
    }  # fmt: skip
    assert told["writers"][0]["cell"].startswith("L1.") and told["state"]["at"] == 2


def test_a_link_holds_the_whole_state(client: TestClient) -> None:
    asked = {"text": TEXT, "target": "s", "change": ["L1.3*0"], "where": "last", "new": 2}
    text = client.get("/prompt", params=asked, headers=HTML).text
    assert 'value="s"' in text and '<input name="change" maxlength="100" value="L1.3*0"' in text
    links = [part.split('"')[0] for part in text.split('href="')[1:] if part.startswith("/prompt?")]
    box = next(one for one in links if "layer=L0" in one)
    for name in ("text=the", "target=s", "change=L1.3", "where=last", "new=2"):
        assert name in box
    again = client.get(box.replace("&amp;", "&").split("#")[0], headers=HTML).text
    assert "What L0 writes at" in again
    undone = client.get("/prompt", params=asked | {"change": []}, headers=HTML).text
    assert "With changes" in text and "With changes" not in undone


@pytest.mark.parametrize(
    ("asked", "part"),
    [
        ({"target": "two tokens"}, "target"),
        ({"layer": "L77"}, "layer"),
        ({"at": 500}, "writers"),
        ({"change": "L1.3?0"}, "intervention"),
        ({"change": "L9.3*0"}, "intervention"),
        ({"change": "L1.3*0@99"}, "intervention"),
    ],
)
def test_one_wrong_part_leaves_the_others(client: TestClient, asked: dict[str, Any], part: str) -> None:
    told = client.get("/prompt.json", params={"text": TEXT} | asked).json()
    assert list(told["problems"]) == [part] and told["lens"] is not None
    assert (told["explanation"] is None) == (part == "target")
    assert client.get("/prompt", params={"text": TEXT} | asked, headers=HTML).status_code == 200


def test_limits_are_told(client: TestClient) -> None:
    too_long = client.get("/prompt.json", params={"text": "river " * 100})
    assert "Expected at most" in too_long.json()["problems"]["lens"]
    assert client.get("/prompt.json", params={"text": "x" * (MAX_PROMPT + 1)}).status_code == 400
    assert client.get("/prompt.json", params={"text": TEXT, "new": 101}).status_code == 400
    assert client.get("/prompt.json", params={"text": TEXT, "change": ["L0.1*0"] * 51}).status_code == 400
    assert client.get("/prompt.json").status_code == 400


@pytest.mark.parametrize("family", ["bert", "t5"])
def test_models_without_predictions_show_what_is_active(client_of: Callable[[str], TestClient], family: str) -> None:
    told = client_of(family).get("/prompt.json", params={"text": TEXT}).json()
    assert told["lens"] is None and told["problems"] == {} and told["activation"]["tokens"]
    assert "activates most" in client_of(family).get("/prompt", params={"text": TEXT}, headers=HTML).text


def test_of_one_cell_the_last_change_counts_and_a_wrong_one_leaves_the_others(client: TestClient) -> None:
    asked = {"text": TEXT, "new": 0, "change": ["L1.3*0", "L1.3*2, L0.2=5", "L1.3*9@1", "L1.4?"]}
    told = client.get("/prompt.json", params=asked).json()
    assert told["state"]["change"] == ["L1.3*2", "L0.2=5", "L1.3*9@1", "L1.4?"]
    assert told["intervention"]["changes"] == ["L1.3*2", "L0.2=5", "L1.3*9@1"]
    assert "'L1.4?' is not a change of a cell" in told["problems"]["intervention"]


def test_a_cell_is_completed_by_its_id_and_by_words_of_its_name(client: TestClient) -> None:
    def found(typed: str) -> list[str]:
        return [one["cell"] for one in client.get("/prompt/cells.json", params={"q": typed}).json()["cells"]]

    assert found("L1.3") == found("L1.3*2") == ["L1.3"]
    assert found("") == found("L99.1") == found("@none") == []


def test_a_change_stands_beside_the_same_change_of_other_cells(
    client: TestClient, index_of: Callable[[str], Index], tiny_folder: Callable[[str], Path]
) -> None:
    index, model = index_of("gpt2"), ffmem.load_model(str(tiny_folder("gpt2")))
    asked = {"text": TEXT, "target": "s", "change": ["L1.3=6"], "new": 0}
    told = client.get("/prompt.json", params=asked).json()["controls"]
    changes = [parse_change(model, "L1.3=6")]
    target_id = explain(model, TEXT, target="s", index=index).target_id
    expected = change_controls(model, TEXT, changes, target_id=target_id, bos=index.manifest.options.bos)
    assert told == to_json(expected) and told["target"] == "s" and len(told["random"]) == 8
    page = client.get("/prompt", params=asked, headers=HTML).text
    line = " ".join(re.sub("<[^>]+>", "", page.split('class="scale-line">')[1].split("</p>")[0]).split())
    points = [
        f"{100 * one:+.2f}".replace("-", "\u2212") for one in (told["own"]["difference"], told["alike"]["difference"])
    ]
    assert f"this change {points[0]} points" in line and f"nearest in strength {points[1]} points" in line
    (cell,) = told["alike"]["cells"]
    assert f"change={cell}%3D6" in page.split('id="scale"')[1]  # one click makes that change instead
    rows = client.get("/prompt/controls.csv", params=asked).text.splitlines()
    assert len(rows) == 11 and rows[2].startswith(f"nearest in strength,{cell}=6,")


def test_controls_are_made_of_long_texts_only_when_asked_for(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ffmem.server.model_questions.MAX_CONTROL_TOKENS", 3)
    monkeypatch.setattr("ffmem.server.views.prompt.MAX_CONTROL_TOKENS", 3)
    asked = {"text": TEXT, "change": ["L1.3*0"], "new": 0}
    assert client.get("/prompt.json", params=asked).json()["controls"] is None
    page = client.get("/prompt", params=asked, headers=HTML).text
    assert "With more than 3 tokens, the same change is made with other cells only when asked for." in page
    link = next(part.split('"')[0] for part in page.split('href="')[1:] if "controls=always" in part.split('"')[0])
    assert 'class="scale-line"' in client.get(link.replace("&amp;", "&"), headers=HTML).text
    assert client.get("/prompt.json", params=asked | {"controls": "always"}).json()["controls"]["own"]["cells"] == [
        "L1.3"
    ]
    assert client.get("/prompt.json", params=asked | {"controls": "never"}).json()["controls"] is None
