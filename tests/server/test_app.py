"""The explorer as a whole: every link leads somewhere, every page is sound, and no wrong parameter is more than refused."""

import re
import shutil
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, get_args, get_origin
from urllib.parse import quote, urljoin, urlsplit

import pytest
from fastapi.routing import APIRoute
from starlette.testclient import TestClient

import ffmem
from ffmem import Index
from ffmem.names.collection_queries import save
from ffmem.queries.table import cells
from ffmem.server.app import make_app
from ffmem.server.opening import open_explorer
from ffmem.server.routes import ROUTERS
from ffmem.server.warm import warm
from tests.server.conftest import HTML
from tests.server.page import addresses, assert_sound, read_page

ROUTES = [one for router in ROUTERS for one in router.routes if isinstance(one, APIRoute) and "GET" in one.methods]
THERE = {"cell_id": "L1.3", "sentence_id": "5", "name": "labels", "batch": "b", "annotator": "ann", "number": "1"}
THERE |= {"overview_part": "layers", "cell_part": "triggers", "sentence_part": "cells", "prompt_part": "lens"}
THERE |= {"map_part": "layers", "attention_part": "map", "flow_part": "parts", "annotate_part": "agreement"}
THERE |= {"collection_part": "items", "form": "csv", "row_form": "csv"}
"""A value of each part of a path that is there."""
ASKED = {
    "text": "the old river",
    "new": "1",
    "batch": "b",
    "annotator": "ann",
    "q": "river",
    "number": "1",
    "other": "L1.2",
}
"""What a route must be asked, or what makes it quick."""
FOR_PROGRAMS = ("/model", "/annotate/export", "/figures/{name}", "/atlas/cell", "/search/complete", "/prompt/cells")
"""Data without a page of its own, less ``.json``."""


@pytest.fixture(scope="module")
def whole(
    explained_index: Index, other_index: Index, tiny_folder: Callable[[str], Path], tmp_path_factory: Any
) -> Iterator[TestClient]:
    """With a model, a study, a further index and a batch: everything that a page can lead to."""
    folder = tmp_path_factory.mktemp("whole") / "index"
    shutil.copytree(explained_index.folder, folder)
    explorer = open_explorer(folder, others=[other_index.folder], model=str(tiny_folder("gpt2")))
    explorer.model.wait()
    warm(explorer).join()
    client = TestClient(make_app(explorer), base_url="http://localhost:8765")
    save(explorer.index, "labels", "cells", {"limit": 3}, cells(explorer.index, limit=3))  # the name of a figure, too
    client.post("/annotate", data={"name": "b", "per_layer": 1, "triggers": 5})
    for annotator, text in (("ann", "water"), ("bob", "fire")):
        body = {"revision": 0, "patterns": [{"text": text, "class": "semantic"}], "marks": [[1]] * 5, "done": True}
        assert client.put(f"/annotate/b/{annotator}/1.json", json=body).status_code == 200
    yield client
    explorer.model.close()


def kind_of(address: str) -> str:
    """Addresses that differ only in numbers and texts are of one kind."""
    parts = urlsplit(address)
    path = re.sub(r"L\d\.\d+", "CELL", parts.path)
    names = sorted({one.partition("=")[0] for one in parts.query.split("&")})
    return f"{re.sub(r'[0-9]+', 'N', path)}?{names}"


def is_page(answer: Any) -> bool:
    return bool(answer.headers.get("content-type", "").startswith("text/html"))


