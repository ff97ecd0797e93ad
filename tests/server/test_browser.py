"""Reading in a real browser: every page, its keys, what scripts add, and whether everyone can use it."""

from collections.abc import Callable
from typing import Any

import pytest

from ffmem import Index
from tests.server.browser import Server, has_module, new_tab
from tests.server.visits import PAGES


@pytest.fixture(scope="module")
def server(studied_index: Index, index_of: Callable[[str], Index], serve: Callable[..., Server]) -> Server:
    return serve(studied_index.folder, index_of("wikilm").folder)


@pytest.mark.slow
def test_shades_and_near_cells_come_by_themselves(server: Server, tab: Any) -> None:
    tab.goto(f"{server.url}/cells/L1.7")
    tab.wait_for_selector(".text .t")
    tab.wait_for_selector("#similar-cells table")
    tab.click("#similar-cells .choices a:has-text('promoted')")
    tab.wait_for_selector("#similar-cells .choices a[aria-current]:has-text('promoted')")
    before = tab.text_content("ol.triggers .text")
    with new_tab(tab.context.browser, java_script_enabled=False) as plain:
        plain.goto(f"{server.url}/cells/L1.7")
        assert plain.text_content("ol.triggers .text").strip() == before.strip()


def test_keys_lead_from_cell_to_cell(server: Server, tab: Any) -> None:
    tab.goto(f"{server.url}/cells/L1.7")
    tab.keyboard.press("ArrowRight")
    tab.wait_for_url("**/cells/L1.8")
    tab.keyboard.press("ArrowLeft")
    tab.wait_for_url("**/cells/L1.7")
    tab.keyboard.press("/")
    assert tab.evaluate("document.activeElement.id") == "find"
    tab.keyboard.type("?")
    assert tab.input_value("#find") == "?"  # a key in a field is a letter
    tab.keyboard.press("Escape")
    tab.evaluate("document.activeElement.blur()")
    tab.keyboard.press("?")
    assert tab.is_visible("dialog#keys")
    tab.keyboard.press("Escape")
    tab.keyboard.press("o")
    tab.wait_for_url(f"{server.url}/")


def test_light_and_dark_are_kept(server: Server, tab: Any) -> None:
    colour = "getComputedStyle(document.body).backgroundColor"
    tab.emulate_media(color_scheme="light")
    tab.goto(server.url)
    light = tab.evaluate(colour)
    tab.click("button.theme")
    dark = tab.evaluate(colour)
    assert dark != light
    tab.goto(f"{server.url}/cells")
    assert tab.evaluate(colour) == dark


def test_charts_are_drawn(server: Server, tab: Any) -> None:
    tab.goto(f"{server.url}/figures")
    first = tab.locator("figure.chart").first
    first.scroll_into_view_if_needed()
    first.locator(".drawn svg path").first.wait_for()
    first.locator("img").wait_for(state="hidden")
    with new_tab(tab.context.browser, java_script_enabled=False) as plain:
        plain.goto(f"{server.url}/figures")
        assert plain.locator("figure.chart img").count() == tab.locator("figure.chart").count() > 10


def test_two_indexes_are_compared(server: Server, tab: Any) -> None:
    tab.goto(f"{server.url}/diff")
    tab.select_option("select[name=by]", "active")
    tab.click("button:has-text('Show')")
    tab.wait_for_url("**by=active**")
    tab.click("tbody tr:first-child a")
    tab.wait_for_selector("h1:has-text('in both')")


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_everyone_can_use_every_page(everything: Server, chromium: Any, width: int, scheme: str) -> None:
    """axe: no violation that is serious or worse, every target large enough, and nothing wider than the screen."""
    if not has_module("axe_playwright_python"):
        pytest.skip("axe is not installed: it comes with the extra dev")
    problems = []
    touch = width < 400
    with new_tab(
        chromium, viewport={"width": width, "height": 900}, color_scheme=scheme, has_touch=touch, is_mobile=touch
    ) as page:
        for path in PAGES:
            page.goto(f"{everything.url}/{path}")
            page.wait_for_timeout(300)
            problems += violations(page, f"{path} {scheme}")
    assert not problems


