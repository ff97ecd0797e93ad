"""What a study of attention may be asked, and what is refused by the name of its option."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffmem import InputError
from ffmem.analyses.attention.options import AttentionOptions

LOWEST = {"texts": 2, "length": 4, "count_tokens": 100, "seed": 0}


@pytest.mark.parametrize("name", LOWEST)
def test_the_smallest_number_is_taken_and_one_less_is_not(name: str) -> None:
    assert getattr(AttentionOptions(**{name: LOWEST[name]}), name) == LOWEST[name]
    flag = "--" + name.replace("_", "-")
    with pytest.raises(InputError) as raised:
        AttentionOptions(**{name: LOWEST[name] - 1})
    assert raised.value.got == f"{flag} is {LOWEST[name] - 1}"
    assert raised.value.expected == f"Expected a whole number of at least {LOWEST[name]}"
    assert raised.value.mend == f"Write {flag} {getattr(AttentionOptions(), name)}"


def test_yes_and_no_are_no_numbers() -> None:
    with pytest.raises(InputError, match=r"--count-tokens is True\. Expected a whole number of at least 100"):
        AttentionOptions(count_tokens=True)


@given(st.builds(
    AttentionOptions, texts=st.integers(2), length=st.integers(4), count_tokens=st.integers(100), seed=st.integers(0),
    bos=st.sampled_from(["auto", "yes", "no"]),
))  # fmt: skip
def test_a_study_is_found_again_by_its_options(options: AttentionOptions) -> None:
    """What is written as JSON makes the same options again, so that results are those of what was asked."""
    assert AttentionOptions(**json.loads(json.dumps(options.to_json()))) == options
    assert options.to_json().keys() == {"texts", "length", "count_tokens", "bos", "seed"}
