"""What people come for, from the first page to what they take away, in a real browser: at a desk and on a phone."""

import csv
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ffmem import Index, open_index
from ffmem.names.people import history
from ffmem.store.collection_files import Collections
from tests.server.browser import Server, new_tab

pytestmark = pytest.mark.slow
WIDTHS = {"desk": 1280, "phone": 390}


@pytest.fixture(scope="module")
def folder(index_of: Callable[[str], Index], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("flows") / "index"
    shutil.copytree(index_of("gpt2").folder, folder)
    return folder


@pytest.fixture(scope="module")
def server(folder: Path, serve: Callable[..., Server]) -> Server:
    return serve(folder)


@pytest.fixture(scope="module")
def colleague(index_of: Callable[[str], Index], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same index on another machine."""
    folder = tmp_path_factory.mktemp("colleague") / "index"
    shutil.copytree(index_of("gpt2").folder, folder)
    return folder


@pytest.fixture(params=["desk", "phone"])
def page(chromium: Any, request: pytest.FixtureRequest) -> Iterator[Any]:
    size = {"width": WIDTHS[request.param], "height": 800}
    with new_tab(
        chromium, viewport=size, accept_downloads=True, permissions=["clipboard-read", "clipboard-write"]
    ) as tab:
        yield tab
        assert tab.evaluate("document.documentElement.scrollWidth") <= size["width"]


def name_for(tab: Any, what: str) -> str:
    return f"{what}-{tab.viewport_size['width']}"


def kept(folder: Path, name: str) -> list[str]:
    return [str(one.cell) for one in Collections(open_index(folder)).load(name).collection.items]


def test_from_a_word_to_a_list_on_a_colleagues_machine(
    server: Server, folder: Path, colleague: Path, serve: Callable[..., Server], page: Any
) -> None:
    name = name_for(page, "rivers")
    page.goto(server.url)
    page.fill("#find", "river")
    page.keyboard.press("Enter")
    page.wait_for_selector("#found")
    shown = page.eval_on_selector_all(".hits h3 a", "links => links.map(one => one.textContent)")
    index = open_index(folder)
    assert len(shown) > 2 and all(any("river" in one.text for one in index.cell(cell).triggers) for cell in shown)
    assert page.is_visible(f".keep .every:has-text('all {len(shown)} shown')")
    for place in (0, 2):
        page.check(f".hits li:nth-child({place + 1}) .tick")
    assert page.is_visible(".keep .ticked") and page.is_hidden(".keep .every")
    page.fill(".keep input[name=name]", name)
    page.click(".keep button")
    page.wait_for_url(f"**/collections/{name}")
    assert sorted(kept(folder, name)) == sorted([shown[0], shown[2]])
    link = page.get_attribute("a:has-text('A link that holds these cells')", "href")
    theirs = serve(colleague, "--no-model")
    page.goto(theirs.url + link)
    page.click("button:has-text('Keep it here')")
    page.wait_for_url(f"**/collections/{name}")
    theirs.stop()
    assert kept(colleague, name) == kept(folder, name)


def test_a_name_is_seen_wherever_the_cell_is(server: Server, folder: Path, page: Any) -> None:
    cell, name = ("L1.7", "<i>of old</i>") if page.viewport_size["width"] > 1000 else ("L2.9", "of the phone")
    page.goto(f"{server.url}/cells/{cell}")
    page.click("text=name it")
    page.fill("#name-it", name)
    page.fill(".name-it input[name=author]", "ann")
    page.click("button:has-text('Name it')")
    page.wait_for_selector("h1:has-text('of ')")
    (said,) = [one.label for one in history(open_index(folder), open_index(folder).cell_id(cell), 1).labels]
    assert (said.text, said.author, said.source) == (name, "ann", "human")
    word = name.removesuffix("</i>").rpartition(" ")[2]
    for address, near in (
        (f"search?q=named:{word}", "li"),
        (f"cells?layer={cell[:2]}&limit=100", "tr"),
        (f"prompt?text=the+river&change={cell}*0", "li.chip"),
    ):
        page.goto(f"{server.url}/{address}")
        assert name in page.text_content(f"main {near}:has(a[href='/cells/{cell}'])"), address


def test_from_a_text_of_ones_own_to_what_the_cell_does_in_it(server: Server, page: Any) -> None:
    page.goto(f"{server.url}/cells/L1.7")
    page.wait_for_selector(".text .t", timeout=60_000)  # the model is there
    page.fill("#try-text", "the old river of the village")
    page.wait_for_selector("#tried .tried")
    page.click("#tried a:has-text('Knock the cell out')")
    page.wait_for_selector(".verdict", timeout=60_000)
    assert "the old river of the village" in page.text_content(".verdict")
    assert page.text_content("#chips a").strip() == "L1.7" and "→" in page.text_content(".verdict")
    page.click("#chips .remove")
    page.wait_for_function("() => !document.querySelector('.verdict').textContent.includes('→')")
    assert page.locator("#chips .chip").count() == 0


def test_cells_that_never_fire_as_a_file(server: Server, folder: Path, page: Any) -> None:
    index = open_index(folder)
    page.goto(server.url)
    link = page.locator("tbody a[href*='fires=never']").first
    n, layer = (
        int(link.text_content()),
        page.locator("tbody tr:has(a[href*='fires=never']) th").first.text_content().strip(),
    )
    link.click()
    page.wait_for_selector(f"h1:has-text('{layer}')")
    with page.expect_download() as saving:
        page.click("a:has-text('CSV')")
    with Path(saving.value.path()).open(encoding="utf-8-sig", newline="") as file:
        found = [one["cell"] for one in csv.DictReader(file)]
    silent = [
        str(index.cells.cell_id(index.cells.place(index.cell_id(f"{layer}.0"))[0], row))
        for row in range(index.cells.layers[int(layer[1:])].n_cells)
        if not index.cell(f"{layer}.{row}").statistics.active_fraction
    ]
    assert found == silent and len(found) == n > 0


def test_a_citation_is_copied_and_the_permalink_comes_back(server: Server, folder: Path, page: Any) -> None:
    page.goto(f"{server.url}/cells/L1.3")
    page.click("text=permalink")
    page.wait_for_url("**/cells/L1.3?weights=*")
    assert page.locator(".problem").count() == 0
    page.click(".copy[data-copy='.citation']")
    page.wait_for_function("async () => (await navigator.clipboard.readText()).startsWith('Cell L1.3 of ')")
    own = open_index(folder).manifest.identity.model.weights_sha256[:12]
    assert own in page.evaluate("navigator.clipboard.readText()") and own in page.url
    page.goto(page.url.replace(own, "0123456789ab"))
    assert "another model" in page.text_content(".problem") and own in page.text_content(".problem")


def test_two_tabs_keep_into_one_collection(server: Server, folder: Path, tab: Any) -> None:
    other = tab.context.new_page()
    for one, layer in ((tab, "L0"), (other, "L1")):
        one.goto(f"{server.url}/cells?layer={layer}&sort=index")
        one.check(f"tr:has(a[href='/cells/{layer}.4']) .tick")
        one.fill(".keep input[name=name]", "both")
    for one in (tab, other):
        one.click(".keep button")
        one.wait_for_url("**/collections/both")
    assert kept(folder, "both") == ["L0.4", "L1.4"]
    assert other.locator("table.items tbody tr").count() == 2
