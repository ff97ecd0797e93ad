"""One box: how it is read, what it finds, and what it costs others."""

import threading
import time
from collections.abc import Callable

import pytest
from starlette.testclient import TestClient

from ffmem import Index, InputError
from ffmem.queries import find, search
from ffmem.queries.question import Question, choose_token, parse_question
from ffmem.server.app import make_app
from ffmem.server.opening import open_explorer
from ffmem.studies.geva2021.cell_patterns import patterns_of
from tests.server.conftest import HTML


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("night train", Question(None, "night train", "")),
        (
            '"night train" promotes:" station"',
            Question(None, '"night train"', "", promotes=" station", exact=frozenset({"promotes"})),
        ),
        ("/tr[ae]in s?/ layer:1:", Question(None, "", "tr[ae]in s?", layer="1:")),
        (r"/a\/b/", Question(None, "", r"a\/b")),
        ("fires:the next:sea active:..1%", Question(None, "", "", fires="the", next="sea", max_active=0.01)),
        ("active:0.1..50% x", Question(None, "x", "", min_active=0.1, max_active=0.5)),
        ("pattern:semantic said:sea", Question(None, "", "", pattern="semantic", said="sea")),
        ('"http://x" promotes:', Question(None, '"http://x"', "")),
        ("", Question(None, "", "")),
    ],
)
def test_how_a_question_is_read(index_of: Callable[[str], Index], text: str, expected: Question) -> None:
    assert parse_question(index_of("gpt2"), text) == expected


@pytest.mark.parametrize("text", ["/a/ /b/", "/a/ words", "layer:1 layer:2", "active:many", "active:200%"])
def test_what_cannot_be_read_is_told(index_of: Callable[[str], Index], client: TestClient, text: str) -> None:
    with pytest.raises(InputError):
        parse_question(index_of("gpt2"), text)
    answer = client.get("/search.json", params={"q": text})  # half typed, so no error of the page
    assert answer.status_code == 200 and answer.json()["problem"] and answer.json()["n_cells"] == 0


def test_a_cell_leads_to_the_cell(client: TestClient) -> None:
    answer = client.get("/search", params={"q": " l1.7 "}, headers=HTML, follow_redirects=False)
    assert answer.status_code == 303 and answer.headers["location"] == "/cells/L1.7"


def test_it_finds_what_find_and_search_find(client: TestClient, index_of: Callable[[str], Index]) -> None:
    index = index_of("gpt2")
    told = client.get("/search.json", params={"q": "river stone", "limit": 5}).json()
    expected = find(index, trigger="river stone", limit=5)
    assert told["n_cells"] == expected.n_found > 0
    assert [one["cell"] for one in told["cells"]] == [str(one.cell) for one in expected.rows]
    assert told["sentences"]["n_matches"] == search(index, "river stone").n_matches
    promoted = index.cell("L1.7").promoted[0].token
    joined = client.get("/search.json", params={"q": f'the promotes:"{promoted}" layer:1'}).json()
    assert joined["n_cells"] == find(index, trigger="the", promotes=promoted, layer="1").n_found
    assert joined["sentences"] is None
    assert "L1." in client.get("/search", params={"q": "river layer:1"}, headers=HTML).text


def test_a_token_is_found_with_its_space(index_of: Callable[[str], Index], client: TestClient) -> None:
    index = index_of("gpt2")
    assert index.text.token_ids_of(" the")
    assert choose_token(index, "the").token == " the"
    assert choose_token(index, " the").token == " the"
    unknown = choose_token(index, "rivxyz")
    assert unknown.token is None
    told = client.get("/search.json", params={"q": "promotes:th"}).json()
    choice = told["tokens"]["promotes"]
    assert any("the" in other for other in choice["others"])
    page = client.get("/search", params={"q": "promotes:qqqzzz"}, headers=HTML).text
    assert "no token of this model" in page


