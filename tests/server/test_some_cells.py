"""The explorer of an index of some cells, with the whole model at hand."""

import re
from collections.abc import Callable, Iterator

import pytest
from starlette.testclient import TestClient

from ffmem import Index
from ffmem.server.app import make_app
from ffmem.server.opening import open_explorer
from ffmem.server.warm import warm
from tests.server.conftest import HTML


@pytest.fixture(scope="module")
def some_client(sparse_index_of: Callable[[str, str], Index]) -> Iterator[TestClient]:
    explorer = open_explorer(sparse_index_of("gpt2", "L2,L0.5-9,L0.11").folder)
    explorer.model.wait()
    warm(explorer).join()
    yield TestClient(make_app(explorer), base_url="http://localhost:8765")
    explorer.model.close()


def test_every_page_is_there(some_client: TestClient) -> None:
    asked = {"text": "the river and the village", "q": "river"}
    for page in ("/", "/cells", "/cells?layer=L2", "/cells/L0.11", "/cells/L2.47", "/cells/L2.0/similar?by=value",
                 "/cells/L2.3/shades", "/search", "/prompt", "/map", "/attention", "/annotate", "/figures"):  # fmt: skip
        answer = some_client.get(page, headers=HTML, params=asked if "?" not in page else None)
        assert answer.status_code == 200, page
        for cell in re.findall(r'href="/cells/(L[\w.]+)"', answer.text):
            assert some_client.get(f"/cells/{cell}.json").status_code == 200, (page, cell)
    text = some_client.get("/", headers=HTML).text
    assert "54 of 144 cells: 6 of 48 cells in L0, all 48 cells in L2" in text


def test_the_cells_beside_a_cell_are_those_that_are_there(some_client: TestClient) -> None:
    told = some_client.get("/cells/L0.11.json").json()
    assert (told["previous"], told["next"]) == ("L0.9", "L2.0")


@pytest.mark.parametrize("address", ["/cells/L1.3", "/cells/L0.4", "/cells/L0.4/similar"])
def test_a_cell_that_is_not_there_is_told(some_client: TestClient, address: str) -> None:
    answer = some_client.get(address, headers=HTML)
    assert 400 <= answer.status_code < 500 and "is not in this index" in answer.text
