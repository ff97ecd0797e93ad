"""Hostile names on every kind of page, in a terminal and in JSON: shown as text, obeyed by nothing."""

import asyncio
import json
import shutil
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest
from starlette.testclient import TestClient

import ffmem
from ffmem import Index, queries, render
from ffmem.agent.tools import Tools
from ffmem.cli.app import as_json
from ffmem.names import people
from ffmem.names.collection_queries import save
from ffmem.server.app import make_app
from ffmem.server.opening import open_explorer
from ffmem.server.views.overview import choose_highlights
from ffmem.store.label_rows import NewLabel, Score
from tests.queries.atlas.made import with_atlas
from tests.server.conftest import HTML
from tests.server.page import Element, assert_sound

BAD = "</title><script>zebra</script><img src=x onerror=zebra>\"' onmouseover='zebra' {{ 7*7 }}\u202e\x1b[31m\x00\n=1+1"
EVIL = "\u202e\x1b[2J<b onclick=zebra>\x9b31m"
TEXTS = ("silver river", "old silver")


def hostile(index: Index) -> None:
    """Every cell, with every sign, is called badly by people, a model and a rule."""
    run = index.names.add_run({"model": BAD})
    evidence = {BAD: [BAD, {EVIL: BAD}], "field": BAD, "value": EVIL}
    more = {"kind": BAD, "evidence": evidence, "run": run, "note": BAD, "tags": (BAD, EVIL)}
    labels = [
        NewLabel(cell, sign, source, f"{BAD}{number}", author=f"{EVIL}{source}", grade="A" * (source == "rule"), **more)  # type: ignore[arg-type]
        for number, cell in enumerate(
            index.cells.cell_id(place, row)
            for place, layer in enumerate(index.cells.layers)
            for row in range(layer.n_cells)
        )
        for sign in (1, -1)[: index.n_signs]
        for source in ("human", "lm", "rule")
    ]
    numbers = index.names.add(labels, [[Score(BAD, 0.5, 0.4, 0.6, 9, 1, EVIL, BAD)]] * len(labels))
    index.names.reject(numbers[1], EVIL, BAD)


@pytest.fixture(scope="module")
def world(
    index_of: Callable[[str], Index], other_index: Index, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SimpleNamespace]:
    folder = tmp_path_factory.mktemp("hostile") / "index"
    shutil.copytree(index_of("gpt2").folder, folder, ignore=shutil.ignore_patterns("labels.*", "annotations"))
    plain = tmp_path_factory.mktemp("plain") / "index"
    shutil.copytree(folder, plain)
    hostile(ffmem.open_index(folder))
    for one in (folder, plain):
        with_atlas(ffmem.open_index(one))
        found = ffmem.open_index(one)
        save(found, "kept", "cells", {"limit": 3}, queries.cells(found, limit=3))
    explorers = []
    for one in (folder, plain):
        explorers.append(open_explorer(one, others=[other_index.folder]))
        explorers[-1].model.wait()  # models are not loaded beside each other
        choose_highlights(explorers[-1])
    clients = [TestClient(make_app(one), base_url="http://localhost") for one in explorers]
    for client in clients:
        client.post("/annotate", data={"name": "b", "per_layer": 2, "triggers": 5, "seed": 3})
    yield SimpleNamespace(index=ffmem.open_index(folder), bad=clients[0], plain=clients[1], folder=folder)
    for one in explorers:
        one.model.close()


PAGES = (
    "/", "/cells", "/cells?layer=L1&sort=mean", "/cells/L0.3", "/cells/L0.3?triggers=1", "/cells/L0.3/similar",
    "/cells/L0.3/similar?by=value", "/cells/L0.3/shades", "/search?q=silver", "/search?q=L0.3", "/search?q=promotes:the",
    "/sentences/3", "/prompt?text=the+silver", "/prompt?text=the+silver&layer=L1&at=1", "/map?text=the+silver&layer=L1",
    "/attention?text=the+silver", "/figures", "/diff", "/diff/L0.3", "/annotate", "/annotate/b/ann/1", "/nothing",
    "/flow?text=the+silver&pin=L1.3", "/prompt?text=the+silver&change=L1.3*0", "/cells/L0.3/try?text=the+silver",
    "/cells/L0.3/compare?other=L0.4", "/cells?layer=L0&kind=", "/atlas?by=triggers&colour=layer&within=0,0,1,0,1,1,0,1",
    "/collections/kept", "/search?q=layer:L0", "/cells/L0.3?embed=1",
)  # fmt: skip
NAMELESS = ("/figures", "/attention?text=the+silver", "/annotate", "/annotate/b/ann/1", "/nothing")
OURS = {
    "span", "bdi", "small", "section", "h2", "h3", "div", "table", "thead", "tbody", "tr", "th", "td", "p", "details",
    "summary", "ul", "li", "form", "input", "button", "label",
}  # fmt: skip
"""What names bring to a page."""


