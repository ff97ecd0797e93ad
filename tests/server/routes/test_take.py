"""What pages give away: every file has the numbers of its page."""

import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from ffmem import Index
from ffmem.csv_text import unharmed
from ffmem.server.app import make_app
from ffmem.server.explorer import Explorer
from ffmem.server.opening import open_explorer
from tests.server.conftest import HTML, LABELS
from tests.server.files import marks_of, numbers_of, table_of

TEXT = {"text": "the old river of the village", "new": 1}


@pytest.fixture
def studied(explained: Explorer) -> TestClient:
    return TestClient(make_app(explained), base_url="http://localhost")


def number(row: dict[str, str]) -> Any:
    return numbers_of([row], "number")[0][0]


def csv_of(client: TestClient, path: str, **query: Any) -> list[dict[str, str]]:
    answer = client.get(path, params=query)
    assert answer.status_code == 200 and answer.headers["content-type"] == "text/csv; charset=utf-8", answer.text
    return table_of(answer.content)


def svg_of(client: TestClient, path: str, **query: Any) -> list[dict[str, str]]:
    answer = client.get(path, params=query)
    assert answer.status_code == 200 and answer.headers["content-type"] == "image/svg+xml", answer.text
    return marks_of(answer.content)


def test_layers_of_the_overview(studied: TestClient) -> None:
    told = studied.get("/index.json").json()["layers"][::-1]
    names = ("layer", "n_cells", "active_fraction", "n_dead", "agreement_rate", "n_compared", "largest")
    rows = csv_of(studied, "/index/layers.csv")
    assert numbers_of(rows, *names) == numbers_of(told, *names)
    assert [{label: float(row[label]) for label in LABELS["L0"]} for row in rows] == [
        LABELS[row["layer"]] for row in rows
    ]
    marks = svg_of(studied, "/index/layers.svg")
    active = [one for one in marks if "active" in one]
    assert numbers_of(active, "category", "number") == numbers_of(told, "layer", "active_fraction")
    shares = {(one["category"], one["series"]): number(one) for one in marks if one["series"] in LABELS["L0"]}
    assert shares == {(layer, label): value for layer, some in LABELS.items() for label, value in some.items()}


def test_density_and_triggers_of_a_cell(client: TestClient) -> None:
    told = client.get("/cells/L1.7.json", params={"triggers": 10_000}).json()
    density = told["densities"][0][-1]
    assert density["of"] == "sentences"
    expected = numbers_of(density["bars"], "low", "high", "n", "n_triggers")
    rows = csv_of(client, "/cells/L1.7/density-sentences.csv")
    assert numbers_of(rows, "from", "to", "n", "n_triggers") == expected
    marks = svg_of(client, "/cells/L1.7/density-sentences.svg")
    assert numbers_of(marks, "low", "high", "n", "n_triggers") == expected
    triggers = csv_of(client, "/cells/L1.7/triggers.csv")
    names = ("rank", "coefficient", "sentence_id", "position")
    assert numbers_of(triggers, *names) == numbers_of(told["triggers"], *names)
    assert [one["text"] for one in triggers] == [one["text"] for one in told["triggers"]]
    ends = csv_of(client, "/cells/L1.7/value.csv")
    both = [*told["promoted"], *told["suppressed"]]
    assert [float(one["score"]) for one in ends] == [one["logit"] for one in both]
    assert csv_of(client, "/cells/L1.7/triggers.csv", triggers=2)[-1]["rank"] == "1"


def test_a_prompt_in_rows_and_boxes(client: TestClient) -> None:
    told = client.get("/prompt.json", params=TEXT).json()
    boxes = [
        (layer, at, box["token"], box["probability"])
        for layer, row in zip(told["lens"]["layers"][::-1], told["lens"]["boxes"][::-1], strict=True)
        for at, box in enumerate(row)
    ]
    rows = csv_of(client, "/prompt/lens.csv", **TEXT)
    assert [
        (one["layer"], int(one["token_number"]), unharmed(one["predicts"]), float(one["probability"])) for one in rows
    ] == boxes
    marks = svg_of(client, "/prompt/lens.svg", **TEXT)
    drawn = [(one["row"], int(one["column"].split(" ")[0]), number(one)) for one in marks]
    assert drawn == [(layer, at, probability) for layer, at, _, probability in boxes]
    parts = csv_of(client, "/prompt/layers.csv", **TEXT)
    whole = sum(float(one["all"]) for one in parts if one["part"] != "score")
    assert whole == pytest.approx(float(parts[-1]["all"]), abs=1e-4)  # the exact sum of the page
    cells = csv_of(client, "/prompt/top-cells.csv", **TEXT)
    assert [float(one["share"]) for one in cells] == [one["share"] for one in told["explanation"]["cells"]]


