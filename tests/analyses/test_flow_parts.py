"""What of a sum is drawn, against plain loops over every number that was put in."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffmem.analyses.flow_parts import USUAL_PARTS, HeadShare, LayerSum, Part, Sum, cut

SHARES = st.floats(-4, 4, allow_subnormal=False).map(lambda value: round(value, 3))


def layer_of(name: str, heads: list[list[float]], cells: list[float], biases: tuple[float, float], n_named: int) -> Any:
    """A layer with these numbers, of whose cells the largest are named."""
    order = sorted(range(len(cells)), key=lambda row: (-abs(cells[row]), row))[:n_named]
    named = [
        SimpleNamespace(share=cells[row], cell=SimpleNamespace(cell=f"{name}.{row}")) for row in order if cells[row]
    ]
    return LayerSum(
        layer=name,
        attention=sum(map(sum, heads)) + biases[0],
        heads=tuple(HeadShare(number, sum(own), tuple(own)) for number, own in enumerate(heads)),
        attention_bias=biases[0],
        not_split="",
        cells=sum(cells),
        cells_above=sum(one for one in cells if one > 0),
        cells_below=sum(one for one in cells if one < 0),
        n_cells=sum(one != 0 for one in cells),
        largest=tuple(named),  # type: ignore[arg-type]
        bias=biases[1],
    )


LAYERS = st.tuples(
    st.lists(st.lists(SHARES, min_size=2, max_size=2), min_size=1, max_size=3),
    st.lists(SHARES, max_size=6),
    st.tuples(SHARES, SHARES),
)
NUMBERS = st.lists(LAYERS, min_size=1, max_size=3)


def made(numbers: list[Any], embedding: float, n_named: int = 6) -> Sum:
    layers = tuple(layer_of(f"L{place}", *one, n_named) for place, one in enumerate(numbers))
    return Sum(embedding, layers, 0.5, -0.25)


def flat(numbers: list[Any], embedding: float) -> list[float]:
    """Every part, by a plain loop."""
    found = [embedding]
    for heads, cells, biases in numbers:
        found += [share for own in heads for share in own] + [*cells, *biases]
    return found


@given(numbers=NUMBERS, embedding=SHARES, share=st.none() | st.floats(0, 1), most=st.integers(1, 40))
def test_what_is_drawn_and_what_is_left_of_each_layer_are_the_whole_sum(
    numbers: list[Any], embedding: float, share: float | None, most: int
) -> None:
    parts = flat(numbers, embedding)
    found = cut(made(numbers, embedding), share, n_before=1, most=most)
    assert found.total == pytest.approx(sum(parts) + 0.5 - 0.25, abs=1e-9)
    above, below = sum(one for one in parts if one > 0), sum(one for one in parts if one < 0)
    shown = [one.share for one in found.shown]
    assert found.above * above == pytest.approx(sum(one for one in shown if one > 0), abs=1e-9) or not above
    assert found.below * below == pytest.approx(sum(one for one in shown if one < 0), abs=1e-9) or not below
    assert found.n_parts == sum(one != 0 for one in parts)
    assert sum(one.n_parts for one in found.rests) + sum(one != 0 for one in shown) == found.n_parts
    for rest in found.rests:
        heads, cells, biases = numbers[rest.layer]
        drawn = [one for one in found.shown if one.layer == rest.layer]
        for kind, whole, own in (
            ("head", sum(map(sum, heads)), rest.attention),
            ("cell", sum(cells), rest.cells),
            ("bias", sum(biases), rest.biases),
        ):
            assert own == pytest.approx(whole - sum(one.share for one in drawn if one.kind == kind), abs=1e-9)


@given(numbers=NUMBERS, embedding=SHARES, share=st.floats(0, 1))
def test_no_fewer_parts_would_do(numbers: list[Any], embedding: float, share: float) -> None:
    parts = sorted((abs(one) for one in flat(numbers, embedding)[1:]), reverse=True)
    sizes = sum(parts) + abs(embedding)
    found = cut(made(numbers, embedding), share)
    drawn = [abs(one.share) for one in found.shown if one.kind != "embedding"]
    assert drawn == pytest.approx(parts[: len(drawn)])  # the largest, and no others
    assert (abs(embedding) + sum(drawn)) >= share * sizes - 1e-9
    if drawn:
        assert abs(embedding) + sum(drawn[:-1]) < share * sizes + 1e-9
    both = (abs(embedding) + sum(drawn)) / sizes if sizes else 1.0
    assert found.reach == pytest.approx(1.0) and found.both == pytest.approx(both)


def test_without_a_share_a_glance_is_drawn_and_pins_beside_it() -> None:
    cells = [1.0 + row for row in range(200)]
    whole = made([([[0.5, 0.0]], cells, (0.0, 0.0))], 0.0, n_named=200)
    found = cut(whole, None)
    assert len(found.shown) == USUAL_PARTS and found.shown[0].name == "L0.199"
    pinned = cut(whole, None, ("L0.0", "L0.H0@-1", "L0.no-such"), n_before=1)
    assert {one.name for one in pinned.shown} - {one.name for one in found.shown} == {"L0.0", "L0.H0@-1"}
    assert pinned.total == pytest.approx(found.total) and len(cut(whole, 1.0).shown) == 150
    assert cut(whole, 1.0).both == cut(whole, 1.0).reach < 1


def test_names_count_the_texts_own_tokens() -> None:
    whole = made([([[0.1, 0.2]], [0.3], (0.4, 0.5))], 0.6)
    assert [one.name for one in whole.parts(1)] == [
        "embedding", "L0.H0@-1", "L0.H0@0", "L0.attention-bias", "L0.0", "L0.bias"
    ]  # fmt: skip
    unsplit = Sum(0.6, (replace(whole.layers[0], heads=(), attention_bias=0.0, not_split="why"),), 0.5, 0.0)
    (attention,) = (one for one in unsplit.parts(0) if one.kind == "attention")
    assert attention == Part("L0.attention", "attention", pytest.approx(0.7), 0)
    assert unsplit.total == pytest.approx(whole.total + 0.25) and cut(unsplit, 1.0).total == pytest.approx(
        unsplit.total
    )


def test_a_sum_of_nothing_is_drawn_too() -> None:
    found = cut(made([([[0.0, 0.0]], [0.0], (0.0, 0.0))], 0.0), 0.5)
    assert [one.name for one in found.shown] == ["embedding"] and not found.rests and found.largest == 1.0
    assert (found.above, found.below, found.both) == (1.0, 1.0, 1.0)
