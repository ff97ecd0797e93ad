"""Ticks that stay while pages are turned, and an overview that fills itself, in a real browser."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ffmem import Index, open_index
from ffmem.store.collection_files import Collections
from tests.fixtures.made_index import Document, Layer, make_index
from tests.server.browser import Server


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two layers of 40 cells, all of which fire on one word."""
    rows = [[1.0 + cell + 100 * layer for cell in range(40)] for layer in range(2)]
    folder: Path = tmp_path_factory.mktemp("ticks") / "i"
    make_index(folder, [Document([["the", " river"]])], [Layer([row, row]) for row in rows])
    return folder


@pytest.fixture(scope="module")
def server(made: Path, serve: Callable[..., Server]) -> Server:
    return serve(made, "--no-model")


def test_ticks_of_several_pages_are_kept_together(server: Server, made: Path, tab: Any) -> None:
    tab.goto(f"{server.url}/cells?sort=index&limit=20")
    for cell in ("L0.3", "L0.11"):
        tab.check(f".tick[value='{cell}']")
    assert tab.inner_text(".keep .ticked") == "the 2 ticked"
    tab.click("a[rel=next]")
    tab.wait_for_selector(".tick[value='L0.25']")
    assert tab.inner_text(".keep .ticked") == "2 ticked, 2 of them on other pages,"
    assert tab.is_hidden(".keep .every")
    tab.check(".tick[value='L0.25']")
    assert tab.inner_text(".keep .ticked") == "3 ticked, 2 of them on other pages,"
    tab.click("th a:has-text('active')")  # the same cells in another order
    tab.wait_for_url("**sort=active**")
    assert tab.is_checked(".tick[value='L0.11']") and tab.inner_text(".keep .ticked").startswith("3 ticked, 1 of them")
    tab.uncheck(".tick[value='L0.11']")
    tab.goto(f"{server.url}/cells?layer=L1")  # another list has ticks of its own
    assert tab.is_visible(".keep .every") and tab.is_hidden(".untick")
    tab.goto(f"{server.url}/cells?sort=index&limit=20")
    assert tab.is_checked(".tick[value='L0.3']") and not tab.is_checked(".tick[value='L0.11']")
    tab.fill(".keep input[name=name]", "two-pages")
    tab.click(".keep button:has-text('Keep')")
    tab.wait_for_url("**/collections/two-pages")
    kept = Collections(open_index(made)).load("two-pages").collection.items
    assert [str(one.cell) for one in kept] == ["L0.3", "L0.25"]
    tab.goto(f"{server.url}/cells?sort=index&limit=20")
    assert not tab.is_checked(".tick[value='L0.3']") and tab.is_visible(".keep .every")  # they are kept, and gone here


def test_a_refused_name_loses_no_tick_and_search_keeps_its_own(server: Server, tab: Any) -> None:
    tab.goto(f"{server.url}/search?q=the")
    ticked = tab.locator(".tick").nth(1).get_attribute("value")
    tab.check(f".tick[value='{ticked}']")
    tab.evaluate("document.querySelector('.keep input[name=name]').removeAttribute('pattern')")
    tab.fill(".keep input[name=name]", "No Name")
    tab.click(".keep button:has-text('Keep')")
    tab.wait_for_selector("h1:has-text('That did not work')")
    tab.go_back()
    tab.wait_for_selector(".keep .ticked")
    assert tab.is_checked(f".tick[value='{ticked}']")
    tab.click("#results a[rel=next]")  # fetched, and put in place
    tab.wait_for_selector(".keep .ticked:has-text('1 ticked, 1 of them on other pages,')")
    tab.click(".untick")
    assert tab.is_visible(".keep .every")
    tab.click("#results a[rel=prev]")
    tab.wait_for_selector(f".tick[value='{ticked}']")
    assert not tab.is_checked(f".tick[value='{ticked}']")


def test_the_overview_fills_itself_and_moves_nothing(
    index_of: Callable[[str], Index], serve: Callable[..., Server], tab: Any
) -> None:
    """The server's first answers are made to be those that it gives while cells are being chosen."""
    server = serve(index_of("gpt2").folder, "--no-model")
    tab.set_viewport_size({"width": 1280, "height": 900})
    n_asked: list[str] = []
    waiting = (
        '<section id="first-look" class="waiting" aria-labelledby="first"><h2 id="first">Worth a first look</h2>'
        '<p class="note" id="choosing">A few cells are being chosen</p>'
        '<div class="cards"><div class="card"></div></div></section>'
    )

    def answer(route: Any) -> None:
        n_asked.append(route.request.url)
        whole = route.fetch()
        text = whole.text()
        if len(n_asked) <= 2:
            head, rest = text.split('<section id="first-look"')
            text = head.replace("</head>", '<script src="/static/overview.js" defer></script></head>')
            text += waiting + rest.split("</section>", 1)[1]
        route.fulfill(response=whole, body=text)

    tab.goto(f"{server.url}/cells")  # highlights are chosen once
    tab.wait_for_function("async () => (await (await fetch('/index.json')).json()).highlights.length > 0")
    tab.route(f"{server.url}/", answer)
    tab.goto(f"{server.url}/")
    top = tab.locator("#of-layers").bounding_box()["y"]
    assert tab.is_visible("#choosing")
    tab.wait_for_selector("#first-look .card h3 a", timeout=10_000)
    first = json.loads(tab.evaluate("fetch('/index.json').then(one => one.text())"))["highlights"][0]["cell"]
    assert tab.inner_text("#first-look .card h3 a >> nth=0") == first
    assert tab.locator("#choosing").count() == 0 and tab.locator("#first-look.waiting").count() == 0
    assert tab.locator("#of-layers").bounding_box()["y"] == pytest.approx(top, abs=1)
    n = len(n_asked)
    tab.wait_for_timeout(1500)
    assert len(n_asked) == n == 3  # and then it is quiet
