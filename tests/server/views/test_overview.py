"""The overview: layers in numbers as the arrays have them, labels of a study, cells to begin with."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given

from ffmem import Index
from ffmem.server.explorer import Explorer
from ffmem.server.links import Links
from ffmem.server.opening import open_explorer
from ffmem.server.pages import render
from ffmem.server.views.overview import OverviewView, choose_highlights, labels_by_layer, overview_view
from tests.server.arrays import layer_arrays
from tests.server.conftest import LABELS
from tests.server.page import FEW, HOSTILE, Element, assert_sound, shape


def drawn(explorer: Explorer, view: OverviewView) -> Element:
    return assert_sound(render("overview.html", Links(), explorer=explorer, here="/", view=view))


def signed(number: float) -> str:
    return f"{number:.4g}".replace("-", "\u2212")


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_layers_on_the_page_are_those_of_the_arrays_the_last_first(
    family: str, index_of: Callable[[str], Index]
) -> None:
    index = index_of(family)
    explorer = Explorer(index)
    view = overview_view(explorer)
    rows = drawn(explorer, view).one("table", class_="layers").rows()
    n_dead_in_all = 0
    for place, (layer, row) in enumerate(zip(view.layers, reversed(rows), strict=True)):
        arrays = layer_arrays(index.folder, place)
        active = arrays["n_active"] / arrays["counts"][0, 0]
        unused = arrays["maximum"] <= 0
        if family == "llama":
            unused &= arrays["minimum"] >= 0
        n_dead_in_all += int(unused.sum())
        largest = max(np.abs(arrays["maximum"]).max(), np.abs(arrays["minimum"]).max())
        assert layer.row.active_fraction == pytest.approx(active.mean(), rel=1e-12)
        assert layer.row.active_quantiles == pytest.approx(np.quantile(active, [0.25, 0.5, 0.75]), rel=1e-12)
        assert row[:3] == [f"L{place}", f"{100 * active.mean():.3g} %", str(unused.sum())]
        assert row[-1] == signed(largest)
    assert view.n_dead == n_dead_in_all


def test_bars_are_shares_of_the_longest(index_of: Callable[[str], Index]) -> None:
    explorer = Explorer(index_of("gpt2"))
    view = overview_view(explorer)
    bars = drawn(explorer, view).one("table", class_="layers").all("span", class_="bar")
    shares = [float(one.attributes["style"].removeprefix("--share: ")) for one in bars]
    fractions = [one.row.active_fraction for one in reversed(view.layers)]
    per_layer = len(shares) // len(fractions)
    assert shares[::per_layer] == pytest.approx([one / max(fractions) for one in fractions], abs=1e-4)
    assert max(shares[per_layer - 1 :: per_layer]) == 1


def test_a_model_whose_cells_never_fire_has_its_overview(index_of: Callable[[str], Index]) -> None:
    explorer = Explorer(index_of("gpt2"))
    view = overview_view(explorer)
    silent = tuple(
        replace(one, row=replace(one.row, largest=0.0, active_fraction=0.0, n_dead=48, agreement_rate=None))
        for one in view.layers
    )
    rows = drawn(explorer, replace(view, layers=silent, n_dead=144)).one("table", class_="layers").rows()
    assert rows == [[name, "0 %", "48", "0"] for name in ("L2", "L1", "L0")]


def test_labels_are_those_of_the_study_beside_the_index(explained: Explorer) -> None:
    assert labels_by_layer(explained) == LABELS
    view = overview_view(explained)
    assert [one.labels for one in view.layers] == list(LABELS.values())
    told = view.to_json()
    assert told["study"] == {"available": True, "why": ""} and told["layers"][2]["labels"] == LABELS["L2"]
    stacks = drawn(explained, view).one("table", class_="layers").all("span", class_="stack")
    assert [one.attributes["aria-label"] for one in stacks] == [
        "shallow 0 %, shallow+semantic 12.5 %, semantic 37.5 %, not-covered 50 %",
        "shallow 50 %, shallow+semantic 25 %, semantic 0 %, not-covered 25 %",
        "shallow 62.5 %, shallow+semantic 0 %, semantic 12.5 %, not-covered 25 %",
    ]


def test_without_a_study_the_page_says_how_to_get_one(index_of: Callable[[str], Index]) -> None:
    explorer = Explorer(index_of("gpt2"))
    view = overview_view(explorer)
    assert labels_by_layer(explorer) == {} and [one.labels for one in view.layers] == [None] * 3
    assert f"ffmem reproduce {explorer.index.folder}" in drawn(explorer, view).one("dl", class_="notes").text


def test_cells_to_begin_with_come_once_they_are_chosen(index_of: Callable[[str], Index]) -> None:
    explorer = open_explorer(index_of("gpt2").folder, with_model=False)
    assert overview_view(explorer).highlights is None and overview_view(explorer).to_json()["highlights"] == []
    choose_highlights(explorer)
    view = overview_view(explorer)
    assert view.highlights
    page = drawn(explorer, view)
    cards = page.all("article")
    assert [one.one("h3").words for one in cards] == [one["cell"] for one in view.to_json()["highlights"]]
    for card, one in zip(cards, view.highlights, strict=True):
        assert card.one("mark").text == one.cell.triggers[0].marked("", "")[1]
        assert card.one("h3").one("a").attributes["href"] == f"/cells/{one.cell.cell}"


def test_names_of_models_and_texts_stay_text(index_of: Callable[[str], Index]) -> None:
    explorer = Explorer(index_of("gpt2"))
    view = overview_view(explorer)
    expected, identity = shape(drawn(explorer, view)), view.info["identity"]

    @FEW
    @given(text=HOSTILE)
    def check(text: str) -> None:
        named = identity | {"model": identity["model"] | {"name": text}, "corpus": {"name": text}}
        page = drawn(explorer, replace(view, info=view.info | {"identity": named}))
        facts = page.one("dl", class_="facts").all("dd")
        assert shape(page) == expected
        assert facts[0].text.startswith(f"{text}, weights ") and facts[1].text.startswith(f"{text}: ")

    check()


def test_dictionaries_are_told_of_with_what_they_leave_unexplained(dictionary_index: Index) -> None:
    explorer = Explorer(dictionary_index)
    page = drawn(explorer, overview_view(explorer))
    measured = dictionary_index.manifest.certificate.json["dictionaries"]["L1.top"]["unexplained"]
    told = next(one.words for one in page.all("dd") if one.words.startswith("L1.top:"))
    assert f"leaves {100 * measured:.3g} % of the variance unexplained, with 20 cells" in told
    assert overview_view(explorer).info["n_layers"] == 2
