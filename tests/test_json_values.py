"""Records become the JSON that a reader of their fields expects, and nothing else becomes JSON by accident."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffmem.ids import CellId
from ffmem.json_values import fields_to_json, json_text, to_json


@dataclass(frozen=True)
class Inner:
    cell: CellId
    pair: tuple[int, float]


@dataclass(frozen=True)
class Outer:
    name: str
    inner: tuple[Inner, ...]
    nothing: None = None


@dataclass(frozen=True)
class Spoken:
    hidden: int

    def to_json(self) -> dict[str, object]:
        return {"said": CellId(1, 2), "n": np.int64(self.hidden)}


def test_a_record_is_its_fields_in_their_order() -> None:
    outer = Outer("é\u2028", (Inner(CellId(9, 2997), (1, 0.5)), Inner(CellId(3, 12, stack="dec"), (2, float("nan")))))
    expected = (
        '{"name": "é\u2028", "inner": [{"cell": "L9.2997", "pair": [1, 0.5]}, {"cell": "dec.L3.12", "pair": [2, null]}], '
        '"nothing": null}'
    )
    assert json_text(outer) == expected


def test_a_class_that_says_otherwise_is_heard_wherever_it_stands() -> None:
    assert to_json({"deep": [Spoken(3)]}) == {"deep": [{"said": "L1.2", "n": 3}]}


def test_fields_can_be_left_out() -> None:
    assert fields_to_json(Inner(CellId(0, 1), (1, 2.0)), "pair") == {"cell": "L0.1"}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (float("inf"), None),
        (np.float32("nan"), None),
        (np.array([[1.5, -np.inf]]), [[1.5, None]]),
        (np.array([True, False]), [True, False]),
        (np.int16(7), 7),
        (Path("runs") / "x", str(Path("runs") / "x")),
        (frozenset({"b", "a"}), ["a", "b"]),
        ({1: (True, None)}, {"1": [True, None]}),
    ],
)
def test_what_json_does_not_have_has_one_form(value: object, expected: object) -> None:
    assert to_json(value) == expected
    assert json.loads(json_text(value), parse_constant=pytest.fail) == expected


def test_what_has_no_form_is_refused() -> None:
    with pytest.raises(TypeError, match="object has no form in JSON"):
        to_json({"x": object()})
    with pytest.raises(TypeError, match="type has no form"):
        to_json(Outer)


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(PLAIN)
def test_plain_values_stay_as_they_are(value: object) -> None:
    assert to_json(value) == value
    assert json.loads(json_text(value, ascii_only=True)) == value
