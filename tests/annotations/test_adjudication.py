"""What annotators differ on, worked out by hand: patterns pooled by the triggers they share, marks blank where they differ."""

import random

from ffmem.annotations.adjudication import adjudication_rows
from ffmem.annotations.batches import Batch
from ffmem.annotations.protocol import CellAnnotation
from ffmem.annotations.rows import Values
from tests.annotations.made import annotation


def rows(*said: CellAnnotation, batch: str = "batch-1") -> list[Values]:
    shown = list(dict.fromkeys(one.shown for one in said))
    return adjudication_rows(Batch(batch, 0, tuple(shown)), said)


def patterns(found: list[Values]) -> list[tuple[str, ...]]:
    return [tuple(row[c] for c in ("number", "text", "class", "said")) for row in found if row["row"] == "pattern"]


def marks(found: list[Values]) -> list[tuple[str, str]]:
    return [(row["patterns"], row["said"]) for row in found if row["row"] == "trigger"]


def test_patterns_that_match_are_one_whatever_their_numbers() -> None:
    ann = annotation([{1}, {1}, {1, 2}, {2}, {2}], {1: "shallow", 2: "semantic"})
    bob = annotation([{7}, {7}, {7, 4}, {4}, set()], {4: "semantic", 7: "shallow"}, annotator="bob")
    found = rows(ann, bob)
    assert patterns(found) == [("1", "pattern 1", "shallow", ""), ("2", "pattern 2", "semantic", "")]
    assert marks(found) == [("1", ""), ("1", ""), ("1 2", ""), ("2", ""), ("", "ann: 2; bob: 0")]
    assert [row["text"] for row in found[2:]] == [f"sentence {i} [x]" for i in range(5)]
    assert {(row["batch"], row["annotator"], row["cell"]) for row in found} == {("batch-1", "adjudicated", "1")}


def test_a_class_that_differs_is_left_blank() -> None:
    ann = annotation([{1}] * 4, {1: "shallow"})
    bob = annotation([{1}] * 4, {1: "semantic"}, annotator="bob")
    found = rows(ann, bob)
    assert patterns(found) == [("1", "pattern 1", "", "ann: pattern 1 (shallow); bob: pattern 1 (semantic)")]
    assert marks(found) == [("1", "")] * 4  # on who carries it they agree


def test_a_pattern_of_one_is_added_and_so_is_one_that_matches_too_little() -> None:
    ann = annotation([{1}, {1}, {1}, set(), set()], {1: "shallow"})
    bob = annotation([set(), set(), {1}, {1}, {1}], {1: "shallow"}, annotator="bob")  # one of five triggers in common
    found = rows(ann, bob)
    assert patterns(found) == [
        ("1", "pattern 1", "shallow", "ann: pattern 1 (shallow)"),
        ("2", "pattern 1", "shallow", "bob: pattern 1 (shallow)"),
    ]
    assert marks(found) == [("", "ann: 1; bob: 0")] * 2 + [("", "ann: 1; bob: 2")] + [("", "ann: 0; bob: 2")] * 2


def test_a_third_is_matched_with_those_before() -> None:
    said = [
        annotation([{1}, {1}, {1}, set()], {1: "shallow"}),
        annotation([set(), {3}, {3}, {3}], {3: "shallow"}, annotator="bob"),  # half of four: it matches
        annotation([{2}, {2}, {2}, {5}], {2: "semantic", 5: "shallow"}, annotator="eve"),
    ]
    found = rows(*said)
    assert [row[:3] for row in patterns(found)] == [("1", "pattern 1", ""), ("2", "pattern 5", "shallow")]
    assert marks(found)[1:] == [("1", ""), ("1", ""), ("", "ann: 0; bob: 1; eve: 2")]


def test_only_cells_on_which_they_differ_have_rows() -> None:
    def said(name: str, cell: str, carried: set[int]) -> CellAnnotation:
        return annotation([{1}, {1}, {1}, carried], {1: "shallow"}, annotator=name, cell=cell)

    found = rows(said("ann", "0.0", {1}), said("bob", "0.0", {1}), said("ann", "0.1", {1}), said("bob", "0.1", set()))
    assert {row["cell"] for row in found} == {"2"}  # the number on the sheets, not the cell
    assert rows(said("ann", "0.0", set())) == []  # nobody to differ with
    assert adjudication_rows(Batch("batch-1", 0, (said("ann", "0.0", set()).shown,)), []) == []


def test_what_was_settled_and_other_batches_have_no_part_in_it() -> None:
    ann = annotation([{1}] * 3, {1: "shallow"})
    settled = annotation([set()] * 3, {}, annotator="adjudicated")
    elsewhere = annotation([set()] * 3, {}, annotator="bob", batch="batch-2")
    assert rows(ann, settled, elsewhere) == []


def test_marks_are_blank_exactly_where_somebody_differs() -> None:
    """Two annotators with one pattern, of the same triggers but for some: the numbers cannot hide it."""
    dice = random.Random(0)
    for _ in range(50):
        other = dice.randrange(2, 9)
        mine = [dice.random() < 0.8 for _ in range(8)]
        theirs = [one if dice.random() < 0.9 else not one for one in mine]
        left = annotation([{1} if one else set() for one in mine], {1: "shallow"})
        right = annotation([{other} if one else set() for one in theirs], {other: "shallow"}, annotator="bob")
        found = rows(left, right)
        n_both, n_either = sum(map(min, mine, theirs)), sum(map(max, mine, theirs))
        if mine == theirs and any(mine):
            assert found == []
        elif n_both / n_either >= 0.5:
            assert [said == "" for _, said in marks(found)] == [a == b for a, b in zip(mine, theirs, strict=True)]
        else:
            assert len(patterns(found)) == 2