def test_every_link_of_every_page_leads_somewhere(whole: TestClient) -> None:
    text = "the old river"
    waiting = [
        "/",
        f"/prompt?text={text}&change=L1.3*0&new=1",
        f"/map?text={text}",
        f"/attention?text={text}&heads=L1.H0",
    ]
    waiting += ["/search?q=river", "/search?q=promotes:th", "/cells/L1.3/similar?by=value", "/annotate/b/adjudicated/1"]
    seen: dict[str, int] = {}
    n_pages = 0
    while waiting:
        address = waiting.pop()
        answer = whole.get(address, headers=HTML)
        assert answer.status_code == 200, address
        if is_page(answer):
            n_pages += 1
            page = assert_sound(answer.text)
            assert "None" not in page.one("main").text, address
            for one in addresses(page):
                target = urljoin(str(answer.url), one).partition("#")[0].removeprefix("http://localhost:8765")
                assert target.startswith("/"), one
                kind = kind_of(target)
                seen[kind] = seen.get(kind, 0) + 1
                if seen[kind] == 1 and target != "/annotate/go":  # a form's address wants its fields
                    waiting.append(target)
    assert n_pages > 30
    kinds = {kind.partition("?")[0] for kind in seen}
    assert kinds >= {
        "/vega.js",
        "/annotate/export.csv",
        "/cells/CELL/shades",
        "/diff/CELL",
        "/sentences/N.json",
        "/map.json",
    }


def test_headings_and_titles_tell_pages_apart(whole: TestClient) -> None:
    paths = ["/", "/cells", "/search", "/prompt", "/map", "/attention", "/annotate", "/figures", "/diff", "/cells/L1.3"]
    pages = [assert_sound(whole.get(path, headers=HTML).text) for path in paths]
    assert len({one.one("title").words for one in pages}) == len({one.one("h1").words for one in pages}) == len(paths)
    for path, page in zip(paths[:-1], pages, strict=False):
        here = [one for one in page.one("nav", aria_label="Pages").all("a") if "aria-current" in one.attributes]
        assert [one.attributes["href"] for one in here] == ["/prompt" if path in ("/map", "/attention") else path]


def assert_refused(answer: Any, address: str) -> None:
    """In three parts, and as a page."""
    assert answer.status_code in (400, 404), (address, answer.status_code)
    if is_page(answer):
        page = assert_sound(answer.text)
        assert page.one("h1").words == "That did not work" and len(page.one("main").all("p")) == 4, address
        told = [one.words for one in page.one("main").all("p")[:3]]
        assert not [one for one in told if one.endswith("..") or one in ("", ".")], (address, told)
    else:
        told = answer.json()["error"]
        assert told["kind"] == "InputError" and all(told[part] for part in ("got", "expected", "mend")), (address, told)


def wrong_values(field: Any) -> list[str]:
    """What a parameter of this type must refuse."""
    kind = field.field_info.annotation
    numbers = [part for part in (kind, *get_args(kind)) if part is int]
    if numbers:
        bounds = [one for one in field.field_info.metadata if hasattr(one, "ge") or hasattr(one, "gt")]
        assert bounds, f"{field.alias} has no lower bound"
        return [
            "",
            "x",
            "-1",
            "1.5",
            "1e3",
            "9" * 30,
            "9" * 5000,
            "\u0663",
            "\uff11",
            "NaN",
            "0x1",
            "1;2",
            "\x00",
            "\u2028",
        ]
    if kind is bool or bool in get_args(kind):
        return ["", "maybe", "2", "-1", "\u0663", "\x00", "x" * 5000]
    if kind is float or float in get_args(kind):
        return ["", "x", "1e999", "NaN", "0x1", "1;2", "\x00", "\u2028", "-9" * 400]
    choices = [get_args(one) for one in (kind, *get_args(kind)) if get_origin(one) is Literal]
    if choices:
        first = str(choices[0][-1])
        values = ["", "nothing", "<script>", f"{first.upper()}x", f" {first}", "\ud7ff", "x" * 5000]
        return [value for value in values if value not in choices[0]]
    if get_origin(kind) is list:
        (kind,) = get_args(kind)  # each of them has a limit of its own
    metadata = [*field.field_info.metadata, *(one for part in get_args(kind) for one in getattr(part, "metadata", ()))]
    limits = [one.max_length for one in metadata if hasattr(one, "max_length")]
    assert limits, f"{field.alias} may be of any length"
    return ["x" * (limits[-1] + 1)]


