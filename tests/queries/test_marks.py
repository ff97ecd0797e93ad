"""Positions at which a trigger would match, and their share of all, counted by hand."""

from pathlib import Path

import numpy as np
import pytest

from ffmem.queries import marks, remembered
from ffmem.queries.marks import OfTriggers, marks_of, prefix_only
from tests.fixtures.made_index import Document, Layer, make_index

DOCUMENTS = [
    Document([["a", "b", " c"], ["b", " c", " c"]], "one", {"topic": "sea"}),
    Document([[" c", "-", "b"]], "two", {"topic": "land"}),
    Document([["a", "b"]], "three", {"topic": "sea"}, held_out=True),
]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (OfTriggers("c"), [2, 4, 5, 6, 7, 8]),
        (OfTriggers("c", within="sentence"), [0, 1, 2, 3, 4, 5, 6, 7, 8]),
        (OfTriggers("c", fires_on="b"), [8]),
        (OfTriggers(fires_on="b", next_token=" c"), [1, 3]),
        (OfTriggers(next_token="b"), [0, 7]),  # what follows stands in the same sentence
        (OfTriggers(meta={"topic": "sea"}), [0, 1, 2, 3, 4, 5]),
        (OfTriggers("c", meta={"topic": "sea"}), [2, 4, 5]),
        (OfTriggers("z"), []),
    ],
)
def test_marks(tmp_path: Path, asked: OfTriggers, expected: list[int]) -> None:
    index = make_index(tmp_path / "i", DOCUMENTS, [Layer(np.ones((9, 1)))])
    found = marks_of(index, asked, 10)
    n = len(index.text.token_id)
    assert found is not None and np.flatnonzero(found.has(np.arange(n))).tolist() == expected
    assert not found.has(np.array([n, n + 1, 2**32 - 1], dtype=np.uint32)).any()  # the last is an empty slot
    assert found.base_rate == pytest.approx(len(expected) / 9)  # of indexed positions; those held out are none
    assert found.runs is not None
    assert [i for first, end in zip(*found.runs, strict=True) for i in range(first, end)] == expected
    again = marks_of(index, asked, 10)
    assert again is not None and np.array_equal(again.bits, found.bits)


def test_answers_are_remembered_up_to_a_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = make_index(tmp_path / "i", DOCUMENTS, [Layer(np.ones((9, 1)))])
    kept = marks._kept.of(index)
    for word in ("c", "b"):
        marks_of(index, OfTriggers(word), 10)
    assert list(kept) == [("c", True), ("b", True)]
    assert [one.n_bytes for one in kept.values()] == [3 * 8, 2 * 8]  # so many of the indexed sentences have each
    monkeypatch.setattr(remembered, "_MOST_BYTES", 40)
    marks_of(index, OfTriggers("c b"), 10)
    assert list(kept) == [("b", True), ("c b", True)]  # the one that was asked for first is forgotten
    monkeypatch.setattr(remembered, "_MOST_BYTES", 7)
    assert marks_of(index, OfTriggers('"c-b"'), 10) is not None and not kept


def test_where_words_stand_depends_on_what_the_model_reads(tmp_path: Path) -> None:
    assert marks_of(make_index(tmp_path / "i", DOCUMENTS, [Layer(np.ones((9, 1)))]), OfTriggers(), 10) is None
    both = make_index(tmp_path / "both", DOCUMENTS, [Layer(np.ones((9, 1)))], causal=False)
    assert not prefix_only(both, "auto") and prefix_only(both, "prefix")
