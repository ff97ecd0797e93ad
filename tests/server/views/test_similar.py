"""Cells near a cell: what they can be compared by, and rows that say how near."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given

from ffmem import Index
from ffmem.queries.similar import likenesses, similar
from ffmem.server.explorer import Explorer
from ffmem.server.links import Links
from ffmem.server.pages import render
from ffmem.server.views.similar import NEEDS_MODEL, TITLES, SimilarView
from tests.server.arrays import NO_TOKEN, layer_arrays, sentence_at, token_text
from tests.server.page import FEW, HOSTILE, Element, assert_sound, shape, shown_token


def drawn(explorer: Explorer, view: SimilarView) -> Element:
    here = f"/cells/{view.cell}/similar"
    return assert_sound(render("similar.html", Links(), explorer=explorer, here=here, view=view, titles=TITLES))


def near(explorer: Explorer, name: str, by: str, limit: int) -> SimilarView:
    cell = explorer.index.cell_id(name)
    nearest = similar(explorer.index, name, by=by, limit=limit)  # type: ignore[arg-type]
    return SimilarView(cell, by, likenesses(explorer.index, cell), nearest)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("family", "choices"),
    [
        ("gpt2", ("triggers", "promoted", "key", "value")),
        ("llama", ("triggers", "promoted", "gate-key", "up-key", "value")),
    ],
)
def test_a_gated_cell_has_two_keys(family: str, choices: tuple[str, ...], index_of: Callable[[str], Index]) -> None:
    explorer = Explorer(index_of(family))
    assert likenesses(explorer.index, explorer.index.cell_id("L1.3")) == choices
    assert set(choices) - set(NEEDS_MODEL) == {"triggers", "promoted"} and set(choices) <= set(TITLES)
    page = drawn(explorer, near(explorer, "L1.3", "promoted", 3))
    links = page.one("p", class_="choices").all("a")
    assert [one.attributes["href"] for one in links] == [f"/cells/L1.3/similar?by={one}" for one in choices]
    assert [one.words for one in links if "aria-current" in one.attributes] == ["promoted tokens"]


def test_shared_sentences_are_those_of_both_cells_triggers(index_of: Callable[[str], Index]) -> None:
    explorer = Explorer(index_of("gpt2"))
    folder = explorer.index.folder

    def sentences(cell: str) -> set[int]:
        place, row = map(int, cell[1:].split("."))
        tokens = layer_arrays(folder, place)["trigger_token"][row].reshape(-1).tolist()
        return {sentence_at(folder, one)[0] for one in tokens if one != NO_TOKEN}

    page = drawn(explorer, near(explorer, "L1.3", "triggers", 8))
    rows = page.one("table").rows()
    assert len(rows) == 8
    for cell, _, n_shared, fires_on, promotes, compare in rows:
        assert compare == "compare"
        place, row = map(int, cell[1:].split("."))
        arrays = layer_arrays(folder, place)
        assert int(n_shared) == len(sentences(cell) & sentences("L1.3")) > 0
        assert fires_on == shown_token(sentence_at(folder, arrays["trigger_token"][row, 0, 0])[3])
        assert promotes.split() == [shown_token(token_text(folder, one)) for one in arrays["promoted_ids"][row, :3]]
    links = [one.attributes["href"] for one in page.one("table").all("a") if one.words == "compare"]
    assert links == [f"/cells/L1.3/compare?other={row[0]}" for row in rows]
    nearness = [float(row[1]) for row in rows]
    assert nearness == sorted(nearness, reverse=True) and all(0 < one <= 1 for one in nearness)


def test_vectors_have_cosines_and_nothing_to_share(index_of: Callable[[str], Index]) -> None:
    explorer = Explorer(index_of("gpt2"))
    view = near(explorer, "L1.3", "triggers", 2)
    rows = tuple(replace(one, similarity=-0.12345, n_shared=None, trigger=None) for one in view.similar.rows)
    table = drawn(explorer, replace(view, by="value", similar=replace(view.similar, rows=rows))).one("table")
    assert [one.words for one in table.all("th", scope="col")] == [
        "cell",
        "cosine",
        "fires on",
        "promotes",
        "beside it",
    ]
    assert [row[1:3] for row in table.rows()] == [["-0.123", ""]] * 2
    empty = drawn(explorer, replace(view, similar=replace(view.similar, rows=())))
    assert empty.one("table").rows() == [["none"]]


def test_tokens_stay_text(index_of: Callable[[str], Index]) -> None:
    explorer = Explorer(index_of("gpt2"))
    view = near(explorer, "L1.3", "triggers", 1)

    def with_text(text: str) -> SimilarView:
        row = replace(view.similar.rows[0], trigger=text, promoted=(text, text))
        return replace(view, similar=replace(view.similar, rows=(row,)))

    expected = shape(drawn(explorer, with_text("x")))

    @FEW
    @given(text=HOSTILE)
    def check(text: str) -> None:
        page = drawn(explorer, with_text(text))
        assert shape(page) == expected
        assert [one.text for one in page.one("table").all("code")] == [shown_token(text)] * 3

    check()
