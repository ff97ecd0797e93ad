"""One cell: what its row of the arrays holds, its patterns, its place among others; and whose text is shown as text."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given

from ffmem import Index
from ffmem.cell import Document
from ffmem.queries.similar import likenesses
from ffmem.server.explorer import Explorer
from ffmem.server.links import Links
from ffmem.server.pages import render
from ffmem.server.views.cell import CellView, cell_view, citation
from ffmem.server.views.similar import TITLES
from tests.server.arrays import NO_TOKEN, layer_arrays, manifest, sentence_at, token_text, total
from tests.server.page import FEW, HOSTILE, Element, assert_sound, shape, shown_token


def drawn(explorer: Explorer, view: CellView, n_triggers: int = 25) -> Element:
    near = {"choices": likenesses(explorer.index, view.cell.cell), "titles": TITLES}
    here = f"/cells/{view.cell.cell}"
    text = render(
        "cell.html", Links(), explorer=explorer, here=here, view=view, n_triggers=n_triggers, shades={}, **near
    )
    return assert_sound(text)


def one_cell(index: Index, name: str, n_triggers: int = 25, whole: bool = True) -> CellView:
    return cell_view(Explorer(index), index.cell_id(name), n_triggers, whole)


@pytest.mark.parametrize(("family", "row"), [("gpt2", 5), ("llama", 17)])
def test_the_page_shows_the_row_of_the_arrays(family: str, row: int, index_of: Callable[[str], Index]) -> None:
    index = index_of(family)
    explorer, folder = Explorer(index), index.folder
    page = drawn(explorer, one_cell(index, f"L1.{row}"))
    arrays = layer_arrays(folder, 1)
    lists = page.all("ol", class_="triggers")
    assert len(lists) == arrays["trigger_token"].shape[1] == (2 if family == "llama" else 1)
    for axis, shown in enumerate(lists):
        tokens = [one for one in arrays["trigger_token"][row, axis].tolist() if one != NO_TOKEN]
        coefficients = arrays["trigger_coefficient"][row, axis, : len(tokens)].tolist()
        assert [one.words for one in shown.all("span", class_="coefficient")] == [
            f"{one:.4g}".replace("-", "\u2212") for one in coefficients
        ]
        for element, token in zip(shown.all("li"), tokens, strict=True):
            sentence, _, text, firing = sentence_at(folder, token)
            assert element.one("mark").text == (firing.strip() or firing)
            assert element.one("div", class_="text").text == text
            assert element.one("a").attributes["href"] == f"/sentences/{sentence}"
    promoted, suppressed = page.all("ol", class_="tokens")
    for element, name in ((promoted, "promoted_ids"), (suppressed, "suppressed_ids")):
        expected = [shown_token(token_text(folder, one)) for one in arrays[name][row]]
        assert [one.text for one in element.all("code")] == expected
    mean = total(arrays["sum"])[row] / arrays["counts"][0, 0]
    lead = page.one("p", class_="lead").words
    share = 100 * arrays["n_active"][row] / arrays["counts"][0, 0]
    assert lead.startswith(f"Active at {share:.3g} % of {arrays['counts'][0, 0]:,} positions; coefficient from ")
    assert lead.endswith(
        f"{arrays['minimum'][row]:.4g} to {arrays['maximum'][row]:.4g}, mean {mean:.4g}.".replace("-", "\u2212")
    )


def test_the_quadrants_of_a_gated_cell_are_those_of_the_arrays(
    quadrants_of: Callable[[str], Index], index_of: Callable[[str], Index]
) -> None:
    index = quadrants_of("llama")
    arrays = layer_arrays(index.folder, 1)
    view = one_cell(index, "L1.17", 2)
    section = drawn(Explorer(index), view, 2).one("section", aria_labelledby="quadrants")
    names = ["gate + up +", "gate + up −", "gate − up +", "gate − up −"]
    assert [one.words for one in section.all("h3")] == names
    sizes = arrays["quadrant_sum"][0, :, 17] + arrays["quadrant_sum"][1, :, 17] * 2.0**-40
    for quadrant, (told, shown) in enumerate(
        zip(section.all("p")[1:], section.all("ol", class_="triggers"), strict=True)
    ):
        sign, n = (1, -1, -1, 1)[quadrant], arrays["quadrant_n_active"][quadrant, 17]
        share, mean = 100 * n / arrays["counts"][0, 0], sign * sizes[quadrant] / n
        largest = sign * arrays["quadrant_maximum"][quadrant, 17]
        assert told.words == f"{share:.3g} % of positions; mean {mean:.4g}, largest {largest:.4g}.".replace("-", "−")
        for element, token in zip(shown.all("li"), arrays["quadrant_token"][17, quadrant, :2], strict=True):
            sentence, _, text, _ = sentence_at(index.folder, int(token))
            assert element.one("div", class_="text").text == text
            assert element.one("a").attributes["href"] == f"/sentences/{sentence}"
    without = drawn(Explorer(index_of("llama")), one_cell(index_of("llama"), "L1.17"))
    assert not without.all("section", aria_labelledby="quadrants")


def test_the_strata_of_a_cell_are_those_of_the_arrays(
    sampled_of: Callable[[str], Index], index_of: Callable[[str], Index]
) -> None:
    index = sampled_of("llama")
    arrays = layer_arrays(index.folder, 1)
    section = drawn(Explorer(index), one_cell(index, "L1.17", 2), 2).one("section", aria_labelledby="strength")
    counts = [(number, n) for number, n in enumerate(arrays["sample_count"][17].tolist()) if n]
    rows = section.one("tbody").all("tr")
    for (number, n), row in zip(counts, rows, strict=True):
        assert row.one("td", class_="n").words.startswith(f"{n:,}")
        texts = [one.text for one in row.all("div", class_="text")]
        for shown, token in zip(texts, arrays["sample_token"][17, number, :2].tolist(), strict=False):
            _, _, text, _ = sentence_at(index.folder, token)
            assert shown.strip("…") in text
        assert len(texts) == min(n, 2)
    assert rows[-1].one("th").words == "silent" or counts[-1][0] < 18
    without = drawn(Explorer(index_of("llama")), one_cell(index_of("llama"), "L1.17"))
    assert not without.all("section", aria_labelledby="strength")


def test_the_histogram_counts_every_sentence_and_every_stored_trigger(index_of: Callable[[str], Index]) -> None:
    index = index_of("gpt2")
    view = one_cell(index, "L1.5", 100)
    arrays, (bars,) = layer_arrays(index.folder, 1), view.histograms
    assert [bar.n for bar in bars if bar.n] == [one for one in arrays["histogram"][5, 0].tolist() if one]
    assert sum(bar.n for bar in bars) == arrays["counts"][0, 1]
    stored = arrays["trigger_coefficient"][5, 0][arrays["trigger_token"][5, 0] != NO_TOKEN]
    edges = [-np.inf if bar.low is None else bar.low for bar in bars] + [bars[-1].high or np.inf]
    in_bars = [int(((low <= stored) & (stored < high)).sum()) for low, high in pairwise(edges)]
    assert [bar.n_triggers for bar in bars] == in_bars and sum(in_bars) == len(stored)
    shown = drawn(Explorer(index), view).one("div", class_="bins").all("span")
    assert [one.attributes["title"].split(" sentences")[0] for one in shown] == [f"{bar.n:,}" for bar in bars]
    assert ["stored" in one.attributes["class"] for one in shown] == [n > 0 for n in in_bars]


def test_cells_are_beside_each_other_across_layers(index_of: Callable[[str], Index]) -> None:
    index = index_of("gpt2")
    names = [f"L{layer}.{row}" for layer in range(3) for row in range(48)]
    for number in (0, 1, 47, 48, 95, 96, 142, 143):
        view = one_cell(index, names[number], 1, whole=False)
        assert str(view.previous) == ([None, *names][number] or "None")
        assert str(view.next) == ([*names, None][number + 1] or "None")
        beside = drawn(Explorer(index), view).one("nav", class_="beside").all("a")
        links = [one.attributes["href"] for one in beside if "rel" in one.attributes]
        assert links == [f"/cells/{one}" for one in (view.previous, view.next) if one is not None]


def test_a_few_triggers_are_the_first_and_the_page_leads_to_all(index_of: Callable[[str], Index]) -> None:
    index = index_of("llama")
    view, whole = one_cell(index, "L0.4", 2), one_cell(index, "L0.4", 100)
    assert [(one.sign, one.rank) for one in view.cell.triggers] == [(1, 0), (1, 1), (-1, 0), (-1, 1)]
    assert view.triggers(-1, 1) == (whole.triggers(-1, 100)[0],)
    assert view.profiles == whole.profiles  # counted over all that are stored
    more = [one for one in drawn(Explorer(index), view, 2).all("a") if one.words == "All 7 stored triggers"]
    assert {one.attributes["href"] for one in more} == {"?triggers=7"}
    quick = one_cell(index, "L0.4", 2, whole=False)
    assert quick.cell == view.cell and quick.histograms == view.histograms and quick.profiles == ()


def test_accepted_patterns_stand_there_the_most_certain_first(explained: Explorer) -> None:
    view = cell_view(explained, explained.index.cell_id("L1.3"), 5)
    assert view.patterns is not None
    assert [(one.text, one.triggers, one.auc) for one in view.patterns] == [
        ('ends with " the"', (0, 2, 3), None), ('<b>rivers & "stones"</b>', (0, 1, 4), 0.875)
    ]  # fmt: skip
    assert drawn(explained, view).one("section", aria_labelledby="patterns").rows() == [
        ['ends with " the"', "shallow: token", "3", "6.25 %", "2.0e-03", ""],
        ['<b>rivers & "stones"</b>', "semantic: topic", "3", "25 %", "3.0e-02", "0.88"],
    ]
    none = cell_view(explained, explained.index.cell_id("L1.4"), 5)
    assert none.patterns == () and "No pattern that chance" in drawn(explained, none).words
    unseen = cell_view(explained, explained.index.cell_id("L2.4"), 5)
    assert unseen.patterns is None and "has not looked for patterns" in drawn(explained, unseen).words


def test_a_citation_names_weights_text_and_version(index_of: Callable[[str], Index]) -> None:
    index = index_of("gpt2")
    identity = manifest(index.folder)["identity"]
    model, corpus = identity["model"], identity["corpus"]
    told = citation(index, index.cell_id("L2.7"))
    assert told.startswith(f"Cell L2.7 of gpt2 (weights {model['weights_sha256'][:12]}) over {corpus['name']}, index-")
    assert told.endswith(f", ffmem {identity['ffmem']}")


def test_text_of_corpus_and_model_stays_text(explained: Explorer) -> None:
    view = cell_view(explained, explained.index.cell_id("L1.3"), 1)
    assert view.patterns is not None
    (trigger,), pattern, (promoted, *_) = view.cell.triggers, view.patterns[0], view.cell.promoted

    def with_text(text: str) -> CellView:
        sentence = f"before{text}after".encode("utf-8", "replace").decode()
        document = Document(0, text, {"title": text, "other": text, "label": 7})
        shown = replace(
            trigger,
            text=sentence,
            span=(0, len("before")),
            next_token=text,
            document=document,
            n_occurrences=2,
        )
        cell = replace(view.cell, triggers=(shown,), promoted=(replace(promoted, token=text),))
        return replace(view, cell=cell, patterns=(replace(pattern, text=text),), citation=text)

    expected = shape(drawn(explained, with_text("x")))

    @FEW
    @given(text=HOSTILE)
    def check(text: str) -> None:
        page = drawn(explained, with_text(text))
        assert shape(page) == expected
        about = page.one("ol", class_="triggers").one("div", class_="about")
        assert about.one("span", class_="document").text == text and f"title {text}" in about.text
        assert about.one("code").text == shown_token(text)
        assert page.all("ol", class_="tokens")[0].one("code").text == shown_token(text)
        shown = page.one("ol", class_="triggers").one("div", class_="text")
        assert shown.one("span", class_="after").text == f"{text}after".encode("utf-8", "replace").decode()
        assert shown.attributes["dir"] == "auto" and page.one("code", class_="citation").text == text

    check()


def test_a_cell_of_a_dictionary_has_one_list_beside_gated_cells(gated_dictionary_index: Index) -> None:
    explorer = Explorer(gated_dictionary_index)
    for name, n_lists in (("L1.added.3", 1), ("L1.3", 2)):
        view = one_cell(gated_dictionary_index, name)
        assert len(view.histograms) == n_lists and len(view.signs) == n_lists
        titles = [one.words for one in drawn(explorer, view).all("h2") if "triggers it" in one.words]
        assert len(titles) == n_lists
    assert one_cell(gated_dictionary_index, "L1.added.3").to_json()["dictionary"] == "added"
