from pathlib import Path

import numpy as np
import pytest

from ffmem.ids import CellId
from ffmem.names.lm.by_rule import ByRule
from ffmem.names.lm.known import Unit
from ffmem.store.label_rows import NewLabel
from ffmem.store.labels import open_labels
from tests.fixtures.made_index import Document, Layer, make_index

SENTENCE = ["The", " old", " cat", " the", " cat", "."]


@pytest.fixture
def by_rule(tmp_path: Path) -> ByRule:
    documents = [Document([SENTENCE], f"d{i}", {"topic": "ab"[i % 2]}) for i in range(12)]
    index = make_index(tmp_path / "index", documents, [Layer(np.ones((72, 2)))], sample=2)
    return ByRule(index, open_labels(index.folder, index.manifest))


@pytest.mark.parametrize(
    ("evidence", "expected"),
    [
        ({"feature": "token", "values": ["cat"]}, [0, 0, 1, 0, 1, 0]),
        ({"feature": "token", "values": ["the"]}, [1, 0, 0, 1, 0, 0]),
        ({"feature": "token", "values": ["The"]}, [1, 0, 0, 0, 0, 0]),
        ({"feature": "previous", "values": ["the", "old"]}, [0, 1, 1, 0, 1, 0]),
        ({"feature": "2-gram", "values": ["old cat"]}, [0, 0, 1, 0, 0, 0]),
        ({"feature": "position", "values": ["first"]}, [1, 0, 0, 0, 0, 0]),
        ({"feature": "topic", "values": ["a"]}, [1] * 6),
        ({"feature": "topic", "values": ["b"]}, [0] * 6),
        (
            {"feature": "token", "values": ["cat"], "condition": {"feature": "previous", "value": "old"}},
            [0, 0, 1, 0, 0, 0],
        ),
        (
            {"feature": "token", "values": ["cat"], "second": {"feature": "position", "values": ["first"]}},
            [1, 0, 1, 0, 1, 0],
        ),
    ],
)
def test_a_rule_holds_where_its_values_are(by_rule: ByRule, evidence: dict[str, object], expected: list[int]) -> None:
    found = by_rule.holds(evidence, np.arange(6))
    assert found is not None and found.astype(int).tolist() == expected


def test_of_what_is_unknown_nothing_is_said(by_rule: ByRule) -> None:
    assert by_rule.holds({"feature": "smell", "values": ["x"]}, np.arange(3)) is None
    assert by_rule.holds({}, np.arange(3)) is None


def test_a_rule_needs_a_grade_and_must_not_be_rejected(by_rule: ByRule) -> None:
    labels, unit = by_rule._labels, Unit(CellId(0, 0))
    assert by_rule(unit, np.arange(3)) is None
    evidence = {"feature": "token", "values": ["cat"]}
    (ungraded,) = labels.add([NewLabel(*unit, "rule", "", kind="unclear", evidence=evidence, author="rules")])
    assert by_rule(unit, np.arange(3)) is None and ungraded
    (number,) = labels.add([NewLabel(*unit, "rule", "cat", kind="token", evidence=evidence, author="rules", grade="B")])
    found = by_rule(unit, np.arange(3))
    assert found is not None and found.tolist() == [False, False, True]
    labels.reject(number, "ann")
    assert by_rule(unit, np.arange(3)) is None
