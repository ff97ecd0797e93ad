"""Cells in an outline, against a loop over points and sides; squares against counting."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ffmem import InputError
from ffmem.ids import LayerCells
from ffmem.queries.atlas.points import CellNumbers, cells_within, densest, in_order, masks_of, parse_outline, within
from tests.fixtures.collected import collected_index
from tests.fixtures.made_index import Document, Layer, make_index
from tests.queries.atlas.made import with_atlas

# quarters meet points and corners exactly
NUMBER = st.one_of(st.integers(0, 4).map(lambda one: one / 4), st.floats(0, 1, width=32))
POINTS = st.lists(st.tuples(NUMBER, NUMBER), min_size=1, max_size=20)


def inside(point: tuple[float, float], corners: list[tuple[float, float]]) -> bool:
    """By the angle that the outline turns around a point, which nothing but an outline around it makes odd."""
    crossings = 0
    for number, (x0, y0) in enumerate(corners):
        x1, y1 = corners[(number + 1) % len(corners)]
        low, high = min(y0, y1), max(y0, y1)
        if low <= point[1] < high and point[0] < x0 + (point[1] - y0) * (x1 - x0) / (y1 - y0):
            crossings += 1
    return crossings % 2 == 1


@settings(max_examples=200, deadline=None)
@given(points=POINTS, corners=st.lists(st.tuples(NUMBER, NUMBER), min_size=3, max_size=8))
def test_an_outline_has_what_a_loop_over_points_finds(
    points: list[tuple[float, float]], corners: list[tuple[float, float]]
) -> None:
    found = within(np.array(points, dtype=np.float32), np.array(corners))
    assert found.tolist() == [inside(point, corners) for point in points]


@given(points=POINTS, a=st.tuples(NUMBER, NUMBER), b=st.tuples(NUMBER, NUMBER))
def test_a_rectangle_has_what_lies_between_its_sides(
    points: list[tuple[float, float]], a: tuple[float, float], b: tuple[float, float]
) -> None:
    places = np.array(points, dtype=np.float32)
    found = within(places, parse_outline(",".join(f"{value!r}" for value in (*a, *b))))
    (x0, x1), (y0, y1) = sorted((a[0], b[0])), sorted((a[1], b[1]))
    assert found.tolist() == [bool(x0 <= x < x1 and y0 <= y < y1) for x, y in places.tolist()]


@pytest.mark.parametrize("text", ["", "0,0", "0,0,1", "a,b,c,d", "0,0,nan,1", "0,0,1e300,1", "0," * 2000 + "1"])
def test_what_is_no_outline_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"is no outline.*corners of a rectangle"):
        parse_outline(text)


def test_cells_go_by_numbers_in_the_order_of_layers_and_rows(tmp_path: Path) -> None:
    table = np.arange(4 * 6, dtype=np.float32).reshape(4, 6)
    layers = [Layer(table[:, :3]), Layer(table, LayerCells(1, 3, n_experts=2))]
    index = make_index(tmp_path / "index", [Document([list("ab"), list("cd")])], layers)
    numbers = CellNumbers(index)
    ids = ["L0.0", "L0.1", "L0.2", "L1.e0.0", "L1.e0.1", "L1.e0.2", "L1.e1.0", "L1.e1.1", "L1.e1.2"]
    assert [str(numbers.cell(one)) for one in range(9)] == ids
    assert [numbers.number(index.cell_id(one)) for one in ids] == list(range(9))
    for wrong in (-1, 9):
        with pytest.raises(InputError, match="Expected 0 to 8"):
            numbers.cell(wrong)
    masks = masks_of(index, [index.cell_id("L1.e1.1"), index.cell_id("L0.2")])
    assert [one.tolist() for one in masks] == [[False, False, True], [False] * 4 + [True, False]]
    places = in_order(index)
    assert ((places[:3, 1] > 0) & (places[:3, 1] < 0.5)).all() and (places[3:, 1] > 0.5).all()


def test_places_in_order_go_by_how_often_cells_are_active(tmp_path: Path) -> None:
    often = np.array([[1, 1, -1], [1, -1, -1], [1, -1, -1]], dtype=np.float32)
    index = make_index(tmp_path / "index", [Document([list("abc")])], [Layer(often)])
    x = in_order(index)[:, 0]
    assert x[2] < x[1] < x[0]


def test_cells_within_an_outline_of_a_picture(tmp_path: Path) -> None:
    index = collected_index(tmp_path / "index")
    with pytest.raises(InputError, match=r"there is no picture.*Make it: ffmem atlas"):
        cells_within(index, "triggers", "0,0,1,1")
    with pytest.raises(InputError, match=r"the picture is by '../x'"):
        cells_within(index, "../x", "0,0,1,1")  # type: ignore[arg-type]
    places = with_atlas(index).positions
    found = cells_within(index, "triggers", "0,0,0.5,1.1")
    expected = [str(CellNumbers(index).cell(i)) for i in range(len(places)) if places[i, 0] < 0.5]
    assert [str(one) for one in found] == expected and 0 < len(found) < index.n_cells


def test_the_densest_squares() -> None:
    # of 16 by 16: five points in the square of column 3, row 1; two at its middle and away; the last edges belong inside
    places = np.array([[0.2, 0.1]] * 4 + [[3.5 / 16, 1.5 / 16], [0.9, 0.9], [0.91, 0.9], [1, 1]], dtype=np.float32)
    found = densest(places, n=2, n_shown=2)
    assert [(one.outline, one.n_cells) for one in found] == [
        ("0.1875,0.0625,0.25,0.125", 5),
        ("0.875,0.875,0.9375,0.9375", 2),
    ]
    assert found[0].numbers == (4, 0)
    assert sum(one.n_cells for one in densest(places, n=100)) == len(places)
