"""The picture of all cells in a real browser: it is drawn, points at cells, and an outline becomes a collection."""

import base64
import shutil
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ffmem import Index, open_index
from ffmem.queries.atlas.points import CellNumbers, cells_within
from ffmem.store.atlas import Atlas
from ffmem.store.collection_files import Collections
from tests.queries.atlas.made import with_atlas
from tests.server.browser import Server, has_module, new_tab

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def place(index_of: Callable[[str], Index], tmp_path_factory: pytest.TempPathFactory) -> tuple[Index, Atlas]:
    folder = tmp_path_factory.mktemp("atlas") / "index"
    shutil.copytree(index_of("gpt2").folder, folder)
    index = open_index(folder)
    return index, with_atlas(index, seed=4)


@pytest.fixture(scope="module")
def server(place: tuple[Index, Atlas], serve: Callable[..., Server]) -> Server:
    return serve(place[0].folder, "--no-model")


def opened(tab: Any, server: Server, query: str = "") -> dict[str, float]:
    """The page, once its points are drawn, and where they are on the screen."""
    tab.goto(f"{server.url}/atlas{query}")
    tab.wait_for_selector("#atlas[data-drawn] canvas")
    box: dict[str, float] = tab.locator("#atlas canvas").first.bounding_box()
    return box


def on_screen(box: dict[str, float], x: float, y: float) -> tuple[float, float]:
    side = min(box["width"], box["height"])
    return (
        box["x"] + box["width"] / 2 + (x - 0.5) * side,
        box["y"] + box["height"] / 2 - (y - 0.5) * side,
    )


def pixels(tab: Any) -> np.ndarray:
    """The picture as it is on its canvas, (height, width, red green blue opacity)."""
    height, width, data = tab.evaluate("""() => {
        const [one] = document.querySelectorAll("#atlas canvas"), flat = document.createElement("canvas");
        flat.width = one.width;
        flat.height = one.height;
        flat.getContext("2d").drawImage(one, 0, 0);
        const found = flat.getContext("2d").getImageData(0, 0, one.width, one.height).data, parts = [];
        for (let i = 0; i < found.length; i += 30000) parts.push(String.fromCharCode(...found.subarray(i, i + 30000)));
        return [one.height, one.width, btoa(parts.join(""))];
    }""")
    return np.frombuffer(base64.b64decode(data), dtype=np.uint8).reshape(height, width, 4)


@pytest.mark.parametrize("plain", ["", "&plain=1"])
def test_every_point_is_drawn_where_it_lies(server: Server, place: tuple[Index, Atlas], tab: Any, plain: str) -> None:
    tab.set_viewport_size({"width": 500, "height": 800})
    box = opened(tab, server, f"?colour=layer{plain}")
    seen = pixels(tab)
    rim, drawn = 2, 0
    for x, y in place[1].positions.tolist():
        column, row = (round(a - b) for a, b in zip(on_screen(box, x, y), (box["x"], box["y"]), strict=True))
        if rim < column < seen.shape[1] - rim and rim < row < seen.shape[0] - rim:
            drawn += (seen[row - 1 : row + 2, column - 1 : column + 2, 3] > 50).any()
    assert drawn > 0.97 * len(place[1].positions)
    assert 0.001 < (seen[..., 3] > 50).mean() < 0.1  # and nothing else is


def test_an_outline_is_listed_marked_and_kept(server: Server, place: tuple[Index, Atlas], tab: Any) -> None:
    index, _ = place
    box = opened(tab, server)
    tab.click("button[data-tool=rectangle]")
    tab.mouse.move(*on_screen(box, 0.3, 0.7))
    tab.mouse.down()
    for x, y in ((0.35, 0.6), (0.5, 0.4)):
        tab.mouse.move(*on_screen(box, x, y))
    tab.mouse.up()
    tab.wait_for_selector("#chosen table")
    outline = tab.evaluate("new URL(location).searchParams.get('within')")
    expected = [str(one) for one in cells_within(index, "triggers", outline)]
    corners = np.array(outline.split(","), dtype=float).reshape(-1, 2)
    np.testing.assert_allclose([corners.min(0), corners.max(0)], [[0.3, 0.4], [0.5, 0.7]], atol=0.01)
    assert int(tab.get_attribute("#atlas", "data-marked")) == len(expected) > 3
    listed = tab.eval_on_selector_all("#chosen tbody th a", "links => links.map(link => link.textContent)")
    assert listed == expected[:50]
    tab.fill("#chosen input[name=name]", "middle")
    tab.click("#chosen button")
    tab.wait_for_url("**/collections/middle")
    assert [str(one) for one in Collections(index).load("middle").collection.cells] == expected


