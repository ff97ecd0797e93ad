"""Annotating in a real browser: by keyboard, through a crash, and in two tabs."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import ffmem
from ffmem import Index
from ffmem.annotations.batches import draw, save_batch
from ffmem.annotations.store import load
from tests.server.browser import Server, new_tab
from tests.server.test_browser import violations


@pytest.fixture
def index(index_of: Callable[[str], Index], tmp_path: Path) -> Index:
    shutil.copytree(index_of("gpt2").folder, tmp_path / "index")
    found = ffmem.open_index(tmp_path / "index")
    save_batch(found, draw(found, "b", per_layer=1, n_triggers=5))
    return found


@pytest.fixture
def server(index: Index) -> Iterator[Server]:
    made = Server(index.folder, "--no-model")
    yield made
    made.stop()


def saved(page: Any) -> None:
    page.wait_for_selector("#state:has-text('Saved.')")


def test_by_keyboard_through_a_crash(server: Server, index: Index, tab: Any) -> None:
    tab.goto(f"{server.url}/annotate")
    tab.fill("form[action='/annotate/go'] input[name=annotator]", "ann")
    tab.click("button:has-text('Annotate b')")
    tab.wait_for_url("**/annotate/b/ann/1")
    tab.keyboard.press("n")
    tab.keyboard.type("about rivers")
    tab.keyboard.press("Escape")
    for key in ("m", "j", "1", "j", "1", "j", "1"):
        tab.keyboard.press(key)
    saved(tab)
    (one,) = load(index)
    assert one.patterns[0].text == "about rivers" and one.patterns[0].pattern_class == "semantic"
    assert [sorted(marks) for marks in one.marks] == [[1], [1], [1], [], []]

    server.kill()
    (one,) = load(index)  # what was acknowledged is there
    assert len(one.patterns) == 1
    tab.keyboard.press("j")
    tab.keyboard.press("1")
    tab.wait_for_selector("#state:has-text('cannot be reached')")
    server.start()
    saved(tab)
    assert [sorted(marks) for marks in load(index)[0].marks] == [[1], [1], [1], [1], []]

    tab.keyboard.press("u")
    tab.wait_for_selector("#state:has-text('Undone.')")
    assert [sorted(marks) for marks in load(index)[0].marks] == [[1], [1], [1], [], []]
    tab.keyboard.press("Shift+U")
    tab.wait_for_selector("#state:has-text('Done again.')")
    assert [sorted(marks) for marks in load(index)[0].marks] == [[1], [1], [1], [1], []]
    tab.keyboard.press("n")
    tab.keyboard.type("no class")
    tab.keyboard.press("Escape")
    tab.keyboard.press("Enter")
    tab.wait_for_selector("#state:has-text('pattern 2 has no class')")
    tab.fill("#text-2", "")
    tab.keyboard.press("Escape")
    tab.keyboard.press("Enter")
    tab.wait_for_url("**/annotate/b/ann/2")
    tab.goto(f"{server.url}/annotate")
    assert "1 of 3 done" in tab.inner_text("ul.progress")


def test_what_the_browser_still_held_is_brought_back(server: Server, index: Index, tab: Any) -> None:
    tab.goto(f"{server.url}/annotate/b/ann/1")
    server.kill()
    tab.fill("#text-1", "written while nobody listened")
    tab.wait_for_selector("#state:has-text('cannot be reached')")
    server.start()
    tab.goto(f"{server.url}/annotate/b/ann/1")  # as after a crash of the browser
    saved(tab)
    assert tab.input_value("#text-1") == "written while nobody listened"


def test_two_tabs_lose_nothing(server: Server, index: Index, tab: Any) -> None:
    address = f"{server.url}/annotate/b/ann/1"
    with new_tab(tab.context.browser) as other:
        for page in (tab, other):
            page.goto(address)
        tab.fill("#text-1", "first tab")
        saved(tab)
        other.fill("#text-1", "second tab")
        other.wait_for_selector("dialog#conflict[open]")
        assert "first tab" in other.inner_text("#theirs")
        other.click("#keep-mine")
        saved(other)
        tab.fill("#text-1", "first tab again")
        tab.wait_for_selector("dialog#conflict[open]")
        tab.click("#take-theirs")
        assert tab.input_value("#text-1") == "second tab"
        other.fill("#text-1", "third")
        saved(other)
        tab.fill("#text-1", "fourth")
        tab.wait_for_selector("dialog#conflict[open]")
        tab.click("#keep-both")
        saved(tab)
        assert [tab.input_value(f"#text-{i}") for i in (1, 2)] == ["third", "fourth"]


def test_everyone_can_annotate(server: Server, chromium: Any) -> None:
    problems = []
    with new_tab(chromium, viewport={"width": 390, "height": 900}) as page:
        for path in ("annotate", "annotate/b/ann/1"):
            page.goto(f"{server.url}/{path}")
            problems += violations(page, path)
    assert not problems
