"""Options that mean nothing are refused; equal ones are equal."""

import pytest

from ffmem import InputError
from ffmem.studies.training.options import TrainingOptions


@pytest.mark.parametrize(
    ("wrong", "flag"),
    [({"positions": 0}, "--positions"), ({"matched_cells": True}, "--matched-cells"), ({"seed": -1}, "--seed")],
)
def test_what_is_refused(wrong: dict[str, int], flag: str) -> None:
    with pytest.raises(InputError, match=f"{flag} is .*Expected a whole number of at least"):
        TrainingOptions(**wrong)


def test_as_json() -> None:
    assert TrainingOptions(("a", "b"), positions=5).to_json() == {
        "earlier": ["a", "b"], "seed_other": None, "positions": 5, "matched_cells": 200, "seed": 0,
    }  # fmt: skip
