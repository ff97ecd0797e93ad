"""What the study may be asked."""

import pytest

from ffmem import InputError
from ffmem.studies.wild2024.options import SparsityOptions


def test_numbers_have_their_least() -> None:
    with pytest.raises(InputError, match=r"--sentence-positions is 1\. Expected a whole number of at least 2"):
        SparsityOptions(sentence_positions=1)
    with pytest.raises(InputError, match=r"--window is True.*Write --window 8192"):
        SparsityOptions(window=True)
    assert SparsityOptions(seed=0, positions=1).to_json()["positions"] == 1


def test_earlier_indexes_are_a_list_in_json() -> None:
    assert SparsityOptions(earlier=("a", "b")).to_json()["earlier"] == ["a", "b"]
