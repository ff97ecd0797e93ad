"""Options that make no sense are refused in plain words."""

import pytest

from ffmem import InputError
from ffmem.studies.arora2026.options import CircuitOptions


@pytest.mark.parametrize(("name", "value"), [("locate", 1), ("test", 0), ("size", 0), ("steps", 0), ("seed", -1)])
def test_numbers_have_a_least_value(name: str, value: int) -> None:
    with pytest.raises(InputError, match=f"--{name} is {value}. Expected a whole number of at least"):
        CircuitOptions(**{name: value})  # type: ignore[arg-type]


def test_they_are_plain_json() -> None:
    assert CircuitOptions(task="capitals").to_json()["task"] == "capitals"
    assert CircuitOptions().to_json()["size"] == 100
