"""The picture of all cells as a file: the colours of the page, and a row for each point."""

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from ffmem import Index
from ffmem.server.explorer import Explorer
from ffmem.server.taken.of_atlas import atlas_cells, atlas_picture, tone, tones
from ffmem.server.views.atlas import atlas_view, bins
from ffmem.studies.charts import png
from tests.server.files import table_of

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def explorer(explained_index: Index) -> Explorer:
    return Explorer(explained_index)


def test_every_square_has_the_colour_of_its_cells(explorer: Explorer) -> None:
    view = atlas_view(explorer)
    picture = atlas_picture(explorer, view)
    squares = ElementTree.fromstring(picture).findall(f"{SVG}rect")[1:]
    found = {(int(one.get("x", "")), int(one.get("y", ""))): one.get("fill") for one in squares}
    assert found == {(8 * one.x, 8 * one.y): tone(one.colour, view.colour.is_scale) for one in bins(explorer, view)}
    assert png(picture).startswith(b"\x89PNG")
    words = [one.text for one in ElementTree.fromstring(picture).findall(f"{SVG}text")]
    assert words[0] == view.colour.title and len(words) == 1 + len(view.colour.legend)


def test_colours_are_those_of_the_sheet() -> None:
    assert tone(255, False) == tones()["none"] and tone(0, True) == tones()["v0"] and tone(254, True) == tones()["v8"]
    assert [tone(number, False) for number in (0, 7, 8, 200)] == [
        tones()[name] for name in ("k0", "k7", "other", "other")
    ]


def test_points_lie_where_the_page_draws_them(explorer: Explorer) -> None:
    rows = table_of(atlas_cells(explorer, atlas_view(explorer)).file("csv"))
    assert [one["cell"] for one in rows] == [
        str(explorer.index.cells.cell_id(place, row))
        for place, layer in enumerate(explorer.index.cells.layers)
        for row in range(layer.n_cells)
    ]
    for place, layer in enumerate(explorer.index.cells.layers):  # in order: the more often active, the further right
        own = [one for one in rows if one["cell"].startswith(f"{layer.name}.")]
        order = np.argsort(np.asarray(explorer.index.layer(place).n_active), kind="stable")
        assert [own[i]["cell"] for i in order] == [one["cell"] for one in sorted(own, key=lambda one: float(one["x"]))]


def test_an_outline_has_its_own_cells(explorer: Explorer) -> None:
    view = atlas_view(explorer, outline="0,0,0.5,1")
    assert view.chosen is not None
    rows = table_of(atlas_cells(explorer, view).file("csv"))
    assert len(rows) == view.chosen.n_cells
    assert max(float(one["x"]) for one in rows) <= 0.5
