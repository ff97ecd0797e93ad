"""The panel writes the question that the box has, and the other way round."""

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from starlette.testclient import TestClient

from ffmem.queries.question import parse_question
from ffmem.server.app import make_app
from ffmem.server.explorer import Explorer
from ffmem.server.opening import open_explorer
from ffmem.server.views.search_form import parts_of, search_form
from tests.fixtures.made_index import Document, Layer, make_index
from tests.server.conftest import HTML


@pytest.fixture(scope="module")
def explorer(tmp_path_factory: pytest.TempPathFactory) -> Explorer:
    folder: Path = tmp_path_factory.mktemp("made") / "i"
    about = {"topic": "wet", "odd field": '<i>"'}
    documents = [Document([["sea", " land"]], "one", about), Document([["sea"]], "two", {"topic": "dry"})]
    make_index(folder, documents, [Layer([[1]] * 3)])
    return open_explorer(folder, with_model=False)


TYPED = 'sea topic:wet fires:sea layer:0 active:..0.5 within:sentence meta."odd field":"<i>\\""'


def test_fields_become_the_question_that_they_were_read_from(explorer: Explorer) -> None:
    form = search_form(explorer, parse_question(explorer.index, TYPED))
    assert form.words == "sea" and form.n_asked == 6 and form.topics == ("dry", "wet") and form.layers == ("L0",)
    fields = [("words", form.words), *form.values.items()]
    fields += [(name, one[i]) for one in form.meta for i, name in enumerate(("meta_field", "meta_value"))]
    client = TestClient(make_app(explorer), base_url="http://localhost")
    answer = client.get("/search/filter", params=[*fields, ("sort", "active")], follow_redirects=False)  # type: ignore[arg-type]
    asked = parse_qs(urlsplit(answer.headers["location"]).query)
    assert answer.status_code == 303 and asked["sort"] == ["active"]
    index = explorer.index
    assert parse_question(index, asked["q"][0]) == parse_question(index, TYPED)


def test_each_part_can_be_taken_away(explorer: Explorer) -> None:
    parts = parts_of(parse_question(explorer.index, 'sea fires:"x" meta.topic:wet'))
    assert [one.typed for one in parts] == ["sea", 'fires:"x"', "meta.topic:wet"]
    assert [one.rest for one in parts] == ['fires:"x" meta.topic:wet', "sea meta.topic:wet", 'sea fires:"x"']


def test_hostile_values_stay_text(explorer: Explorer) -> None:
    client = TestClient(make_app(explorer), base_url="http://localhost")
    page = client.get("/search", params={"q": TYPED}, headers=HTML).text
    assert "<i>&#34;" not in page and "&lt;i&gt;" in page
    assert client.get("/search/filter?sort=nothing&meta_field=a").status_code == 200
