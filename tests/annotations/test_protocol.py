"""Labels, coverage and the rule of three triggers, on the paper's Table 3 and against the definitions."""

import random
from collections import Counter

import pytest

from ffmem import InputError
from ffmem.annotations.protocol import LABELS, check_name
from tests.annotations.made import annotation, table_3


def test_table_3_of_the_paper() -> None:
    found = table_3()
    assert Counter(found.labels) == {"shallow": 18, "shallow+semantic": 3, "semantic": 1, "not-covered": 3}
    assert found.coverage == pytest.approx(0.88)
    assert [len(found.carriers(number)) for number in (1, 2)] == [21, 4]
    assert found.invalid == () and len(found.valid) == 2


def test_a_pattern_in_two_triggers_is_invalid_and_covers_nothing() -> None:
    found = annotation([{1, 2}, {1, 2}, {1}, set()], {1: "shallow", 2: "semantic"})
    assert [one.number for one in found.invalid] == [2] and [one.number for one in found.valid] == [1]
    assert found.labels == ("shallow", "shallow", "shallow", "not-covered")
    assert annotation([{1}, {1}, {1}, set()], {1: "semantic"}).invalid == ()


def test_triggers_with_one_text_count_once_towards_three() -> None:
    marks = [{1}, {1}, {1}, set()]
    assert annotation(marks, {1: "shallow"}, sentences=["a", "b", "b", "c"]).invalid
    assert annotation(marks, {1: "shallow"}, sentences=["a", "b", "B", "c"]).invalid == ()
    four = [{1}, {1}, {1}, {1}]
    found = annotation(four, {1: "shallow"}, sentences=["a", "b", "b", "c"])
    assert found.invalid == () and found.coverage == 1  # all of them count for coverage


def test_labels_are_those_of_the_definition() -> None:
    rng = random.Random(0)
    seen = set()
    for _ in range(200):
        classes = {number: rng.choice(("shallow", "semantic")) for number in range(1, 5)}
        marks = [{number for number in classes if rng.random() < 0.3} for _ in range(8)]
        found = annotation(marks, classes)
        enough = {number for number in classes if sum(number in one for one in marks) >= 3}
        for numbers, label in zip(marks, found.labels, strict=True):
            kinds = {classes[number] for number in numbers & enough}
            assert label == {0: "not-covered", 1: "".join(kinds), 2: "shallow+semantic"}[len(kinds)]
            seen.add(label)
        n_covered = sum(bool(one & enough) for one in marks)
        assert found.coverage == pytest.approx(n_covered / 8)
    assert seen == {*LABELS}


@pytest.mark.parametrize("name", ["", "Ann", "ann bob", "../ann", "1", "ann.csv", "a" * 41, "ann\n", "anné"])
def test_names_that_no_file_can_have_everywhere(name: str) -> None:
    with pytest.raises(InputError) as error:
        check_name(name, "annotator")
    assert error.value.got == f"{name!r} is not a valid name for an annotator"
    check_name("ann-2_b", "annotator")
