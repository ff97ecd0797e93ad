"""What the picture of all cells shows: pictures that are there, marks, lists, squares."""

from pathlib import Path

import numpy as np
import pytest

from ffmem import Index, InputError
from ffmem.names import people
from ffmem.queries.atlas.points import CellNumbers
from ffmem.server.explorer import Explorer
from ffmem.server.views import atlas as views
from ffmem.server.views.atlas import atlas_view, bins, marked_numbers, positions_of, shown_numbers
from tests.fixtures.collected import collected_index
from tests.queries.atlas.made import with_atlas


@pytest.fixture
def index(tmp_path: Path) -> Index:
    return collected_index(tmp_path / "index")


def test_without_a_picture_cells_lie_in_order(index: Index) -> None:
    view = atlas_view(Explorer(index))
    assert (view.by, view.layouts, view.facts, view.regions) == ("order", ("order",), None, ())
    assert view.colours == ("layer", "active", "size", "largest", "agreement")
    with pytest.raises(InputError, match="there is no picture of these cells by value vectors yet"):
        atlas_view(Explorer(index), by="values")
    with pytest.raises(InputError, match="nothing is known of these cells by how far to trust its place"):
        atlas_view(Explorer(index), colour="kept")


def test_a_picture_that_was_made_comes_first_and_is_read_anew_when_it_changes(index: Index) -> None:
    explorer = Explorer(index)
    first = with_atlas(index, seed=1)
    view = atlas_view(explorer)
    assert (view.by, view.layouts, view.facts) == ("triggers", ("triggers", "order"), first.facts)
    assert sum(one.n_cells for one in view.regions) == index.n_cells
    second = with_atlas(index, seed=2)
    np.testing.assert_array_equal(positions_of(explorer, "triggers"), second.positions)


def test_the_cells_in_an_outline_page_by_page(index: Index) -> None:
    places, numbers = with_atlas(index).positions, CellNumbers(index)
    explorer = Explorer(index)
    expected = [str(numbers.cell(i)) for i in range(index.n_cells) if places[i, 1] < 0.6]
    assert 2 < len(expected) < index.n_cells
    found = []
    for start in range(0, len(expected), 2):
        chosen = atlas_view(explorer, outline="0,0,1.1,0.6", start=start, limit=2).chosen
        assert chosen is not None and chosen.n_cells == len(expected)
        found += [str(row.cell) for row in chosen.rows]
    assert found == expected


def test_what_a_search_finds_is_marked(index: Index) -> None:
    explorer, numbers = Explorer(index), CellNumbers(index)
    river = {
        numbers.number(index.cell_id(str(cell)))
        for place in range(index.n_layers)
        for row in range(index.cells.layers[place].n_cells)
        for cell in [index.cells.cell_id(place, row)]
        if any("river" in one.text for one in index[cell].triggers)
    }
    marked, problem = marked_numbers(explorer, "river")
    assert set(marked.tolist()) <= river and len(marked) > 1 and not problem
    marked, problem = marked_numbers(explorer, "river within:sentence")
    assert set(marked.tolist()) == river and not problem
    assert marked_numbers(explorer, "L1.2")[0].tolist() == [6]
    assert len(marked_numbers(explorer, " ")[0]) == 0 and atlas_view(explorer, q=" ").n_found is None
    assert "promotes" in marked_numbers(explorer, "promotes:a promotes:b")[1]
    assert atlas_view(explorer, q="promotes:a promotes:b").n_found is None
    assert atlas_view(explorer, q="L1.2").n_found == 1


def test_a_new_name_is_a_new_colour(index: Index) -> None:
    explorer = Explorer(index)
    assert "kind" not in atlas_view(explorer).colours
    people.say(index, index.cell_id("L0.1"), "wet")
    view = atlas_view(explorer, colour="kind")
    assert [(one.label, one.n_cells) for one in view.colour.legend] == [("human", 1)]


def test_of_too_many_cells_a_sample_is_drawn_which_stays_the_same(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "MAX_POINTS", 4)
    explorer = Explorer(index)
    assert atlas_view(explorer).n_points == 4
    numbers = shown_numbers(explorer)
    assert len(set(numbers.tolist())) == 4 and numbers.tolist() == sorted(numbers.tolist())
    assert numbers.tolist() == shown_numbers(Explorer(index)).tolist()


def test_squares_have_the_commonest_colour_of_their_cells(index: Index) -> None:
    places = with_atlas(index).positions
    explorer = Explorer(index)
    view = atlas_view(explorer, colour="layer")
    found = {(one.x, one.y): one for one in bins(explorer, view)}
    expected: dict[tuple[int, int], list[int]] = {}
    for (x, y), number in zip(places.tolist(), view.colour.numbers.tolist(), strict=True):
        expected.setdefault((int(x * 96), 95 - int(y * 96)), []).append(number)
    assert found.keys() == expected.keys()
    for place, some in expected.items():
        assert some.count(found[place].colour) == max(map(some.count, some))
    assert max(one.share for one in found.values()) == 1
