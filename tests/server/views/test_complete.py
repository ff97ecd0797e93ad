"""What a half-typed question may become."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from ffmem.queries.question import parse_question
from ffmem.server.app import make_app
from ffmem.server.explorer import Explorer
from ffmem.server.opening import open_explorer
from ffmem.server.views.complete import complete
from tests.fixtures.made_index import Document, Layer, make_index

VOCABULARY = ["sea", " sea", " Season", " land", '"q', "<b>"]


@pytest.fixture(scope="module")
def explorer(tmp_path_factory: pytest.TempPathFactory) -> Explorer:
    documents = [
        Document([["sea", " land"]], "one", {"topic": "Middle Ages", "odd field": "<i>", "genre": "story"}),
        Document([[" sea"]], "two", {"topic": "mining", "odd field": 'a"b', "genre": "story"}),
        Document([[" sea", " sea"]], "three", {"topic": "mining", "odd field": "x", "genre": "news"}),
    ]
    folder = tmp_path_factory.mktemp("made") / "i"
    make_index(folder, documents, [Layer([[1]] * 5), Layer([[1]] * 5)], vocabulary=VOCABULARY)
    return open_explorer(folder, with_model=False)


@pytest.mark.parametrize(
    ("typed", "start", "choices"),
    [
        ("old top", 4, ["topic:"]),
        ("topic:mi", 0, ["topic:mining", 'topic:"Middle Ages"']),  # the most frequent first
        ('topic:"middle a', 0, ['topic:"Middle Ages"']),
        ("ages", 0, ['topic:"Middle Ages"']),
        ("meta.", 0, ["meta.topic:", 'meta."odd field":', "meta.genre:"]),
        ('sea meta."odd field":', 4, ['meta."odd field":<i>', r'meta."odd field":"a\"b"', 'meta."odd field":x']),
        ("meta.Genre:s", 0, ["meta.genre:story", "meta.genre:news"]),
        ("fires:SEA", 0, ['fires:" sea"', 'fires:"sea"', 'fires:" Season"']),
        ("layer:", 0, ["layer:L0", "layer:L1"]),
        ("grade:", 0, ["grade:A", "grade:B", "grade:C"]),
        ("label:x", 0, []),
        ('"a phrase', 0, []),
        ("colour:x", 0, []),
    ],
)  # fmt: skip
def test_choices(explorer: Explorer, typed: str, start: int, choices: list[str]) -> None:
    found = complete(explorer, typed)
    assert [one.insert for one in found.choices] == choices
    assert (found.start, found.end) == (start, len(typed)) or not choices


def test_what_stands_behind_the_cursor_is_left_alone(explorer: Explorer) -> None:
    found = complete(explorer, "topic:min river", at=9)
    assert (found.start, found.end, [one.insert for one in found.choices]) == (0, 9, ["topic:mining"])


@given(st.text(max_size=40), st.integers(0, 50))
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_whatever_is_typed_each_choice_can_be_asked(explorer: Explorer, typed: str, at: int) -> None:
    found = complete(explorer, typed, at)
    assert 0 <= found.start <= found.end <= len(typed)
    for one in found.choices:
        parse_question(explorer.index, one.insert)  # raises nothing


def test_over_http_it_is_json_of_plain_text(explorer: Explorer) -> None:
    client = TestClient(make_app(explorer), base_url="http://localhost")
    told = client.get("/search/complete.json", params={"q": "promotes:<"})
    assert told.headers["content-type"] == "application/json"
    assert [one["insert"] for one in json.loads(told.text)["choices"]] == ['promotes:"<b>"']
