"""Errors have three parts, and cross processes with them."""

import copy
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffmem import FfmemError, InputError, ModelError, StoreError, errors


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (("a is 1", "Expected 2", "Write 2"), "a is 1. Expected 2. Write 2."),
        (("a is 1.", "Expected 2!", "Is it 2?"), "a is 1. Expected 2! Is it 2?"),
        (("no colon", "Expected one of:", "Write x"), "no colon. Expected one of: Write x."),
        (("  spaces \n", "\tExpected 2 ", " Write 2. "), "spaces. Expected 2. Write 2."),
        (("shown…", "(in brackets)", "`ffmem list`"), "shown…. (in brackets). `ffmem list`."),
    ],
)
def test_the_message_is_its_parts_as_sentences(parts: tuple[str, str, str], message: str) -> None:
    error = InputError(*parts)
    assert str(error) == message
    assert (error.got, error.expected, error.mend) == parts  # as they were given, for whoever makes another error of it


PART = st.text(min_size=1)


@given(st.sampled_from([FfmemError, InputError, StoreError, ModelError]), PART, PART, PART)
def test_they_cross_processes(kind: type[FfmemError], got: str, expected: str, mend: str) -> None:
    error = kind(got, expected, mend)
    for back in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(back) is kind and str(back) == str(error)
        assert (back.got, back.expected, back.mend) == (got, expected, mend)


def test_the_tree_is_as_its_page_draws_it() -> None:
    kinds = {name: one for name, one in vars(errors).items() if isinstance(one, type)}
    assert {name: one.__base__.__name__ for name, one in kinds.items()} == {  # type: ignore[union-attr]
        "FfmemError": "Exception", "InputError": "FfmemError", "StoreError": "FfmemError", "ModelError": "FfmemError",
    }  # fmt: skip
    assert all(name in (errors.__doc__ or "") for name in kinds)


@pytest.mark.parametrize("kind", [InputError, StoreError, ModelError])
def test_none_can_be_made_of_one_text(kind: type[FfmemError]) -> None:
    with pytest.raises(TypeError, match="expected"):
        kind("something went wrong")  # type: ignore[call-arg]
