"""Sets of collections against sets of Python; what two differ in; one collection in two indexes."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ffmem.errors import InputError
from ffmem.ids import CellId
from ffmem.names.collections import (
    SetOperation,
    adding,
    combine,
    compare_collections,
    compare_in,
    notes_on,
    removing,
)
from ffmem.queries import diff
from ffmem.store.collections import Collection, Item, Note, Origin, Query
from tests.fixtures.collected import collected_index

ORIGIN = Origin("index-0", "made", "ab", "made.txt", "cd")
UNITS = st.tuples(st.builds(CellId, st.integers(0, 1), st.integers(0, 3)), st.sampled_from([1, -1]))
SAID = st.lists(st.builds(Note, st.sampled_from(["", "ann", "bob"]), st.sampled_from("xyz")), max_size=3).map(tuple)
ITEMS = st.builds(
    lambda unit, notes, tags: Item(*unit, notes, tuple(tags)), UNITS, SAID, st.sets(st.sampled_from("tuv"))
)
LINES = st.lists(st.sampled_from(["wet", "dry", "wild"]), max_size=3).map("\n".join)


@st.composite
def collections(draw: Callable[..., object]) -> Collection:
    items = draw(st.lists(ITEMS, max_size=6, unique_by=lambda one: one.unit))
    return Collection("a", ORIGIN, tuple(items), draw(LINES))  # type: ignore[arg-type]


def said(collection: Collection) -> set[tuple[object, ...]]:
    """All that is said, one thing after the other, as no code of ours joins it."""
    found: set[tuple[object, ...]] = {("item", *one.unit) for one in collection.items}
    for one in collection.items:
        found |= {(*one.unit, note.author, note.text) for note in one.notes}
        found |= {(*one.unit, tag) for tag in one.tags}
    return found


@given(collections(), collections(), collections())
@settings(max_examples=60, deadline=None)
def test_a_merge_has_all_that_was_said_whoever_is_first(a: Collection, b: Collection, c: Collection) -> None:
    merged = combine("m", [a, b, c], ORIGIN)
    assert said(merged) == said(a) | said(b) | said(c)
    assert set(merged.description.splitlines()) == {
        line for one in (a, b, c) for line in one.description.splitlines() if line
    }
    assert combine("m", [c, a, b], ORIGIN) == combine("m", [combine("m", [a, b], ORIGIN), c], ORIGIN) == merged
    assert combine("m", [a, combine("m", [b, c], ORIGIN)], ORIGIN) == merged
    once = combine("m", [a], ORIGIN)
    assert combine("m", [once, once], ORIGIN) == once


@given(collections(), collections(), collections())
@settings(max_examples=60, deadline=None)
def test_the_other_operations_are_those_of_sets(a: Collection, b: Collection, c: Collection) -> None:
    units = [{one.unit for one in each.items} for each in (a, b, c)]
    both = combine("m", [a, b, c], ORIGIN, "intersection")
    assert {one.unit for one in both.items} == units[0] & units[1] & units[2]
    assert said(both) == {
        one for one in said(a) | said(b) | said(c) if (one[1:] if one[0] == "item" else one[:2]) in both.by_unit
    }
    rest = combine("m", [a, b, c], ORIGIN, "difference")
    assert {one.unit for one in rest.items} == units[0] - units[1] - units[2]
    assert all(one == a.by_unit[one.unit] for one in rest.items)


@given(collections(), collections())
@settings(max_examples=60, deadline=None)
def test_a_difference_undoes_itself(a: Collection, b: Collection) -> None:
    found = compare_collections(a, b)
    there = dict(a.by_unit)
    for one in found.removed:
        assert there.pop(one.unit) == one
    there |= {one.unit: one for one in found.added}
    for change in found.changed:
        assert there[change.after.unit] == change.before != change.after
        there[change.after.unit] = change.after
    assert there == b.by_unit
    assert found.n_same == sum(b.by_unit.get(one.unit) == one for one in a.items)


def test_another_model_is_refused_and_another_text_is_said() -> None:
    here = Collection("a", ORIGIN, (Item(CellId(0, 0)),))
    other = replace(here, name="b", origin=replace(ORIGIN, weights="xy", model="else"))
    for how in ("union", "intersection", "difference"):
        with pytest.raises(InputError, match=r"the collection b is of another model: else"):
            combine("m", [here, other], ORIGIN, how)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="of another model"):
        compare_collections(here, other)
    text = replace(here, name="c", origin=replace(ORIGIN, id="index-1", corpus="books", corpus_sha256="ef"))
    options = replace(here, name="d", origin=replace(ORIGIN, id="index-2"))
    told = notes_on([here, text, text, options], ORIGIN)
    assert len(told) == 2 and told[0].startswith("c was made with another text, books, not made.txt")
    assert told[1] == "d was made with another index of the same model and text (index-2)"
    assert combine("m", [text, here], ORIGIN).origin == ORIGIN
    with pytest.raises(InputError, match="Expected one of: union, intersection, difference"):
        combine("m", [here], ORIGIN, "xor")  # type: ignore[arg-type]


def test_a_question_stays_only_where_it_is_the_same() -> None:
    asked = Query("find", {"fires_on": "the"})
    answer = Collection("a", ORIGIN, (Item(CellId(0, 0)),), query=asked)
    assert combine("m", [answer, answer], ORIGIN).query == asked
    assert combine("m", [answer, replace(answer, query=None)], ORIGIN).query is None
    how: SetOperation = "union"
    assert combine("m", [answer], ORIGIN, how, "said anew").description == "said anew"


def test_one_collection_in_two_indexes(tmp_path: Path) -> None:
    left = collected_index(tmp_path / "left")
    right = collected_index(tmp_path / "right", weights="xy", corpus="ef")
    cells = [CellId(1, 2), CellId(0, 3), CellId(0, 0)]
    found = compare_in(Collection("a", Origin.of(left), tuple(map(Item, cells))), left, right)
    assert found.diff is not None and {row.cell for row in found.diff.rows} == set(cells)
    all_cells = {row.cell: row for row in diff(left, right, limit=100).rows}
    assert all(row == all_cells[row.cell] for row in found.diff.rows)
    assert [one.split(" ", 1)[1] for one in found.notes] == [
        "is of other weights (made): a cell there need not mean the same", "texts differ: cd.txt and ef.txt",
    ]  # fmt: skip
    assert compare_in(Collection("a", Origin.of(left)), left, right).diff is None


def test_adding_and_taking_out() -> None:
    made = adding("a", ORIGIN, [Item(CellId(0, 0)), Item(CellId(0, 1))], "what it is")(None)
    assert (made.name, made.description, made.cells) == ("a", "what it is", (CellId(0, 0), CellId(0, 1)))
    assert adding("a", ORIGIN, [])(made) == made
    assert removing("a", [(CellId(0, 0), 1)])(made).cells == (CellId(0, 1),)
    with pytest.raises(InputError, match=r"^L0\.1 with negative coefficients is not in the collection a"):
        removing("a", [(CellId(0, 1), -1)])(made)