def kinds(page: Element) -> set[tuple[str, ...]]:
    return {(one.tag, *sorted(one.attributes)) for one in page}


@pytest.mark.parametrize("address", PAGES)
def test_every_page_shows_hostile_names_as_text(world: SimpleNamespace, address: str) -> None:
    answer = world.bad.get(address, headers=HTML)
    assert answer.status_code in (200, 404), answer.text
    page = assert_sound(answer.text)
    plain = assert_sound(world.plain.get(address, headers=HTML).text)
    new = kinds(page) - kinds(plain)
    assert {tag for tag, *_ in new} <= OURS and not [one for one in new if any(name.startswith("on") for name in one)]
    assert [one.attributes for one in page.all("script")] == [one.attributes for one in plain.all("script")]
    assert not set(answer.text) & set("\x00\x1b\x9b\u202e")
    shown = [one.words for one in page.all("bdi")]
    if address in NAMELESS:
        assert not shown and "zebra" not in answer.text
    else:
        assert "zebra" in answer.text and (shown or address.startswith("/map"))
        assert all("{{ 7*7 }}" in one or len(one) <= 60 for one in shown)


@pytest.mark.parametrize("address", ["/atlas?colour=kind", "/search?q=named:zebra"])
def test_what_is_found_by_a_hostile_name_obeys_nothing(world: SimpleNamespace, address: str) -> None:
    answer = world.bad.get(address, headers=HTML)
    page = assert_sound(answer.text)
    assert answer.status_code == 200 and "zebra" in page.one("main").words
    assert not [one for one in page if any(name.startswith("on") for name in one.attributes)]
    assert not page.all("img") and not [one for one in page.all("script") if one.text or "zebra" in str(one.attributes)]
    assert not set(answer.text) & set("\x00\x1b\x9b\u202e")


def test_json_of_every_page_is_json(world: SimpleNamespace) -> None:
    for address in (
        "/index",
        "/cells",
        "/cells/L0.3",
        "/cells/L0.3/similar",
        "/cells/L0.3/name",
        "/sentences/3",
        "/diff",
    ):
        answer = world.bad.get(f"{address}.json")
        assert answer.status_code == 200 and answer.headers["content-type"] == "application/json"
        assert "zebra" in str(answer.json())


def test_what_may_be_typed_is_told_as_plain_text(world: SimpleNamespace) -> None:
    for asked in ("label:zebra", "named:zebra", "kind:", "L0.3"):
        answer = world.bad.get("/search/complete.json", params={"q": asked})
        assert answer.status_code == 200 and answer.headers["content-type"] == "application/json"
        for one in answer.json()["choices"]:
            assert not set("".join(one.values())) & set("\x00\x1b\x9b\u202e\n")


def test_an_agent_gets_names_as_data(world: SimpleNamespace) -> None:
    pytest.importorskip("anyio")
    tools = Tools(open_explorer(world.folder, with_model=False), None)
    for asked in (tools.cell("L0.3"), tools.search("silver"), tools.names("L0.3"), tools.similar("L0.3")):
        told = asyncio.run(asked)
        assert "zebra" in json.dumps(json.loads(told)) and not set(told) & set("\x00\x1b\x9b\u202e")


def test_a_terminal_is_not_disturbed(world: SimpleNamespace) -> None:
    index: Index = world.index
    cell = index.cell_id("L0.3")
    answers = [
        (queries.cells(index, limit=9), render.cells), (queries.find(index, trigger="silver"), render.found),
        (queries.similar(index, "L0.3"), render.similar), (queries.promotes(index, " the"), render.promoting),
        (queries.search(index, "silver", with_cells=True), render.search),
    ]  # fmt: skip
    shown = [draw(found) for found, draw in answers]  # type: ignore[operator]
    shown += [render.cell(index.cell("L0.3"), 2), render.history(people.history(index, cell), whole=True)]
    shown += [render.summary(index, queries.highlights(index))]
    for text in shown:
        assert "zebra" in text and not [one for one in text if not one.isprintable() and one != "\n"]
    for found, _ in answers:
        assert not set(as_json(found)) & set("\x00\x1b\x9b\u202e")
        if hasattr(found, "_repr_html_"):
            assert "<script>" not in found._repr_html_() and "<img" not in found._repr_html_()
    assert "<script>" not in index.cell("L0.3")._repr_html_()
