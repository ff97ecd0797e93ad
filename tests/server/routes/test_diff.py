"""Two indexes over HTTP: what the query says, and every cell in both."""

import pytest
from starlette.testclient import TestClient

from ffmem import Index
from ffmem.json_values import to_json
from ffmem.queries import diff
from ffmem.server.app import make_app
from ffmem.server.explorer import Explorer
from tests.server.conftest import HTML
from tests.server.page import assert_sound


@pytest.fixture
def both(index_of: object, other_index: Index) -> TestClient:
    explorer = Explorer(index_of("gpt2"), [other_index])  # type: ignore[operator]
    return TestClient(make_app(explorer), base_url="http://localhost")


@pytest.mark.parametrize("by", ["triggers", "promoted", "active", "mean"])
def test_it_says_what_the_query_says(by: str, both: TestClient, index_of: object, other_index: Index) -> None:
    expected = to_json(diff(index_of("gpt2"), other_index, by=by, layer="1:", limit=5))  # type: ignore[operator,arg-type]
    asked = {"by": by, "layer": "1:", "limit": 5}
    told = both.get("/diff.json", params=asked).json()
    assert {name: told[name] for name in expected} == expected
    assert (told["with"], told["others"]) == ("other", ["other"])
    page = assert_sound(both.get("/diff", params=asked, headers=HTML).text)
    assert [(row[0], row[1]) for row in page.one("table").rows()] == [
        (one["cell"], f"{one['trigger_overlap']:.3f}") for one in told["rows"]
    ]
    assert [one.attributes["href"] for one in page.one("table").all("a")] == [
        f"/diff/{one['cell']}?with=other" for one in told["rows"]
    ]
    assert f"{told['mean_overlap']:.3f}" in page.one("p", class_="lead").words


def test_one_cell_in_both(both: TestClient) -> None:
    told = both.get("/diff/L1.5.json", params={"with": "other", "triggers": 2}).json()
    assert [side["cell"]["cell"] for side in told["sides"]] == ["L1.5", "L1.5"]
    alone = both.get("/cells/L1.5.json", params={"triggers": 2}).json()
    assert told["sides"][0]["cell"]["triggers"] == alone["triggers"]
    page = assert_sound(both.get("/diff/L1.5", params={"triggers": 2}, headers=HTML).text)
    assert page.one("p", class_="lead").words.startswith(f"{told['n_common_promoted']} of the 10 promoted tokens")
    assert [len(one.all("li")) for one in page.all("ol", class_="triggers")] == [2, 2]


def test_what_is_not_there_is_told(both: TestClient, client: TestClient) -> None:
    wrong = both.get("/diff.json", params={"with": "nothing"})
    assert wrong.status_code == 400 and "Expected one of: other" in wrong.json()["error"]["expected"]
    assert both.get("/diff/L1.5.json", params={"with": "nothing"}).status_code == 400
    assert both.get("/diff/L1.99.json").status_code == 404
    assert "ffmem serve" in assert_sound(client.get("/diff", headers=HTML).text).one("main").words
    assert client.get("/diff/L1.5.json").status_code == 400