def violations(page: Any, where: str) -> list[str]:
    """What axe finds on a page, and whether it scrolls sideways."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page, options={"rules": {"target-size": {"enabled": True}}}).response["violations"]
    told = [
        f"{where}: {one['id']}: {one['nodes'][0]['html'][:200]}"
        for one in found
        if one["impact"] in ("serious", "critical")
    ]
    if page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth + 1"):
        told.append(f"{where}: the page is wider than the screen")
    return told


def test_results_come_while_they_are_typed(server: Server, tab: Any) -> None:
    tab.goto(f"{server.url}/search")
    tab.fill("#find", "river")
    tab.wait_for_selector("ol.hits li")
    assert tab.url.endswith("/search?q=river")
    tab.fill("#find", "river promotes:qqqzzz")
    tab.wait_for_selector("p.problem")
    tab.fill("#find", "L1.7")
    tab.keyboard.press("Enter")
    tab.wait_for_url("**/cells/L1.7")
    tab.goto(f"{server.url}/search?q=/ri?ver/")
    assert tab.input_value("#find") == "/ri?ver/" and tab.locator("ol.sentences mark").count() > 0


def test_a_prompt_is_taken_apart_and_changed(server: Server, tab: Any) -> None:
    tab.goto(f"{server.url}/prompt")
    tab.fill("#text", "the old river of the village")
    tab.click("button:has-text('Run')")
    tab.wait_for_selector("table.lens")
    assert "text=the+old+river" in tab.url
    tab.click("table.lens tbody tr:last-child td:nth-child(3) a")
    tab.wait_for_selector("#writers:has-text('What L0 writes')")
    tab.click("#results a.act:has-text('out') >> nth=0")
    tab.wait_for_selector("#changed")
    assert "change=L0." in tab.url
    shared = tab.url
    with new_tab(tab.context.browser, java_script_enabled=False) as plain:
        plain.goto(shared)
        assert plain.inner_text(".verdict .says") == tab.inner_text(".verdict .says")
        assert plain.locator("#changed").count() == 1
    tab.click("#chips .remove")
    tab.wait_for_selector("#changed", state="detached")
    tab.go_back()
    tab.wait_for_selector("#changed")


def test_the_map_leads_from_tokens_to_layers_to_cells(server: Server, tab: Any) -> None:
    tab.goto(f"{server.url}/map")
    tab.fill("#text", "the old river of the village")
    tab.click("#ask button.main")
    tab.wait_for_selector("table.one-map")
    title = tab.text_content("#whole")
    tab.click(".reading-tokens a >> nth=2")
    tab.wait_for_selector(".reading-tokens a[aria-current] >> nth=0")
    tab.wait_for_function("title => document.getElementById('whole').textContent !== title", arg=title)
    assert "at=2" in tab.url
    tab.click("table.one-map tbody tr:last-child th a")
    tab.wait_for_selector("#full:has-text('Layer L0')")
    shared = tab.url
    tab.click("section[aria-labelledby=full] tbody th a >> nth=0")
    tab.wait_for_url("**/cells/L0.*")
    with new_tab(tab.context.browser, java_script_enabled=False) as plain:
        plain.goto(shared)
        assert "Layer L0 in full" in plain.text_content("#full")


def test_a_head_is_patched_from_its_row(server: Server, tab: Any) -> None:
    tab.goto(f"{server.url}/attention?text=the+old+river+of+the+village&layer=L2")
    tab.wait_for_selector("table.heatmap")
    tab.click("a:has-text('L2.H1')")
    tab.wait_for_selector("#patched:has-text('With L2.H1 patched')")
    assert "heads=L2.H1" in tab.url
    tab.go_back()
    tab.wait_for_selector("#patched", state="detached")
