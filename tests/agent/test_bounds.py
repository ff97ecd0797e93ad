"""Answers that fit: whatever is asked, at most so many bytes, and what is there is the beginning of what there was."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ffmem.agent.bounds import MIN_ANSWER_BYTES, bounded

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
VALUES = st.recursive(
    st.one_of(st.none(), st.integers(-(10**6), 10**6), TEXTS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=12), st.dictionaries(st.sampled_from("abcdef"), inner, max_size=4)
    ),
    max_leaves=40,
)


def is_beginning(part: Any, whole: Any) -> bool:
    """Whether something was only cut at the ends of lists and texts."""
    if isinstance(whole, dict):
        return set(part) == set(whole) and all(is_beginning(part[key], whole[key]) for key in whole)
    if isinstance(whole, list):
        return len(part) <= len(whole) and all(map(is_beginning, part, whole))
    if isinstance(whole, str) and part != whole:
        return bool(whole.startswith(part.removesuffix("…")))
    return bool(part == whole)


@settings(max_examples=80, deadline=None)
@given(
    st.dictionaries(st.sampled_from(["cells", "text", "rows"]), VALUES, max_size=3),
    st.integers(MIN_ANSWER_BYTES, 4_000),
)
def test_it_fits_and_says_what_is_missing(answer: dict[str, Any], most: int) -> None:
    whole = json.loads(json.dumps(answer))
    text = bounded(answer, most, "ask again")
    assert len(text.encode()) <= most and answer == whole  # what was given is left as it was
    told = json.loads(text)
    left_out, rest = told.pop("left_out", None), told.pop("for_the_rest", None)
    if left_out is None:
        assert told == whole and rest is None
    else:
        assert rest == "ask again" and len(json.dumps(whole, ensure_ascii=False).encode()) > most
        assert left_out == "everything" or is_beginning(told, whole)


def test_the_longest_list_is_cut_first_and_counted() -> None:
    answer = {"few": [1, 2, 3], "rows": [{"text": "word " * 10, "n": i} for i in range(200)]}
    told = json.loads(bounded(answer, 2_000, "ask with start="))
    assert told["few"] == [1, 2, 3] and told["left_out"] == {"rows": "200 in all"}
    assert told["rows"] == answer["rows"][: len(told["rows"])] and 10 < len(told["rows"]) < 40
    assert told["for_the_rest"] == "ask with start="
