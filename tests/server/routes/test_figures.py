"""Studies over HTTP: charts in three forms with the same numbers, and the script that draws them."""

import csv
import io
import json
import xml.etree.ElementTree as ElementTree

import pytest
from starlette.testclient import TestClient

from ffmem.server.app import make_app
from ffmem.server.explorer import Explorer
from tests.server.conftest import HTML, LABELS, PATTERNS
from tests.server.page import assert_sound


@pytest.fixture
def studied(explained: Explorer) -> TestClient:
    return TestClient(make_app(explained), base_url="http://localhost")


def numbers_in(value: object) -> set[tuple[str, str, float]]:
    """(layer, series, number) of every row of data in a chart."""
    if isinstance(value, dict):
        inner = set().union(*map(numbers_in, value.values()), set())
        own = {(value["name"], value["series"], value["value"])} if {"name", "series", "value"} <= set(value) else set()
        return inner | own
    return set().union(*map(numbers_in, value), set()) if isinstance(value, list) else set()


def test_a_chart_has_its_numbers_in_every_form(studied: TestClient) -> None:
    expected = {(layer, label, value) for layer, labels in LABELS.items() for label, value in labels.items()}
    assert numbers_in(studied.get("/figures/labels.json").json()) == expected
    table = studied.get("/figures/labels.csv")
    assert table.headers["content-type"] == "text/csv; charset=utf-8"
    rows = csv.DictReader(io.StringIO(table.text))
    assert {(row["name"], row["series"], float(row["value"])) for row in rows} == expected
    picture = studied.get("/figures/labels.svg")
    assert picture.headers["content-type"] == "image/svg+xml"
    texts = " ".join(ElementTree.fromstring(picture.content).itertext())
    assert all(label in texts for label in LABELS["L0"])


def test_every_chart_of_the_page_is_there(studied: TestClient) -> None:
    told = studied.get("/figures.json").json()
    page = assert_sound(studied.get("/figures", headers=HTML).text)
    images = page.all("img")
    assert [one.attributes["src"] for one in images] == [f"/figures/{name}.svg" for name in told["figures"]]
    for one in images:
        assert studied.get(one.attributes["src"]).content.startswith(b"<svg")
        assert json.loads(studied.get(one.attributes["data-spec"]).text)["$schema"].startswith(
            "https://vega.github.io/"
        )
    ours = [row[3] for row in page.one("section", aria_labelledby="numbers-title").rows()]
    shares = [one["ours"] for one in told["numbers"] if one["unit"] == "%" and one["low"] is None]
    assert [float(one.split(" ")[0]) for one in ours if "(" not in one and "%" in one] == [100 * one for one in shares]


def test_patterns_are_the_file_of_the_study(studied: TestClient) -> None:
    answer = studied.get("/patterns/L1.csv")
    assert answer.content == PATTERNS.encode() and answer.headers["content-type"].startswith("text/csv")


def test_a_study_is_named_by_its_key(studied: TestClient, explained: Explorer) -> None:
    key = explained.studies.results[0].key
    assert studied.get("/figures.json", params={"study": key}).json()["key"] == key
    for path in ("/figures", "/figures.json", "/figures/labels.svg", "/figures/labels.json", "/figures/labels.csv"):
        answer = studied.get(path, params={"study": "another"})
        assert answer.status_code == 404 and f"Expected one of: {key}" in answer.json()["error"]["expected"]


def test_without_a_study_the_figures_say_how_to_make_one(client: TestClient) -> None:
    assert "ffmem reproduce" in assert_sound(client.get("/figures", headers=HTML).text).one("main").words
    for path in ("/figures/agreement.svg", "/figures/agreement.json", "/figures/agreement.csv", "/patterns/L0.csv"):
        assert client.get(path).status_code == 404


def test_the_script_that_draws_is_kept_for_a_day(studied: TestClient, explained: Explorer) -> None:
    answer = studied.get("/vega.js")
    assert "vegaEmbed" in answer.text and answer.headers["cache-control"] == "max-age=86400"
    assert explained.ready("vega") == answer.text
