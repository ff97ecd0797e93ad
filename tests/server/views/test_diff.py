"""Two indexes side by side: shares and lists of both files, and what is asked once is computed once."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given

from ffmem import Index, InputError, queries
from ffmem.server.explorer import Explorer
from ffmem.server.links import Links
from ffmem.server.pages import render
from ffmem.server.views import diff as views_diff
from ffmem.server.views.diff import CHANGES, DiffCellView, DiffView, diff_cell_view, diff_view
from tests.server.arrays import NO_TOKEN, layer_arrays, token_text, total
from tests.server.page import FEW, HOSTILE, Element, assert_sound, shape


@pytest.fixture
def two(index_of: object, other_index: Index) -> Explorer:
    return Explorer(index_of("gpt2"), [other_index])  # type: ignore[operator]


def drawn(explorer: Explorer, view: DiffView) -> Element:
    return assert_sound(render("diff.html", Links(), explorer=explorer, here="/diff", view=view, changes=CHANGES))


def drawn_cell(explorer: Explorer, view: DiffCellView) -> Element:
    return assert_sound(
        render("diff-cell.html", Links(), explorer=explorer, here="/diff/L0.0", view=view, n_triggers=9)
    )


def signed(number: float) -> str:
    return f"{number:.4g}".replace("-", "\u2212")


def test_a_row_has_the_shares_and_means_of_both_files(two: Explorer, other_index: Index) -> None:
    rows = drawn(two, diff_view(two, None, "active", None, 200)).one("table").rows()
    assert len(rows) == 144
    both = [[layer_arrays(folder, place) for place in range(3)] for folder in (two.index.folder, other_index.folder)]
    differences = []
    for row in rows:
        place, number = map(int, row[0][1:].split("."))
        sides = [(one[place], one[place]["counts"][0, 0]) for one in both]
        shares = [arrays["n_active"][number] / n for arrays, n in sides]
        means = [total(arrays["sum"])[number] / n for arrays, n in sides]
        assert row[3:5] == [f"{100 * one:.3g} %" if one else "0 %" for one in shares]
        assert row[6:8] == [signed(one) for one in means]
        variance = sum(one * (1 - one) for one in shares) / 2
        difference = (shares[1] - shares[0]) / variance**0.5 if variance else 0.0
        differences.append(abs(difference))
        assert float(row[5].replace("\u2212", "-")) == pytest.approx(difference, rel=1e-3, abs=1e-9)
    assert differences == sorted(differences, reverse=True)


def test_a_cell_has_a_side_of_each_index(two: Explorer, other_index: Index) -> None:
    cell = two.index.cell_id("L1.5")
    view = diff_cell_view(two, cell, None, 3)
    folders = (two.index.folder, other_index.folder)
    tokens = [{token_text(one, token) for token in layer_arrays(one, 1)["promoted_ids"][5]} for one in folders]
    assert view.n_common == len(tokens[0] & tokens[1]) > 0
    page = drawn_cell(two, view)
    assert [one.words for one in page.all("h2") if one.words != "Keys"] == [two.name, other_index.folder.name]
    for section, folder in zip(page.all("section"), folders, strict=True):
        arrays = layer_arrays(folder, 1)
        n_filled = int((arrays["trigger_token"][5, 0] != NO_TOKEN).sum())
        shown = [one.words for one in section.all("span", class_="coefficient")]
        assert shown == [signed(one) for one in arrays["trigger_coefficient"][5, 0][: min(3, n_filled)].tolist()]
    told = view.to_json()
    assert told["cell"] == "L1.5" and [one["index"] for one in told["sides"]] == [two.name, "other"]


def test_an_index_beside_itself_has_not_changed(two: Explorer, index_of: object) -> None:
    same = Explorer(two.index, [two.index])
    view = diff_view(same, "gpt2", "triggers", "L0", 10)
    assert view.diff is not None and view.diff.compared == "triggers" and view.diff.mean_overlap == pytest.approx(1)
    rows = drawn(same, view).one("table").rows()
    active = layer_arrays(two.index.folder, 0)["n_active"]
    assert [row[0] for row in rows] == [f"L0.{number}" for number in np.argsort(-active, kind="stable")[:10]]
    later = diff_view(same, "gpt2", "triggers", "L0", 10, 20)
    assert [row[0] for row in drawn(same, later).one("table").rows()] == [
        f"L0.{number}" for number in np.argsort(-active, kind="stable")[20:30]
    ]
    assert "21 to 30 of 48 cells" in drawn(same, later).words
    assert {(row[1], row[5], row[8]) for row in rows} == {("1.000", "0", "0")}
    assert diff_cell_view(same, two.index.cell_id("L0.1"), "", 3).n_common == 10


def test_a_question_is_computed_once(two: Explorer, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(
        views_diff, "diff", lambda *a, **b: asked.append((b["by"], b["limit"])) or queries.diff(*a, **b)
    )
    first = diff_view(two, None, "triggers", None, 7)
    assert diff_view(two, "other", "triggers", None, 7).diff == first.diff
    diff_view(two, "other", "triggers", None, 6)
    diff_view(two, "other", "promoted", None, 7)
    assert asked == [("triggers", 7), ("triggers", 6), ("promoted", 7)]


def test_an_index_that_is_not_there_is_refused_with_those_that_are(two: Explorer) -> None:
    for ask in (
        lambda: diff_view(two, "nothing", "triggers", None, 5),
        lambda: diff_cell_view(two, two.index.cell_id("L0.1"), "nothing", 5),
    ):
        with pytest.raises(InputError, match=r"no index 'nothing'.*Expected one of: other\. Name further indexes"):
            ask()


def test_with_nothing_beside_it_the_page_says_how_to_get_it(two: Explorer) -> None:
    alone = Explorer(two.index)
    view = diff_view(alone, None, "triggers", None, 5)
    assert view.diff is None and view.to_json() == {"with": "", "others": [], "start": 0}
    assert "ffmem serve gpt2 OTHER" in drawn(alone, view).words
    with pytest.raises(InputError, match="none was given"):
        diff_cell_view(alone, two.index.cell_id("L0.1"), None, 5)


def test_names_of_folders_and_text_stay_text(two: Explorer) -> None:
    view = diff_view(two, None, "triggers", None, 1)
    cell = diff_cell_view(two, two.index.cell_id("L1.5"), None, 1)
    (here, left), (_, right) = cell.sides

    def with_text(text: str) -> tuple[DiffView, DiffCellView]:
        promoted = tuple(replace(one, token=text) for one in right.promoted[:2])
        sides = ((here, left), (text, replace(right, promoted=promoted)))
        return replace(view, other=text, others=("a", text)), replace(cell, other=text, sides=sides)

    plain = with_text("x")
    expected = shape(drawn(two, plain[0])), shape(drawn_cell(two, plain[1]))

    @FEW
    @given(text=HOSTILE.map(lambda one: one.encode("utf-8", "backslashreplace").decode() or "x"))
    def check(text: str) -> None:
        table, sides = with_text(text)
        page, beside = drawn(two, table), drawn_cell(two, sides)
        assert (shape(page), shape(beside)) == expected
        (chosen,) = [one for one in page.one("select", name="with").all("option") if "selected" in one.attributes]
        assert chosen.text == text and beside.by_id("side2").text == text

    check()