def test_a_lasso_takes_what_lies_in_it(server: Server, place: tuple[Index, Atlas], tab: Any) -> None:
    box = opened(tab, server)
    tab.click("button[data-tool=lasso]")
    tab.mouse.move(*on_screen(box, 0.2, 0.2))
    tab.mouse.down()
    for x, y in ((0.8, 0.2), (0.8, 0.3), (0.2, 0.8)):
        tab.mouse.move(*on_screen(box, x, y), steps=4)
    tab.mouse.up()
    tab.wait_for_selector("#chosen table")
    outline = tab.evaluate("new URL(location).searchParams.get('within')")
    n = len(cells_within(place[0], "triggers", outline))
    assert int(tab.get_attribute("#atlas", "data-marked")) == n
    x, y = place[1].positions.T
    inside = (y > 0.2) & (x > 0.2) & (x < 0.8) & (y < np.minimum(0.8, 0.8 - (x - 0.2) * 5 / 6))
    assert n == pytest.approx(inside.sum(), rel=0.05)
    tab.reload()  # the address has it all
    tab.wait_for_selector("#atlas[data-marked]")
    assert int(tab.get_attribute("#atlas", "data-marked")) == n


def test_a_point_tells_its_cell_and_leads_there(server: Server, place: tuple[Index, Atlas], tab: Any) -> None:
    index, atlas = place
    box = opened(tab, server)
    alone = np.linalg.norm(atlas.positions[:, None] - atlas.positions[None], axis=2)
    np.fill_diagonal(alone, 9)
    inner = (np.abs(atlas.positions - 0.5) < 0.4).all(1)
    number = int(np.argmax(np.where(inner, alone.min(1), 0)))
    cell = str(CellNumbers(index).cell(number))
    tab.mouse.move(*on_screen(box, *atlas.positions[number].tolist()))
    tab.wait_for_selector(f"#atlas .tip:has-text('{cell}')")
    first = index[cell].triggers[0]
    tab.wait_for_selector("#atlas .tip mark")
    assert tab.text_content("#atlas .tip mark").strip() == first.marked("", "")[1].strip()
    tab.mouse.down()
    tab.mouse.up()
    tab.wait_for_url(f"**/cells/{cell}")


def test_keys_move_zoom_and_list_what_is_in_view(server: Server, place: tuple[Index, Atlas], tab: Any) -> None:
    opened(tab, server)
    tab.focus("#atlas canvas")
    for _ in range(5):
        tab.keyboard.press("+")
    tab.keyboard.press("ArrowRight")
    tab.keyboard.press("Enter")
    tab.wait_for_selector("#chosen table")
    n = int(tab.get_attribute("#atlas", "data-marked"))
    outline = tab.evaluate("new URL(location).searchParams.get('within')")
    assert 0 < n == len(cells_within(place[0], "triggers", outline)) < place[0].n_cells / 3
    x0, y0, x1, y1 = map(float, outline.split(","))
    assert (x0 + x1) / 2 > 0.51 and (y0 + y1) / 2 == pytest.approx(0.5, abs=0.01)  # it has moved to the right
    tab.keyboard.press("Escape")
    tab.wait_for_selector("#chosen", state="hidden")
    assert "within" not in tab.url


def test_colours_and_marks_change_in_place(server: Server, tab: Any) -> None:
    tab.set_viewport_size({"width": 500, "height": 800})
    opened(tab, server)
    tab.fill("#ask input[name=q]", "layer:L1 river")
    tab.keyboard.press("Enter")
    tab.wait_for_selector("#atlas-found a")
    n = int(tab.text_content("#atlas-found a").split()[0])
    tab.wait_for_selector(f"#atlas[data-marked='{n}']")
    before = pixels(tab)
    tab.select_option("#ask select[name=colour]", "agreement")
    tab.wait_for_selector("#atlas-legend button")
    tab.wait_for_selector("#atlas[data-colour=agreement]")
    tab.click("#atlas-legend button >> nth=0")
    told = int(tab.text_content("#atlas-legend button .n >> nth=0").replace(",", ""))
    tab.wait_for_selector(f"#atlas[data-marked='{told}']")
    assert (pixels(tab) != before).any()
    assert "colour=agreement" in tab.url and "river" in tab.url


def test_a_server_that_is_gone_is_told_of(
    place: tuple[Index, Atlas], serve: Callable[..., Server], chromium: Any
) -> None:
    server = serve(place[0].folder, "--no-model")
    with new_tab(chromium) as page:
        opened(page, server)
        server.kill()
        page.click("button[data-do=list]")
        page.wait_for_selector("#atlas-status:has-text('does not answer')")
        assert page.get_attribute("#chosen", "aria-busy") is None


@pytest.mark.skipif(not has_module("axe_playwright_python"), reason="axe-playwright-python comes with the extra dev")
def test_everyone_can_use_it(server: Server, chromium: Any) -> None:
    from axe_playwright_python.sync_playwright import Axe

    for options in ({"color_scheme": "light"}, {"color_scheme": "dark", "viewport": {"width": 390, "height": 844}}):
        with new_tab(chromium, **options) as page:
            opened(page, server, "?colour=agreement&within=0.1,0.1,0.6,0.6&q=river")
            found = Axe().run(page)
            problems = [(one["id"], one["nodes"][0]["html"][:200]) for one in found.response["violations"]]
            assert problems == [], options
            assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]
