"""Which of several labels is the name, and what is shown of it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ffmem import Index
from ffmem.cell import MAX_NAME
from ffmem.store.label_rows import NewLabel, Score, name_text
from tests.store.saying import CELL, OTHER, PASSES, said, score, shown


def test_a_name_is_that_of_the_surest_source(gated: Index) -> None:
    labels = gated.names
    steps: list[tuple[NewLabel, list[Score], str]] = [
        (said("unchecked", "rule", kind="token"), [], "unchecked (guess, rule)"),
        (said("model says", "lm", author="m"), [score(0.7)], "model says (guess, lm 0.70)"),
        (said("it fires on 'x'", "rule", kind="token", grade="C"), [score(0.15, "f1")], "it fires on 'x' (rule C)"),
        (said("worse than it", "lm", author="m", evidence={"passes": True, "beats_rule": False}), [],
         "it fires on 'x' (rule C)"),
        (said("better", "lm", author="m", evidence=PASSES), [score(0.8), score(0.9, "fuzzing")], "better (lm 0.80)"),
        (said("from a person", author="a"), [], "from a person (by hand)"),
        (said("from another", author="b"), [], "from another / from a person (by hand, differing)"),
        (said("from another", author="a"), [], "from another (by hand)"),
    ]  # fmt: skip
    for new, scores, expected in steps:
        labels.add([new], [scores])
        assert shown(labels) == expected
    name = labels.name(CELL)
    assert name is not None and (name.source, name.n_others, name.is_guess) == ("human", 2, False)
    rule = next(one for one in labels.labels_of(CELL, 1) if one.grade == "C")
    labels.adjudicate(rule.id, "a")
    assert shown(labels) == "it fires on 'x' (settled, rule C)"
    assert shown(labels, sign=-1) is None and shown(labels, OTHER) is None


def test_a_passing_label_needs_no_rule_to_beat(gated: Index) -> None:
    gated.names.add([said("holds", "lm", author="m", evidence={"passes": True})])
    assert shown(gated.names) == "holds (lm)"
    gated.names.add([said("always on", "rule", kind="always")])
    assert shown(gated.names) == "always on (rule)"  # counted: no grade, and yet no guess
    gated.names.add([said("", "rule", kind="none")])
    assert shown(gated.names) == "holds (lm)"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("two\nlines\t and  spaces ", "two lines and spaces"),
        ("\x1b[31mred\x00\x9b", "[31mred"),
        ("right\u202eto left\u2066", "rightto left"),
        ("\u200d \u200c", ""),
        ("👩\u200d👧 می\u200cخواهم café", "👩\u200d👧 می\u200cخواهم café"),
        ("\ufeff=cmd|' /C calc'!A0", "=cmd|' /C calc'!A0"),
        ("x" * 61, "x" * 59 + "…"),
    ],
)
def test_what_is_shown_of_a_label(text: str, name: str) -> None:
    assert name_text(text) == name


@given(st.text())
@settings(max_examples=50, deadline=None)
def test_a_name_is_one_short_line(text: str) -> None:
    name = name_text(text)
    assert len(name) <= MAX_NAME and name_text(name) == name == name.strip()
    assert all(one.isprintable() or one in "\u200c\u200d" for one in name)


def test_ten_megabytes_are_kept_and_a_short_name_shown(gated: Index) -> None:
    text = "water " * 1_700_000
    (number,) = gated.names.add([said(text)])
    assert gated.names.label(number).text == text
    name = gated.names.name(CELL)
    assert name is not None and name.text == ("water " * 10)[:59] + "…"
