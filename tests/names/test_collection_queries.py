"""A question that is kept: what it answered, what it answers later, and what is no question."""

from pathlib import Path

import pytest

from ffmem import Index, queries
from ffmem.errors import InputError
from ffmem.ids import CellId
from ffmem.names.collection_queries import as_typed, ask, needs_model, query_of, refresh, save, units_of
from ffmem.store.collection_files import Collections
from ffmem.store.collections import Collection, Item, Note, Query
from tests.fixtures.collected import collected_index


@pytest.fixture
def index(tmp_path: Path) -> Index:
    return collected_index(tmp_path / "index")


def named(units: object) -> list[tuple[str, int]]:
    return [(str(cell), sign) for cell, sign in units]  # type: ignore[attr-defined]


def test_the_answer_that_is_saved_is_the_answer_that_is_shown(index: Index) -> None:
    token = index.text.vocabulary[0]
    asked = [
        ("cells", {"sort": "max", "limit": 3}, queries.cells(index, sort="max", limit=3)),
        ("find", {"fires_on": "river "}, queries.find(index, fires_on="river ")),
        ("promotes", {"token": token, "limit": 4}, queries.promotes(index, token, limit=4)),
        ("search", {"text": "wind"}, queries.search(index, "wind", with_cells=True)),
        ("similar", {"cell": "L0.0", "limit": 2}, queries.similar(index, "L0.0", limit=2)),
    ]
    for verb, arguments, answer in asked:
        kept = save(index, f"of-{verb}", verb, arguments, answer)
        units = units_of(answer)
        assert units and set(units) == {one.unit for one in kept.collection.items}, verb
        assert kept.collection.query == Query(verb, arguments)
        assert ask(index, kept.collection.query) == units
    # by hand, from the tables of coefficients
    river = {("L0.0", 1), ("L0.1", 1), ("L0.3", 1), ("L0.3", -1), ("L1.0", 1)}
    wind = {("L0.0", 1), ("L0.2", 1), ("L0.3", 1), ("L1.0", 1), ("L1.1", 1)}
    assert set(named(units_of(asked[1][2]))) == river and set(named(units_of(asked[3][2]))) == wind


def test_the_same_question_again_brings_it_up_to_date_and_another_is_refused(index: Index) -> None:
    answer = queries.cells(index, sort="max", limit=2)
    save(index, "best", "cells", {"sort": "max", "limit": 2}, answer)
    assert save(index, "best", "cells", {"sort": "max", "limit": 2, "layer": None}, answer).collection.query is not None
    with pytest.raises(InputError, match=r"there is a collection best of something else"):
        save(index, "best", "cells", {"sort": "min", "limit": 2}, answer)
    with pytest.raises(InputError, match="valid name"):
        save(index, "../best", "cells", {"sort": "max"}, answer)


def test_a_refresh_shows_what_changed_and_keeps_what_was_said(index: Index) -> None:
    save(index, "best", "cells", {"sort": "max", "limit": 2}, queries.cells(index, sort="max", limit=2))
    collections = Collections(index)
    first = [str(one) for one in collections.load("best").collection.cells]
    assert first == ["L0.0", "L0.3"]  # 5 in both
    items = (Item(CellId(0, 0)), Item(CellId(0, 1), 1, (Note("ann", "wet"),)), Item(CellId(0, 2)), Item(CellId(7, 0)))
    made = Collection("best", collections.origin, items, query=Query("cells", {"sort": "max", "limit": 2}))
    found = refresh(index, made)
    assert [str(one.cell) for one in found.added] == ["L0.3"]
    assert [str(one.cell) for one in found.removed] == ["L0.2"]
    assert [str(one.cell) for one in found.kept] == ["L0.1"] and found.kept[0].notes[0].text == "wet"
    assert [str(one.cell) for one in found.not_here] == ["L7.0"] and found.n_same == 1
    assert [str(one) for one in found.refreshed.cells] == ["L0.0", "L0.1", "L0.3", "L7.0"]
    assert found.note == "" and refresh(index, found.refreshed).n_same == 2
    plain = refresh(index, Collection("a", collections.origin, items))
    assert (plain.n_same, plain.added, plain.removed, len(plain.not_here)) == (3, (), (), 1)


@pytest.mark.parametrize(
    ("verb", "arguments", "told"),
    [
        ("rm", {}, "the query is of 'rm'"),
        ("find", {"shell": "x"}, "has 'shell' as 'x'"),
        ("find", {"limit": "many"}, "has 'limit' as 'many'"),
        ("find", {"limit": True}, "has 'limit' as 'True'"),
        ("cells", {"token": "x"}, "has 'token' as 'x'"),
        ("promotes", {"limit": 3}, "has no token"),
    ],
)
def test_a_question_that_is_none_is_refused(verb: str, arguments: dict[str, object], told: str, index: Index) -> None:
    with pytest.raises(InputError, match=told):
        query_of(verb, arguments)
    with pytest.raises(InputError, match=told):
        refresh(index, Collection("a", Collections(index).origin, query=Query(verb, arguments)))


def test_a_selection_in_a_question_is_looked_up_when_it_is_asked(index: Index) -> None:
    collections = Collections(index)
    query = Query("cells", {"cells": "@few", "sort": "index"})
    for cells in (["L0.1"], ["L0.1", "L1.1"]):
        made = Collection("few", collections.origin, tuple(Item(CellId.parse(one)) for one in cells))
        collections.change("few", lambda _, made=made: made)
        assert [str(cell) for cell, _ in ask(index, query)] == cells


@pytest.mark.parametrize(
    ("query", "typed"),
    [
        (None, ""),
        (Query("find", {"fires_on": " the", "next_token": "a", "min_active": 0.1}),
         "ffmem find DIR --fires-on ' the' --min-active 0.1 --next a"),
        (Query("promotes", {"token": " x'y", "suppressed": True, "with_model": True}),
         "ffmem promotes DIR ' x'\"'\"'y' --suppressed --model MODEL"),
        (Query("search", {"text": "a.b", "syntax": "regex", "limit": 5}), "ffmem search DIR a.b --limit 5 --regex"),
        (Query("search", {"text": "ab", "syntax": "words"}), "ffmem search DIR ab"),
    ],
)  # fmt: skip
def test_a_question_is_shown_as_it_is_typed(query: Query | None, typed: str) -> None:
    assert as_typed(query) == typed


def test_which_questions_need_a_model() -> None:
    assert needs_model(Query("similar", {"cell": "L0.0", "by": "value"}))
    assert needs_model(Query("promotes", {"token": "a", "with_model": True}))
    assert not needs_model(Query("similar", {"cell": "L0.0", "by": "triggers"}))
    assert not needs_model(Query("promotes", {"token": "a"}))
