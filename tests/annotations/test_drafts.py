"""What an annotator says while working: plain values in, what counts of it out."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffmem import InputError, StoreError
from ffmem.annotations.batches import Batch
from ffmem.annotations.drafts import MAX_PATTERNS, MAX_TEXT, Draft, as_text, counted, draft_from, draft_of, from_text
from ffmem.annotations.protocol import ADJUDICATED, Pattern
from tests.annotations.made import annotation

CLASS = st.sampled_from(["", "shallow", "semantic"])
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8).map(
    lambda text: " ".join(text.split())
)


@st.composite
def drafts(draw: st.DrawFn) -> Draft:
    patterns = draw(st.lists(st.tuples(TEXT, CLASS), max_size=4))
    numbers = st.sets(st.integers(1, len(patterns))) if patterns else st.just(set[int]())
    marks = tuple(tuple(sorted(one)) for one in draw(st.lists(numbers, min_size=3, max_size=3)))
    done = draw(st.booleans()) and not Draft(tuple(patterns), marks).half
    return Draft(tuple(patterns), marks, done)


@given(drafts())
def test_a_draft_comes_back_from_json_and_from_the_journal(draft: Draft) -> None:
    assert draft_of(json.loads(json.dumps(draft.to_json())), 3) == draft
    assert from_text(as_text(draft)) == draft


def test_what_a_page_sends_is_tidied() -> None:
    sent = {
        "patterns": [{"text": "  ends\n in  -ing ", "class": "shallow", "more": 1}],
        "marks": [[1, 1], [], [1]],
        "done": True,
    }
    assert draft_of(sent, 3) == Draft((("ends in -ing", "shallow"),), ((1,), (), (1,)), True)
    assert not draft_of({"patterns": [], "marks": []}, 0).done


@pytest.mark.parametrize(
    ("patterns", "marks", "half"),
    [
        ([("x", "shallow")], [[1]], ()),
        ([("x", "")], [[]], (1,)),
        ([("", "shallow")], [[]], (1,)),
        ([("", "")], [[]], ()),  # a blank line
        ([("", "")], [[1]], (1,)),  # a blank line that a trigger is marked with
        ([("x", "shallow"), ("", "semantic"), ("z", "")], [[1]], (2, 3)),
    ],
)
def test_nothing_is_done_while_a_pattern_is_half_written(
    patterns: list[tuple[str, str]], marks: list[list[int]], half: tuple[int, ...]
) -> None:
    sent = {"patterns": [{"text": a, "class": b} for a, b in patterns], "marks": marks, "done": True}
    found = draft_of(sent, 1)
    assert found.half == half and found.done == (not half)


def test_what_is_empty() -> None:
    assert Draft().empty and Draft(marks=((), ())).empty
    for said in (Draft(done=True), Draft((("", ""),)), Draft(marks=((1,),))):
        assert not said.empty


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({}, "the annotation is not understood: 'patterns'"),
        ([], "not understood"),
        ({"patterns": 5, "marks": [[], []]}, "not understood"),
        ({"patterns": [], "marks": {"0": []}}, "marks are not lists"),
        ({"patterns": [], "marks": [[], 1]}, "marks are not lists"),
        ({"patterns": [{"text": "x", "class": ""}], "marks": [[True], []]}, "a mark is not a whole number"),
        ({"patterns": [], "marks": [[float("inf")], []]}, "a mark is not a whole number"),
        ({"patterns": [], "marks": [[], []], "done": 1}, "done is neither true nor false"),
        ({"patterns": [{"text": None, "class": ""}], "marks": [[], []]}, "text and class are not both text"),
        ({"patterns": [{"text": "x"}], "marks": []}, "not understood: 'class'"),
        ({"patterns": [{"text": "\ud800", "class": ""}], "marks": [[], []]}, "has half a character"),
        ({"patterns": [{"text": "a\0b", "class": ""}], "marks": [[], []]}, "has half a character"),
        (
            {"patterns": [{"text": "x", "class": ""}], "marks": [[], [0]]},
            r"a trigger is marked with pattern 0\. Expected 1 to 1\. Add the pattern first\.",
        ),
        ({"patterns": [], "marks": [[], [1]]}, "marked with pattern 1"),
        (
            {"patterns": [], "marks": [[]]},
            r"there are marks for 1 triggers\. Expected marks for 2\. Load the page again",
        ),
        (
            {"patterns": [{"text": "x", "class": "odd"}], "marks": [[], []]},
            "the class of pattern 1 is 'odd'. Expected one of: shallow, semantic",
        ),
        (
            {"patterns": [{"text": "x" * (MAX_TEXT + 1), "class": ""}], "marks": [[], []]},
            r"pattern 1 is described in 501 characters\. Expected at most 500",
        ),
        (
            {"patterns": [{"text": "x", "class": ""}] * (MAX_PATTERNS + 1), "marks": [[], []]},
            r"there are 51 patterns\. Expected at most 50\. Join some of them",
        ),
    ],
)
def test_what_is_no_draft_is_told(value: Any, told: str) -> None:
    with pytest.raises(InputError, match=told):
        draft_of(value, 2)


def test_the_most_there_may_be() -> None:
    sent = {"patterns": [{"text": "é" * MAX_TEXT, "class": ""}] * MAX_PATTERNS, "marks": [[MAX_PATTERNS]]}
    assert len(draft_of(sent, 1).patterns) == 50


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"patterns": [{}], "marks": [], "done": true}',
        '{"patterns": [], "marks": [["x"]], "done": 1}',
        '{"patterns": [], "marks": [], "done": NaN}',
    ],
)
def test_a_row_of_the_journal_that_was_changed(content: str) -> None:
    with pytest.raises(StoreError, match=r"a row of the annotators' journal is damaged: .*Move journal\.sqlite away"):
        from_text(content)


SHOWN = annotation([set(), set(), set()], {}).shown
BATCH = Batch("b", 0, (SHOWN,))
MIXED = (("ends alike", "shallow"), ("half", ""), ("", ""), ("a topic", "semantic"))


def test_only_whole_patterns_count_under_their_own_numbers() -> None:
    found = counted(BATCH, "ann", 1, Draft(MIXED, ((1, 2), (2, 4), ())))
    assert found is not None and (found.batch, found.annotator, found.shown) == ("b", "ann", SHOWN)
    assert found.patterns == (Pattern(1, "ends alike", "shallow"), Pattern(4, "a topic", "semantic"))
    assert found.marks == (frozenset({1}), frozenset({4}), frozenset())


@pytest.mark.parametrize(
    ("annotator", "draft", "counts"),
    [
        ("ann", Draft((("half", ""),), ((1,), (), ())), False),
        ("ann", Draft((), ((), (), ()), True), True),  # that there is no pattern is an answer
        ("ann", Draft(MIXED[:1], ((), (), ())), True),
        (ADJUDICATED, Draft(MIXED[:1], ((), (), ())), False),
        (ADJUDICATED, Draft(MIXED[:1], ((), (), ()), True), True),
    ],
)
def test_when_it_counts(annotator: str, draft: Draft, counts: bool) -> None:
    assert (counted(BATCH, annotator, 1, draft) is not None) == counts


def test_what_is_stored_is_shown_with_numbers_without_gaps() -> None:
    stored = annotation([{3, 9}, {9}, set()], {3: "shallow", 9: "semantic"})
    draft = draft_from(stored)
    assert draft == Draft((("pattern 3", "shallow"), ("pattern 9", "semantic")), ((1, 2), (2,), ()), True)
    again = counted(Batch("batch-1", 0, (stored.shown,)), "ann", 1, draft)
    assert again is not None and [again.carriers(1), again.carriers(2)] == [stored.carriers(3), stored.carriers(9)]
    assert again.labels == stored.labels