def parameters(route: APIRoute) -> list[Any]:
    """Those of a route's query, and of what it depends on."""

    def of(part: Any) -> list[Any]:
        return [*part.query_params, *(one for inner in part.dependencies for one in of(inner))]

    return of(route.dependant)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.path)
def test_a_wrong_parameter_is_refused_and_no_more(route: APIRoute, whole: TestClient) -> None:
    path = route.path.format(**THERE)
    right = {one.alias: ASKED[one.alias] for one in parameters(route) if one.alias in ASKED}
    if not path.startswith("/patterns"):
        assert whole.get(path, params=right, headers=HTML, follow_redirects=False).status_code in (200, 303)
    for one in parameters(route):
        for value in wrong_values(one):
            answer = whole.get(path, params=right | {one.alias: value}, headers=HTML, follow_redirects=False)
            assert_refused(answer, f"{path} {one.alias}={value[:20]!r}")
        if one.field_info.is_required():
            left = {name: value for name, value in right.items() if name != one.alias}
            assert_refused(whole.get(path, params=left, headers=HTML), f"{path} without {one.alias}")


@pytest.mark.parametrize("route", [one for one in ROUTES if "{" in one.path], ids=lambda route: route.path)
def test_a_part_of_a_path_that_is_not_there_is_refused(route: APIRoute, whole: TestClient) -> None:
    for field in route.dependant.path_params:
        for value in (
            "No Thing",
            "-1",
            "L9.9",
            "9" * 30,
            "x" * 400,
            "\u0663",
            "<b>",
            "\u202e",
            "\x00",
            "%2e%2e",
            "a b",
            "'",
        ):
            path = route.path.format(**THERE | {field.alias: quote(value, safe="")})
            answer = whole.get(path, params=ASKED, headers=HTML, follow_redirects=False)
            assert_refused(answer, path[:60])
            assert "<b>" not in answer.text or not is_page(answer)


@pytest.mark.parametrize("route", [one for one in ROUTES if one.path.endswith(".json")], ids=lambda route: route.path)
def test_data_and_pages_take_the_same_parameters(route: APIRoute) -> None:
    """The path of a page's data is its own with ``.json``."""
    pages = {one.path: one for one in ROUTES}
    path = {"/index.json": "/"}.get(route.path, route.path.removesuffix(".json"))
    if path not in pages:
        assert path in FOR_PROGRAMS
        return
    told = {one.alias: one.field_info.metadata for one in parameters(route) if one.alias != "whole"}  # for programs
    shown = {one.alias: one.field_info.metadata for one in parameters(pages[path])}
    shown.pop("parts", None)  # how a page comes, not what is in it
    assert told == shown


def test_of_a_parameter_that_stands_twice_the_last_counts(whole: TestClient) -> None:
    assert len(whole.get("/cells.json?limit=3&limit=2").json()["rows"]) == 2
    assert whole.get("/cells.json?limit=3&limit=x").status_code == 400
    assert whole.get("/cells.json?limit=x&limit=3").status_code == 200


def test_an_address_that_is_none_is_told_as_asked(whole: TestClient) -> None:
    for path in ("/nowhere", "/static/nothing.js", "/cells/L1.3/nothing", "/figures/labels.gif", "/%FF%00"):
        assert_refused(whole.get(path, headers=HTML), path)
        assert whole.get(path).json()["error"]["got"].startswith("there is no page '/")
    refused = whole.post("/cells", headers=HTML)
    assert refused.status_code == 405 and refused.headers["allow"] == "GET"


def test_styles_and_scripts_are_the_files_of_the_package(whole: TestClient) -> None:
    static = files("ffmem.server").joinpath("static")
    for file in static.iterdir():
        answer = whole.get(f"/static/{file.name}")
        assert answer.content == file.read_bytes()
        kind = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}[file.name.rpartition(".")[2]]
        assert answer.headers["content-type"].startswith(kind)


