"""The views of a text in a real browser: what is typed survives, what goes wrong is told, and a phone is enough."""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from ffmem import Index
from tests.server.browser import Server, new_tab

TEXT = "the old river of the village"
RUN = "#ask button.main"


@pytest.fixture(scope="module")
def server(index_of: Callable[[str], Index], serve: Callable[..., Server]) -> Server:
    return serve(index_of("gpt2").folder)


@pytest.fixture
def held(tab: Any) -> list[Any]:
    """Questions of the page that wait until the test lets them go."""
    waiting: list[Any] = []

    def keep(route: Any) -> None:
        waiting.append(route)

    tab.route("**/prompt?*", keep)
    return waiting


def changes_in(address: str) -> list[str]:
    return parse_qs(urlsplit(address).query).get("change", [])


def test_what_is_typed_during_a_run_stays(server: Server, tab: Any, held: list[Any]) -> None:
    tab.goto(f"{server.url}/prompt")
    tab.fill("#text", TEXT)
    tab.click(RUN)
    tab.wait_for_selector("#status:has-text('Running') button:has-text('Cancel')")
    tab.fill("#text", "another text")
    tab.fill("input[name=against]", "e")
    held.pop().continue_()
    tab.wait_for_selector("table.lens")
    assert tab.input_value("#text") == "another text" and tab.input_value("input[name=against]") == "e"
    assert TEXT in tab.inner_text(".verdict .says") and not tab.inner_text("#status")
    assert tab.get_attribute("#results", "aria-busy") is None


def test_a_question_is_cancelled_and_asked_again(server: Server, tab: Any, held: list[Any]) -> None:
    tab.goto(f"{server.url}/prompt")
    tab.fill("#text", TEXT)
    tab.click(RUN)
    tab.click("#status button:has-text('Cancel')")
    tab.wait_for_selector("#status:has-text('Cancelled')")
    assert tab.get_attribute("#results", "aria-busy") is None
    tab.unroute("**/prompt?*")
    tab.click("#status button:has-text('Try again')")
    tab.wait_for_selector(".verdict")


def test_a_server_that_is_gone_is_told_and_asked_again(
    index_of: Callable[[str], Index], serve: Callable[..., Server], tab: Any
) -> None:
    own = serve(index_of("gpt2").folder)
    tab.goto(f"{own.url}/prompt?text=the+old+river")
    tab.wait_for_selector(".verdict", timeout=60_000)
    own.kill()
    tab.fill("#text", TEXT)
    tab.click(RUN)
    tab.wait_for_selector("#status.failed:has-text('does not answer')")
    assert tab.get_attribute("#results", "aria-busy") is None and tab.locator(".verdict").count() == 1
    assert tab.input_value("#text") == TEXT
    own.start()
    tab.click("#status button:has-text('Try again')")
    tab.wait_for_function(
        "text => document.querySelector('.verdict .says')?.textContent.includes(text)", arg=TEXT, timeout=60_000
    )
    assert not tab.get_attribute("#status", "class")


def test_a_refusal_and_a_full_queue_are_told_above_the_answer_before(server: Server, tab: Any) -> None:
    tab.goto(f"{server.url}/prompt?text=the+old+river")
    tab.wait_for_selector(".verdict", timeout=60_000)
    tab.evaluate("document.querySelector('input[name=new]').removeAttribute('max')")
    tab.evaluate("document.getElementById('changes').open = true")
    tab.fill("input[name=new]", "999")
    tab.click(RUN)
    tab.wait_for_selector("#status.failed:has-text('new') button")
    assert tab.locator(".verdict").count() == 1
    full = "<div id='content'><p>the model is busy with other questions.</p><p>Try again in a moment.</p></div>"
    tab.route("**/prompt?*", lambda route: route.fulfill(status=503, body=full, content_type="text/html"))
    tab.fill("input[name=new]", "3")
    tab.click(RUN)
    tab.wait_for_selector("#status.failed:has-text('busy with other questions')")
    tab.unroute("**/prompt?*")
    tab.click("#status button:has-text('Try again')")
    tab.wait_for_function("() => !document.getElementById('status').textContent")


