"""Tables of cells, sorted, against a sort of all cells."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ffmem import Cell, Index, InputError
from ffmem.queries import table
from ffmem.queries.table import cells
from tests.fixtures.made_index import Document, Layer, make_index
from tests.queries.loops import every_cell


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    """Three layers of unequal size, with many ties and some cells that never fire."""
    dice = np.random.default_rng(0)
    layers = [Layer(dice.integers(-2, 3, (9, n)) * (dice.random((1, n)) < 0.6)) for n in (4, 7, 3)]
    return make_index(tmp_path_factory.mktemp("made") / "i", [Document([["a", "b", "c"]] * 3)], layers)


def last_trigger(cell: Cell) -> float:
    return cell.triggers[-1].coefficient if len(cell.triggers) == 3 else 0.0


KEYS: dict[str, Callable[[Cell], float]] = {
    "max": lambda cell: -cell.statistics.maximum,
    "min": lambda cell: cell.statistics.minimum,
    "mean": lambda cell: -cell.statistics.mean,
    "mean-square": lambda cell: -cell.statistics.mean_square,
    "active": lambda cell: -cell.statistics.active_fraction,
    "top": lambda cell: -last_trigger(cell),
    "name": lambda cell: 0,  # none has one here: see test_named.py
    "index": lambda cell: 0,
}


@given(st.sampled_from(sorted(KEYS)), st.sampled_from([None, "1", "1:", ":2", "L2"]), st.integers(0, 20))
@settings(deadline=None)
def test_rows_are_those_of_a_stable_sort_of_all_cells(index: Index, sort: str, layer: str | None, limit: int) -> None:
    places = {None: (0, 1, 2), "1": (1,), "1:": (1, 2), ":2": (0, 1), "L2": (2,)}[layer]
    expected = sorted((one for one in every_cell(index) if one.cell.layer in places), key=KEYS[sort])[:limit]
    assert [one.cell for one in cells(index, layer=layer, sort=sort, limit=limit)] == [one.cell for one in expected]  # type: ignore[arg-type]


@pytest.mark.parametrize("sort", ["max", "index"])
def test_only_some_cells_in_the_order_of_all(index: Index, sort: table.SortKey) -> None:
    dice = np.random.default_rng(1)
    among = [dice.random(layer.n_cells) < 0.5 for layer in index.cells.layers]
    wanted = {str(index.cells.cell_id(place, row)) for place, mask in enumerate(among) for row in np.flatnonzero(mask)}
    expected = [row for row in cells(index, sort=sort, limit=100) if str(row.cell) in wanted]
    assert 2 < len(expected) < 14 and cells(index, sort=sort, among=among, limit=100) == expected
    assert cells(index, sort=sort, among=among, limit=2) == expected[:2]
    of_layer = [row for row in expected if row.cell.layer == 1]
    assert cells(index, sort=sort, layer="1", among=among, limit=100) == of_layer


def test_every_sort_has_its_key_here() -> None:
    assert set(KEYS) == set(table.get_args(table.SortKey))


def test_a_row_says_what_its_cell_says(index: Index) -> None:
    for row in cells(index, limit=100):
        cell = index.cell(row.cell)
        statistics = cell.statistics
        assert (row.mean, row.mean_square) == (statistics.mean, statistics.mean_square)
        assert (row.minimum, row.maximum, row.active_fraction) == (
            statistics.minimum, statistics.maximum, statistics.active_fraction,
        )  # fmt: skip
        assert row.n_triggers == len(cell.triggers) and row.promoted == tuple(one.token for one in cell.promoted[:3])
        first = cell.triggers[0] if cell.triggers else None
        assert row.trigger == (first.tokens[first.position] if first else None)
    assert any(row.trigger is None for row in cells(index, limit=100))


def test_three_promoted_tokens_of_a_model(index_of: Callable[[str], Index]) -> None:
    gpt2 = index_of("gpt2")
    row = cells(gpt2, layer=1, sort="max", limit=1)[0]
    assert row.promoted == tuple(one.token for one in gpt2.cell(row.cell).promoted[:3]) and len(row.promoted) == 3


def test_no_limit_is_no_row_and_a_wrong_sort_is_told(index: Index) -> None:
    assert cells(index, limit=0) == [] == cells(index, limit=-3)
    with pytest.raises(InputError) as error:
        cells(index, sort="beauty")  # type: ignore[arg-type]
    assert str(error.value) == (
        "--sort is 'beauty'. Expected one of: max, min, mean, mean-square, active, top, name, index. Write --sort max."
    )
    with pytest.raises(InputError, match="layer 3 does not exist"):
        cells(index, layer="3")


def test_an_index_of_one_cell_that_never_fires(tmp_path: Path) -> None:
    index = make_index(tmp_path / "i", [Document([["a"]])], [Layer([[-0.5]])], top=1)
    for sort in KEYS:
        (row,) = cells(index, sort=sort)  # type: ignore[arg-type]
        assert (str(row.cell), row.trigger, row.n_triggers, row.mean) == ("L0.0", None, 0, -0.5)
    assert index.cell("L0.0").triggers == ()