def test_head_tells_what_get_would_and_sends_no_body(whole: TestClient) -> None:
    for path in ("/", "/cells/L1.3", "/index.json", "/static/icon.svg", "/figures/labels.svg", "/nowhere"):
        head, got = whole.head(path, headers=HTML), whole.get(path, headers=HTML)
        assert (head.status_code, head.content) == (got.status_code, b""), path
        assert head.headers["content-length"] == str(len(got.content)), path
    icon = assert_sound(whole.get("/", headers=HTML).text).one("link", rel="icon")
    assert whole.get(icon.attributes["href"]).headers["content-type"] == "image/svg+xml"


def test_a_bare_page_has_its_content_and_leads_out_of_the_frame(whole: TestClient) -> None:
    page, bare = (
        read_page(whole.get(f"/cells/L1.3?{query}", headers=HTML).text)
        for query in ("triggers=5", "embed=1&triggers=5")
    )
    shown = [[one.words for one in each.all("ol", class_="triggers")] for each in (page, bare)]
    assert shown[0] == shown[1] != [] and not bare.all("header") and page.all("header")
    assert not bare.one("main").all("form") and page.one("main").all(
        "form"
    )  # nothing that a frame could make one press
    assert bare.one("base").attributes == {"target": "_blank"}
    assert bare.one("footer").one("a").attributes["href"] == "/cells/L1.3?triggers=5"


def test_it_begins_to_warm_up_and_closes_its_model_at_the_end(index_of: Callable[[str], Index]) -> None:
    explorer = open_explorer(index_of("gpt2").folder)
    with TestClient(make_app(explorer), base_url="http://localhost") as client:
        explorer.model.wait()
        told = client.get("/model.json").json()
        assert (told["state"], told["name"], told["why"]) == ("ready", "gpt2", "")
        explorer.kept("highlights", lambda: ())  # waits for whoever makes it
        assert explorer.ready("highlights") is not None
        assert client.get("/prompt.json", params={"text": "a", "new": 0}).status_code == 200
    with pytest.raises(RuntimeError, match="shutdown"):
        TestClient(make_app(explorer), base_url="http://localhost").get("/prompt.json", params={"text": "a"})


def test_the_document_tells_the_version(whole: TestClient) -> None:
    assert whole.get("/openapi.json").json()["info"]["version"] == ffmem.__version__
    assert whole.get("/docs").status_code == 404  # its scripts would come from another host


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        ("/prompt?text=" + "x" * 30_000, ("text has 30,000 characters", "Expected at most 20,000", "Shorten text")),
        ("/cells?limit=many", ("limit is 'many'", "Expected a whole number", "Correct limit")),
        (
            "/cells?sort=beauty",
            ("sort is 'beauty'", "Expected one of: max, min, mean, mean-square, active, top, name, index"),
        ),
        ("/sentences/five", ("sentence_id is 'five'", "Expected a whole number", "Correct sentence_id")),
        (
            "/prompt?text=a&new=1000&at=-1",
            ("at is '-1'", "Expected 0 or more", "Choose another value; new is wrong too"),
        ),
        ("/cells/L1.3/compare", ("other is missing", "Expected a value", "Add other")),
    ],
)
def test_what_an_address_gets_wrong_is_told_in_our_words(
    client: TestClient, address: str, parts: tuple[str, ...]
) -> None:
    """As a page for who reads pages, as JSON for programs; never in the words of the library that checks it."""
    page = client.get(address, headers=HTML)
    assert page.status_code == 400 and is_page(page)
    path, _, query = address.partition("?")
    data = client.get(f"{path}.json?{query}")
    error = data.json()["error"]
    assert data.status_code == 400 and (error["got"], error["expected"], error["mend"])[: len(parts)] == parts
    shown = " ".join(read_page(page.text).one("main").text.split())
    for one in parts[:2]:
        assert one in shown
    for words in ("openapi", "should be", "Input should", "query."):
        assert words not in shown and words not in data.text


def test_a_body_that_is_no_json_is_told_so(client: TestClient) -> None:
    answer = client.put("/collections/c.json", content=b"{", headers={"content-type": "application/json"})
    assert answer.status_code == 400 and answer.json()["error"]["got"] == "the body is not JSON"
