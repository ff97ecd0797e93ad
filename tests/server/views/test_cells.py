"""A table of cells: rows in the order of the arrays, and tokens shown as text."""

from collections.abc import Callable
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
from hypothesis import given

from ffmem import Index, InputError
from ffmem.queries.table import SortKey
from ffmem.server.explorer import Explorer
from ffmem.server.links import Links
from ffmem.server.pages import render
from ffmem.server.views.cells import CellsView, cells_view
from tests.server.arrays import NO_TOKEN, layer_arrays, sentence_at, token_text, total
from tests.server.page import FEW, HOSTILE, Element, assert_sound, shape, shown_token


def drawn(explorer: Explorer, view: CellsView) -> Element:
    return assert_sound(render("cells.html", Links(), explorer=explorer, here="/cells", view=view))


def in_order(index: Index, sort: SortKey, places: range) -> list[tuple[int, int]]:
    """(place, row) of all cells, the first first: a plain sort of plain numbers."""
    found = []
    for place in places:
        arrays = layer_arrays(index.folder, place)
        numbers = {
            "max": -arrays["maximum"].astype(float),
            "min": arrays["minimum"].astype(float),
            "mean": -total(arrays["sum"]),
            "mean-square": -total(arrays["square_sum"]),
            "active": -arrays["n_active"].astype(float),
            "top": -arrays["trigger_coefficient"][:, 0, -1].astype(float),
            "index": np.zeros(len(arrays["maximum"])),
            "name": np.zeros(len(arrays["maximum"])),  # none has one
        }[sort]
        found += [(number, place, row) for row, number in enumerate(numbers.tolist())]
    return [(place, row) for _, place, row in sorted(found)]


@pytest.mark.parametrize("sort", get_args(SortKey))
def test_the_first_cells_by_each_statistic(sort: SortKey, index_of: Callable[[str], Index]) -> None:
    index = index_of("llama")
    explorer = Explorer(index)
    for layer, places in ((None, range(3)), ("L1", range(1, 2)), ("1:", range(1, 3))):
        view = cells_view(explorer, layer=layer, sort=sort, limit=30)
        expected = in_order(index, sort, places)[:30]
        page = drawn(explorer, view)
        assert [row[0] for row in page.one("table").rows()] == [f"L{place}.{row}" for place, row in expected]
        assert page.one("h1").words == (f"Cells of {layer}" if layer else "Cells")
        chosen = [one.attributes.get("value", one.words) for one in page.all("option") if "selected" in one.attributes]
        assert chosen == ([layer] if layer == "L1" else []) + [sort]


def test_a_row_says_what_the_arrays_hold(index_of: Callable[[str], Index]) -> None:
    index = index_of("gpt2")
    explorer = Explorer(index)
    rows = drawn(explorer, cells_view(explorer, layer="2", sort="index", limit=48)).one("table").rows()
    arrays = layer_arrays(index.folder, 2)
    n_tokens = arrays["counts"][0, 0]
    mean = total(arrays["sum"]) / n_tokens
    for number, row in enumerate(rows):
        first = int(arrays["trigger_token"][number, 0, 0])
        firing = "never active" if first == NO_TOKEN else shown_token(sentence_at(index.folder, first)[3])
        promoted = [shown_token(token_text(index.folder, one)) for one in arrays["promoted_ids"][number, :3]]
        share = arrays["n_active"][number] / n_tokens
        numbers = [arrays["maximum"][number], arrays["minimum"][number], mean[number]]
        assert row == [
            f"L2.{number}", firing, " ".join(promoted), f"{100 * share:.3g} %",
            *(f"{one:.4g}".replace("-", "\u2212") for one in numbers),
        ]  # fmt: skip


def test_an_unknown_layer_is_refused(index_of: Callable[[str], Index]) -> None:
    with pytest.raises(InputError, match=r"L3.*Expected L0 to L2"):
        cells_view(Explorer(index_of("gpt2")), layer="L3", sort="max", limit=1)


def test_tokens_stay_text(index_of: Callable[[str], Index]) -> None:
    explorer = Explorer(index_of("gpt2"))
    view = cells_view(explorer, layer="L0", sort="max", limit=1)

    def with_text(text: str) -> CellsView:
        return replace(view, rows=(replace(view.rows[0], trigger=text, promoted=(text, "x", text)),))

    expected = shape(drawn(explorer, with_text("x")))

    @FEW
    @given(text=HOSTILE)
    def check(text: str) -> None:
        page = drawn(explorer, with_text(text))
        assert shape(page) == expected
        tokens = [one.text for one in page.one("table").all("code", class_="token")]
        assert tokens == [shown_token(text)] * 2 + ["x", shown_token(text)]

    check()


def test_a_cell_that_never_fired_says_so(index_of: Callable[[str], Index]) -> None:
    explorer = Explorer(index_of("gpt2"))
    view = cells_view(explorer, layer="L0", sort="max", limit=1)
    silent = replace(view, rows=(replace(view.rows[0], trigger=None, active_fraction=0.0, maximum=0.0),))
    (row,) = drawn(explorer, silent).one("table").rows()
    assert (row[1], row[3], row[4]) == ("never active", "0 %", "0")
    assert drawn(explorer, replace(view, rows=())).one("table").rows() == [["no cells"]]
