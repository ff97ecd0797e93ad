"""Positions at which a trigger would match, and their share of all, counted by hand."""

from pathlib import Path

import numpy as np
import pytest

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
    marks = marks_of(index, asked, 10)
    assert marks is not None and np.flatnonzero(marks.mask).tolist() == expected
    assert marks.base_rate == pytest.approx(len(expected) / 9)  # of indexed positions; those held out are none
    runs = [i for first, end in zip(marks.firsts, marks.ends, strict=True) for i in range(first, end)]
    assert runs == expected
    bits = np.unpackbits(marks.bits, bitorder="little")[: len(marks.mask)]
    assert np.flatnonzero(bits).tolist() == expected
    again = marks_of(index, asked, 10)
    assert again is not None and np.array_equal(again.mask, marks.mask)


def test_where_words_stand_depends_on_what_the_model_reads(tmp_path: Path) -> None:
    assert marks_of(make_index(tmp_path / "i", DOCUMENTS, [Layer(np.ones((9, 1)))]), OfTriggers(), 10) is None
    both = make_index(tmp_path / "both", DOCUMENTS, [Layer(np.ones((9, 1)))], causal=False)
    assert not prefix_only(both, "auto") and prefix_only(both, "prefix")