def test_a_cell_has_one_change_which_a_slider_moves(server: Server, tab: Any) -> None:
    tab.goto(f"{server.url}/prompt?text=the+old+river+of+the+village&new=2")
    tab.click(".writers .act:has-text('out') >> nth=0")
    tab.wait_for_selector("#chips .chip.live")
    (change,) = changes_in(tab.url)
    cell = change.removesuffix("*0")
    tab.wait_for_selector("#changed")
    tab.click(f".writers .act[aria-label='Double {cell}']")
    tab.wait_for_function("() => document.querySelector('#chips [data-part=number]')?.value === '2'")
    assert changes_in(tab.url) == [f"{cell}*2"]
    tab.focus("#chips [data-part=slider]")
    tab.keyboard.press("End")
    tab.wait_for_url(re.compile(r"change=L\d+\.\d+\*3&"))
    assert changes_in(tab.url) == [f"{cell}*3"]
    assert tab.evaluate("document.activeElement.dataset.part") == "slider"
    assert tab.locator("table.differences .signed").count() > 1
    tab.click("#chips .remove")
    tab.wait_for_selector("#changed", state="detached")
    assert changes_in(tab.url) == [] and tab.locator("#chips .chip").count() == 0


def test_a_wrong_change_is_mended_where_it_stands(server: Server, tab: Any) -> None:
    tab.goto(f"{server.url}/prompt?text=the+old+river+of+the+village&new=0&change=L1.3?0")
    assert "is not a change" in tab.inner_text("#chips .hint")
    tab.fill("#chips input[name=change]", "L1.3*0")
    tab.click(RUN)
    tab.wait_for_selector("#chips .chip.live")
    assert changes_in(tab.url) == ["L1.3*0"] and tab.locator("#chips .hint, p.problem").count() == 0
    tab.fill("#add-change", "L0.2=5")
    tab.keyboard.press("Enter")
    tab.wait_for_function("() => document.querySelectorAll('#chips .chip.live').length === 2")
    assert changes_in(tab.url) == ["L1.3*0", "L0.2=5"] and tab.input_value("#add-change") == ""


def test_the_box_that_is_chosen_stays_where_it_is(server: Server, chromium: Any) -> None:
    with new_tab(chromium, viewport={"width": 390, "height": 700}) as tab:
        tab.goto(f"{server.url}/prompt?text=the+old+river+of+the+village+and+the+stone+by+the+old+river")
        last = "table.lens tbody tr:first-child td:last-child a"
        tab.wait_for_selector(last)
        inside = tab.evaluate(f"document.querySelector('{last}').getBoundingClientRect().right <= innerWidth")
        assert inside, "the last token is off screen"
        box = tab.locator("table.lens tbody tr:last-child td:last-child a")
        box.scroll_into_view_if_needed()
        before = box.bounding_box()
        box.click()
        tab.wait_for_selector("#writers:has-text('What L0 writes')")
        after = tab.locator("table.lens a[aria-current]").bounding_box()
        assert abs(after["y"] - before["y"]) < 3 and abs(after["x"] - before["x"]) < 3
        assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
        texts = tab.locator("table.rows td.text:not(:empty)")
        assert texts.count() > 5 and min(one.bounding_box()["width"] for one in texts.all()) > 200


def test_views_share_the_text_and_texts_are_remembered_until_forgotten(server: Server, tab: Any) -> None:
    tab.goto(f"{server.url}/prompt?text=the+old+river+of+the+village")
    tab.wait_for_selector(".verdict", timeout=60_000)
    tab.click(".reading-tokens a >> nth=1")
    tab.wait_for_url("**at=1**")
    tab.click("nav.views a:has-text('Map')")
    tab.wait_for_selector("table.one-map")
    assert tab.get_attribute(".reading-tokens a[aria-current]", "title") == "token 1"
    tab.goto(f"{server.url}/prompt")
    tab.click("#past summary")
    assert tab.inner_text("#past li a") == TEXT
    tab.click("#past button")
    assert tab.is_hidden("#past")
    tab.reload()
    assert tab.is_hidden("#past")
