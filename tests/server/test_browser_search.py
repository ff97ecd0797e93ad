"""The search box and its filters in a real browser."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.made_index import Document, Layer, make_index
from tests.server.browser import Server, has_module, new_tab

HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, serve: Callable[..., Server]) -> Server:
    """A few cells: those of the first layer fire in documents about the sea, those of the second in others."""
    folder: Path = tmp_path_factory.mktemp("search") / "i"
    documents = [
        Document(
            [["the", " old", " river"]] * 6, f"d{number}", {"topic": topic, "genre": HOSTILE if number else "story"}
        )
        for number, topic in enumerate(("sea", "sea", "land", "Middle Ages"))
    ]
    first = [[sign * (1.0 + place), sign * (2.0 + place)] for sign in (1, -1) for _ in range(12) for place in range(3)]
    make_index(folder, documents, [Layer(first), Layer([[-one for one in row] for row in first])], top=12)
    return serve(folder, "--no-model")


def test_completion_by_keys(server: Server, tab: Any) -> None:
    tab.goto(f"{server.url}/cells")  # the box is on every page
    tab.click("#find")
    tab.keyboard.type("top")
    tab.wait_for_selector("#find-choices li:has-text('topic:')")
    assert tab.get_attribute("#find", "aria-expanded") == "true"
    tab.keyboard.press("ArrowDown")
    assert tab.get_attribute("#find", "aria-activedescendant") == "find-choice-0"
    assert tab.get_attribute("#find-choice-0", "aria-selected") == "true"
    tab.keyboard.press("Enter")
    assert tab.input_value("#find") == "topic:"
    tab.wait_for_selector("#find-choices li:has-text('Middle Ages')")
    tab.keyboard.type("mid")
    tab.wait_for_selector("#find-choices li:nth-child(2)", state="detached")
    tab.keyboard.press("ArrowDown")
    tab.keyboard.press("Tab")
    assert tab.input_value("#find").strip() == 'topic:"Middle Ages"'
    tab.keyboard.press("Enter")
    tab.wait_for_url("**/search?q=**")
    tab.wait_for_selector(".chip:has-text('Middle Ages')")
    tab.fill("#find", "meta.genre:")
    tab.wait_for_selector("#find-choices li:has-text('onerror')")
    assert tab.locator("#find-choices img").count() == 0
    tab.keyboard.press("Escape")
    assert tab.is_hidden("#find-choices") and tab.input_value("#find") == "meta.genre:"


def test_the_panel_writes_the_box_and_chips_take_away(server: Server, tab: Any) -> None:
    tab.goto(f"{server.url}/search")
    tab.select_option("select[name=topic]", "sea")
    tab.fill("input[name=layer]", "L0")
    tab.click("#fields button")
    tab.wait_for_selector("ol.hits > li")
    assert tab.input_value("#find") == "topic:sea layer:L0" and "q=topic%3Asea+layer%3AL0" in tab.url
    assert tab.locator("ol.hits h3 a").all_inner_texts() == ["L0.0", "L0.1"]
    assert "12 of 12 triggers, 2.0 times the rate of all" in tab.inner_text("ol.hits")
    tab.click(".chip:has-text('layer:L0')")
    tab.wait_for_selector(".chip:has-text('layer:L0')", state="detached")
    assert tab.input_value("#find") == "topic:sea"
    tab.go_back()
    tab.wait_for_selector(".chip:has-text('layer:L0')")
    with new_tab(tab.context.browser, java_script_enabled=False) as plain:
        plain.goto(f"{server.url}/search")
        plain.select_option("select[name=topic]", "sea")
        plain.click("#fields button")
        assert plain.input_value("#find") == "topic:sea" and plain.locator("ol.hits > li").count() == 2


def test_what_stands_below_never_passes_for_an_answer_to_something_else(server: Server, tab: Any) -> None:
    tab.goto(f"{server.url}/search?q=river")
    tab.fill("#find", "L1.1")
    tab.wait_for_selector("#results[data-stale*='Press Enter to open the cell L1.1']")
    tab.fill("#find", "tpoic:sea")
    tab.wait_for_selector(".problem:has-text('Write topic: instead')")
    assert tab.get_attribute("#results", "data-stale") is None
    tab.route("**/search?**", lambda route: route.abort("connectionrefused"))
    tab.fill("#find", "old")
    tab.wait_for_selector("#results[data-stale*='does not answer']")
    tab.unroute("**/search?**")
    tab.fill("#find", "old river")
    tab.wait_for_selector("ol.hits mark.match")
    assert tab.get_attribute("#results", "aria-busy") is None


def test_of_a_large_index_sentences_come_first(server: Server, tab: Any) -> None:
    """Cells follow, the same as on a page that has both at once; where they cannot be had, that is said."""
    sentences, cells = "ol.sentences > li", "ol.hits > li"
    tab.goto(f"{server.url}/search?q=river&parts=no")
    whole, n_sentences, n_cells = (
        tab.inner_text("#cells-part"),
        tab.locator(sentences).count(),
        tab.locator(cells).count(),
    )
    assert n_sentences and n_cells
    tab.route("**/search?*show=cells*", lambda route: route.abort("connectionrefused"))
    tab.goto(f"{server.url}/search?q=river&parts=yes")
    tab.wait_for_selector("#cells-part:has-text('does not answer')")
    assert (tab.locator(sentences).count(), tab.locator(cells).count()) == (n_sentences, 0)
    tab.unroute("**/search?*show=cells*")
    tab.goto(f"{server.url}/search?q=river&parts=yes")
    tab.wait_for_selector("#cells-part ol.hits")
    assert tab.inner_text("#cells-part") == whole and tab.locator(sentences).count() == n_sentences
    after = "document.querySelector('ol.sentences').compareDocumentPosition(document.getElementById('cells-part'))"
    assert tab.evaluate(after) == 4  # so that what is read does not move
    with new_tab(tab.context.browser, java_script_enabled=False) as plain:
        plain.goto(f"{server.url}/search?q=river&parts=yes")
        assert plain.locator(cells).count() == 0
        plain.click("#cells-part a")
        assert plain.locator(cells).count() == n_cells


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_everyone_can_use_it(server: Server, chromium: Any, width: int, scheme: str) -> None:
    if not has_module("axe_playwright_python"):
        pytest.skip("axe-playwright-python is not installed: it comes with the extra dev")
    from axe_playwright_python.sync_playwright import Axe

    with new_tab(chromium, viewport={"width": width, "height": 900}, color_scheme=scheme) as page:
        page.goto(f"{server.url}/search?q=old+topic:sea")
        page.click("#panel summary")
        page.click("#find")
        page.keyboard.type(" meta.")
        page.wait_for_selector("#find-choices li")
        page.keyboard.press("ArrowDown")
        for state in ("{}", "{'aria-busy': 'true'}", "{'data-stale': 'The server does not answer.'}"):
            page.evaluate(
                f"for (const [k, v] of Object.entries({state})) document.getElementById('results').setAttribute(k, v)"
            )
            found = Axe().run(page).response["violations"]
            assert not [one["id"] for one in found if one["impact"] in ("serious", "critical")], (state, found)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
