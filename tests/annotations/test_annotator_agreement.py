"""Krippendorff's alpha against published and hand-made values; matched patterns; adjudication."""

import random
from itertools import permutations
from math import isnan

import pytest

from ffmem import InputError
from ffmem.annotations.annotator_agreement import krippendorff_alpha, match, measure_agreement
from tests.annotations.made import annotation, table_3


def columns(*coders: str) -> list[list[str | None]]:
    """Units, from a line of values for each coder; a dot is a missing one."""
    return [[None if value == "." else value for value in unit] for unit in zip(*coders, strict=True)]


def test_alpha_of_krippendorffs_own_example() -> None:
    units = columns("123321412...", "1233224125.3", ".3332342251.", "12332441251.")
    assert krippendorff_alpha(units) == pytest.approx(0.743, abs=5e-4)


def test_alpha_worked_out_by_hand() -> None:
    # 4 units, one of them unequal: D_o = 2/8; of 8 values 5 are a and 3 are b: D_e = 2*5*3 / (8*7)
    assert krippendorff_alpha(columns("aabb", "aaba")) == pytest.approx(1 - (2 / 8) / (30 / 56))
    assert krippendorff_alpha(columns("ab", "ab")) == 1
    assert krippendorff_alpha(columns("ab", "ba")) == pytest.approx(-0.5)
    assert isnan(krippendorff_alpha(columns("aa", "aa"))) and isnan(krippendorff_alpha(columns("ab", "..")))


def test_alpha_is_that_of_the_pairwise_definition() -> None:
    rng = random.Random(1)
    for _ in range(50):
        units = [[rng.choice(("a", "b", "c", None)) for _ in range(4)] for _ in range(10)]
        kept = [[value for value in unit if value is not None] for unit in units]
        kept = [unit for unit in kept if len(unit) > 1]
        values = [value for unit in kept for value in unit]
        n = len(values)
        observed = sum(sum(a != b for a, b in permutations(unit, 2)) / (len(unit) - 1) for unit in kept) / n
        expected = sum(a != b for a, b in permutations(values, 2)) / (n * (n - 1))
        assert krippendorff_alpha(units) == pytest.approx(1 - observed / expected)


def sets(*members: str) -> dict[int, frozenset[str]]:
    return {number: frozenset(one) for number, one in enumerate(members, 1)}


def test_patterns_match_one_to_one_best_first() -> None:
    # 1-1 overlaps by 2/3, 1-2 by 3/4, 2-1 by 0
    assert match(sets("abc", "xyz"), sets("ab", "abcd")) == [(1, 2, 0.75)]
    assert match(sets("abc", "ab"), sets("ab", "abcd")) == [(2, 1, 1.0), (1, 2, 0.75)]
    assert match(sets("abc"), sets("cde")) == []  # one of five
    assert match(sets("ab"), sets("abcd")) == [(1, 1, 0.5)]
    assert match(sets("ab", "ab"), sets("ab")) == [(1, 1, 1.0)]
    assert match(sets(""), sets("", "a")) == []


def test_agreement_of_annotators() -> None:
    left = annotation([{1}, {1}, {1}, {2}, {2}, {2}, set()], {1: "shallow", 2: "semantic"})
    right = annotation([{5}, {5}, {5}, {5}, {4}, {4}, {4}], {4: "shallow", 5: "shallow"}, annotator="bob")
    alone = table_3(annotator="eve")
    found = measure_agreement([left, right, alone])
    assert found.annotators == ("ann", "bob") and (found.n_cells, found.n_triggers) == (1, 7)
    labels = [left.labels, right.labels]
    assert found.alpha == pytest.approx(krippendorff_alpha(zip(*labels, strict=True)))
    (pair,) = found.pairs
    assert pair.annotators == ("ann", "bob") and pair.alpha == pytest.approx(found.alpha)
    assert (pair.n_patterns, pair.n_matched, pair.matched_fraction) == ((2, 2), 2, 1.0)
    assert pair.overlap == pytest.approx((3 / 4 + 2 / 4) / 2) and pair.same_class_fraction == 0.5


def test_invalid_patterns_match_nothing() -> None:
    left = annotation([{1, 2}, {1, 2}, {1}], {1: "shallow", 2: "semantic"})
    right = annotation([{1, 2}, {1, 2}, {1}], {1: "shallow", 2: "semantic"}, annotator="bob")
    (pair,) = measure_agreement([left, right]).pairs
    assert (pair.n_patterns, pair.n_matched) == ((1, 1), 1) and isnan(pair.alpha)  # all shallow


def test_three_annotators_of_whom_two_share_each_cell() -> None:
    cells = [
        table_3(annotator="ann"),
        table_3(annotator="bob"),
        annotation([{1}, {1}, {1}, set()], {1: "shallow"}, annotator="bob"),
        annotation([set()] * 4, {}, annotator="eve"),
    ]
    found = measure_agreement(cells)
    assert [pair.annotators for pair in found.pairs] == [("ann", "bob"), ("bob", "eve")]
    assert found.pairs[0].alpha == 1 and found.pairs[1].alpha < 0 and found.n_cells == 2
    assert found.pairs[1].matched_fraction == 0 and isnan(found.pairs[1].overlap)


def test_there_must_be_two_annotators_and_what_was_adjudicated_is_none() -> None:
    with pytest.raises(InputError) as error:
        measure_agreement([table_3(), table_3(annotator="adjudicated"), table_3(annotator="bob", batch="other")])
    assert str(error.value) == (
        "no cell has annotations of two annotators. Expected two sheets of one batch, both filled in and imported. "
        "Give the batch to another annotator: ffmem annotate draw."
    )