def test_what_changes_do_is_there_only_with_changes(client: TestClient) -> None:
    assert client.get("/prompt/differences.csv", params=TEXT).status_code == 404
    changed = TEXT | {"change": "L1.3=9"}
    told = client.get("/prompt.json", params=changed).json()["intervention"]["candidates"]
    rows = csv_of(client, "/prompt/differences.csv", **changed)
    expected = {one["token_id"]: (one["before"], one["after"]) for one in told}
    assert {int(one["token_id"]): (float(one["before"]), float(one["after"])) for one in rows} == expected
    assert all(one["predicts_changed"] for one in csv_of(client, "/prompt/lens.csv", **changed))


def test_maps_of_attention(client: TestClient) -> None:
    told = client.get("/attention.json", params={"text": TEXT["text"]}).json()["shown"]
    n_heads, n = len(told["weights"]), len(told["weights"][0])
    mean = [[sum(head[i][j] for head in told["weights"]) / n_heads for j in range(n)] for i in range(n)]
    rows = csv_of(client, "/attention/map.csv", text=TEXT["text"])
    assert [float(one["weight"]) for one in rows] == pytest.approx([x for row in mean for x in row], abs=2e-6)
    assert [float(one["norm"]) for one in rows] == pytest.approx(
        [x for row in told["summed_norms"] for x in row], abs=2e-6
    )
    marks = svg_of(client, "/attention/map.svg", text=TEXT["text"])
    assert [number(one) for one in marks] == [float(one[kind]) for kind in ("weight", "norm") for one in rows]


def test_tokens_of_a_map_add_up_as_on_the_page(client: TestClient) -> None:
    told = client.get("/map.json", params={"text": TEXT["text"]}).json()["map"]
    rows = csv_of(client, "/map/by-token.csv", text=TEXT["text"])
    assert numbers_of(rows, "by_attention", "by_cells") == [tuple(one) for one in told["by_token"]]
    layers = csv_of(client, "/map/layers.csv", text=TEXT["text"])
    sources = [one for one in layers if one["what"] != "memory"]
    expected = [one["logit"] for layer in told["layers"][::-1] for one in layer["sources"]]
    assert [float(one["share_of_score"]) for one in sources] == expected


def test_the_picture_of_a_flow_in_pixels(client: TestClient) -> None:
    picture = client.get("/flow.png", params={"text": TEXT["text"]}).content
    assert picture[:8] == b"\x89PNG\r\n\x1a\n"
    size = struct.unpack(">II", picture[16:24])
    svg = client.get("/flow.svg", params={"text": TEXT["text"]}).text
    width, height = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg).groups()  # type: ignore[union-attr]
    assert size == (round(2 * float(width)), round(2 * float(height)))
    parts = csv_of(client, "/flow/parts.csv", text=TEXT["text"])
    whole = client.get("/flow.json", params={"text": TEXT["text"]}).json()["drawn"]["total"]
    assert sum(float(one["number"]) for one in parts) == pytest.approx(whole, abs=1e-5)


def test_a_page_and_its_files_ask_the_model_once(
    index_of: Callable[[str], Index], tiny_folder: Callable[[str], Path]
) -> None:
    explorer = open_explorer(index_of("gpt2").folder)
    explorer.model.wait()
    asked: list[str] = []
    ask = explorer.model.ask

    async def counting(*given: Any, **more: Any) -> Any:
        asked.append(more.get("what", ""))
        return await ask(*given, **more)

    explorer.model.ask = counting  # type: ignore[method-assign]
    client = TestClient(make_app(explorer), base_url="http://localhost")
    query = {"text": TEXT["text"]}
    for path in ("/attention", "/attention/map.csv", "/attention/map.svg", "/attention/layers.csv"):
        assert client.get(path, params=query, headers=HTML).status_code == 200
    assert asked == ["attention of a text"]
    client.get("/attention/map.csv", params=query | {"layer": "L1"})
    assert len(asked) == 2
    explorer.model.close()


@pytest.mark.parametrize(
    "path",
    ["/index/nothing.csv", "/cells/L1.7/nothing.svg", "/cells/L1.7/triggers.svg", "/cells/L1.7/density-positions.csv",
     "/prompt/map.csv?text=the", "/sentences/5/cells.png", "/annotate/labels.svg"],
)  # fmt: skip
def test_what_a_page_does_not_show_is_not_there(path: str, client: TestClient) -> None:
    answer = client.get(path)
    assert answer.status_code == 404 and answer.json()["error"]["kind"] == "InputError"


def test_a_text_has_to_be_given(client: TestClient) -> None:
    for path in (
        "/prompt/lens.svg",
        "/map/layers.csv",
        "/attention/map.png",
        "/flow/parts.json",
        "/cells/L1.7/try.csv",
    ):
        assert client.get(path).json()["error"]["got"] == "there is no text"