def test_patterns_and_annotations_filter(studied_index: Index) -> None:
    explorer = open_explorer(studied_index.folder, with_model=False)
    client = TestClient(make_app(explorer), base_url="http://localhost")
    folder = explorer.patterns_folder
    assert folder is not None
    cells = {
        str(index_cell): patterns_of(folder, layer.name, index_cell) or ()
        for place, layer in enumerate(studied_index.cells.layers)
        for index_cell in (studied_index.cells.cell_id(place, row) for row in range(layer.n_cells))
    }
    kinds = {one.kind for found in cells.values() for one in found} | {"shallow"}
    for kind in kinds:
        expected = {name for name, found in cells.items() if any(kind in (p.kind, p.pattern_class) for p in found)}
        told = client.get("/search.json", params={"q": f"pattern:{kind}", "limit": 200}).json()
        assert {one["cell"] for one in told["cells"]} == expected, kind
    words = next(p.text for found in cells.values() for p in found).replace('"', "").upper()
    expected = {
        name for name, found in cells.items() if any(words.lower() in p.text.replace('"', "").lower() for p in found)
    }
    told = client.get("/search.json", params={"q": f'pattern:"{words}"', "limit": 200}).json()
    assert {one["cell"] for one in told["cells"]} == expected
    assert client.get("/search.json", params={"q": "said:*"}).json()["n_cells"] == 0


def test_without_a_study_patterns_say_how_to_get_them(client: TestClient) -> None:
    assert "ffmem reproduce" in client.get("/search.json", params={"q": "pattern:semantic"}).json()["problem"]


def test_an_expression_that_backtracks_for_ever_is_stopped(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ffmem.server.views.search.REGEX_TIME_S", 0.1)
    begin = time.monotonic()
    told = client.get("/search.json", params={"q": r"/((\w|\s)+)+[!?]{3}$/"}).json()
    assert time.monotonic() - begin < 5
    assert any("Stopped after 0.1 s" in note for note in told["notes"])


def test_look_ups_do_not_wait_for_a_search(index_of: Callable[[str], Index]) -> None:
    index = index_of("gpt2")
    with index.text._search_lock:  # as a search holds it while SQLite looks
        done = threading.Event()

        def look_up() -> None:
            index.cell("L1.7")
            index.text.document(0)
            done.set()

        threading.Thread(target=look_up, daemon=True).start()
        assert done.wait(10)


def test_a_question_that_is_too_long_is_refused(client: TestClient) -> None:
    answer = client.get("/search.json", params={"q": "x" * 1001})
    assert answer.status_code == 400 and "1,000" in answer.json()["error"]["message"]


def test_every_cell_can_be_reached(client: TestClient, index_of: Callable[[str], Index]) -> None:
    everything = [str(row.cell) for row in find(index_of("gpt2"), trigger="the", limit=1000).rows]
    asked = [{"q": "the", "start": start, "limit": 7} for start in range(0, 77, 7)]
    pages = [client.get("/search.json", params=one).json() for one in asked]
    assert [one["cell"] for page in pages for one in page["cells"]] == everything and len(everything) > 20
    whole = client.get("/search.json", params={"q": "the", "whole": True}).json()
    assert [one["cell"] for one in whole["cells"]] == everything and whole["n_cells"] == len(everything)
    lines = client.get("/search.csv", params={"q": "the", "sort": "lift"}).text.splitlines()
    assert [line.split(",")[0] for line in lines[1:]] == everything
    page = client.get("/search", params={"q": "the", "start": 7, "limit": 7}, headers=HTML).text
    assert f"8 to 14 of {len(everything)}" in page and 'rel="prev"' in page and 'rel="next"' in page
    sentences = search(index_of("gpt2"), "the", limit=100).hits
    told = client.get("/search.json", params={"q": "the", "start": 10, "limit": 5, "show": "sentences"}).json()
    assert [one["sentence_id"] for one in told["sentences"]["hits"]] == [one.sentence_id for one in sentences[10:15]]
    assert told["cells"] == []


@pytest.mark.parametrize("text", ["", "L1.7", "tpoic:x", "promotes:qqqzzz"])
def test_a_table_of_no_question_is_refused(client: TestClient, text: str) -> None:
    for form in ("csv", "parquet"):
        assert client.get(f"/search.{form}", params={"q": text}).status_code == 400


def test_what_was_searched_for_is_marked_apart_from_what_fires(client: TestClient) -> None:
    page = client.get("/search", params={"q": "river"}, headers=HTML).text
    assert page.count('<mark class="match">') > 5 and '<mark class="match">river</mark>' in page


def test_a_layer_alone_lists_its_cells_and_a_cell_that_is_not_there_is_an_error(client: TestClient) -> None:
    told = client.get("/search.json", params={"q": "layer:1", "limit": 200}).json()
    assert [one["cell"] for one in told["cells"]] == [f"L1.{row}" for row in range(48)] and told["n_cells"] == 48
    assert told["cells"][0]["example"] is not None
    told = client.get("/search.json", params={"q": "L99.1"}).json()
    assert told["problem"].startswith("cell L99.1 does not exist") and told["n_cells"] == 0
