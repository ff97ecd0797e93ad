"""The flow page in a real browser: the slider, pins, keys, a phone, and whether everyone can use it."""

import json
import time
from collections.abc import Callable
from typing import Any
from urllib.request import urlopen

import pytest

from ffmem import Index
from tests.server.browser import Server, has_module, new_tab
from tests.server.test_browser import violations

ADDRESS = "flow?text=the+old+river+of+the+village"


@pytest.fixture(scope="module")
def server(index_of: Callable[[str], Index], serve: Callable[..., Server]) -> Server:
    started = serve(index_of("gpt2").folder)
    for _ in range(600):  # the model is loaded in the background
        with urlopen(f"{started.url}/model.json", timeout=60) as answer:
            if json.load(answer)["state"] == "ready":
                break
        time.sleep(0.1)
    return started


def shown(page: Any) -> int:
    return int(page.locator("#drawn tr[data-part]").count())


def opened(server: Server, tab: Any, address: str = ADDRESS) -> None:
    tab.goto(f"{server.url}/{address}")
    tab.wait_for_selector("svg.flow .node")


def test_the_slider_draws_at_once_and_the_address_keeps_it(server: Server, tab: Any) -> None:
    opened(server, tab)
    before, told = shown(tab), tab.text_content("#how-much")
    tab.focus("#share")
    tab.keyboard.press("End")
    tab.wait_for_url("**share=**")
    assert shown(tab) > before and tab.text_content("#how-much") != told
    assert tab.evaluate("document.activeElement.id") == "share"  # it can go on being moved
    more = shown(tab)
    tab.reload()
    assert shown(tab) == more
    sums = tab.locator("#drawn tfoot .n").all_text_contents()
    assert float(sums[0].replace("\u2212", "-")) == pytest.approx(float(sums[1].replace("\u2212", "-")), abs=1e-2)


def test_arrows_go_through_the_picture_and_p_pins(server: Server, tab: Any) -> None:
    opened(server, tab)
    current = "document.activeElement.dataset.part"
    tab.focus("svg.flow a.node[href^='/cells/']")
    cell = tab.evaluate(current)
    assert cell in tab.text_content("#flow-now")
    assert tab.locator(f"#drawn tr[data-part='{cell}'].same").count() == 1
    tab.keyboard.press("ArrowLeft")
    assert "." in tab.evaluate(current) and tab.evaluate(current) != cell
    for _ in range(80):
        tab.keyboard.press("ArrowDown")
    assert tab.evaluate(current) == "embedding"  # the lowest of all
    assert tab.locator("svg.flow .node[tabindex='0']").count() == 1  # one stop for the Tab key
    tab.focus(f"svg.flow .node[data-part='{cell}']")
    tab.keyboard.press("p")
    tab.wait_for_selector(f"h2:has-text('What made {cell}')")
    assert f"pin={cell}" in tab.url
    tab.wait_for_selector(f"svg.flow .node[data-part='{cell}']:focus")  # it goes on where it was
    assert tab.locator("svg.flow path.made").count() > 0
    tab.keyboard.press("p")
    tab.wait_for_selector(f"h2:has-text('What made {cell}')", state="detached")
    tab.keyboard.press("Enter")
    tab.wait_for_url(f"**/cells/{cell}")


def test_it_reads_without_javascript(server: Server, chromium: Any) -> None:
    with new_tab(chromium, java_script_enabled=False) as plain:
        plain.goto(f"{server.url}/{ADDRESS}&share=0.2")
        before = shown(plain)
        plain.locator("#share").fill("0.6")
        plain.click("#flow-share button")
        assert shown(plain) > before and plain.locator("svg.flow circle").count() > before


def test_on_a_phone_the_table_comes_first_and_the_picture_scrolls(server: Server, chromium: Any) -> None:
    with new_tab(chromium, viewport={"width": 390, "height": 800}) as page:
        opened(server, page)
        table, picture = (page.locator(one).bounding_box() for one in (".flow-table", ".flow-picture"))
        assert table["y"] < picture["y"] and picture["width"] <= 390
        assert page.evaluate(
            "(one => one.scrollWidth > one.clientWidth)(document.querySelector('.flow-picture .wide'))"
        )


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_everyone_can_use_it(server: Server, chromium: Any, width: int, scheme: str) -> None:
    if not has_module("axe_playwright_python"):
        pytest.skip("axe is not installed: it comes with the extra dev")
    with new_tab(chromium, viewport={"width": width, "height": 900}, color_scheme=scheme) as page:
        for address in ("flow", f"{ADDRESS}&pin=L1.7&against=s"):
            page.goto(f"{server.url}/{address}")
            assert not violations(page, f"{address} {scheme}")
