"""What may be chosen, and what is refused."""

import pytest

from ffmem import InputError
from ffmem.studies.geva2022.options import UpdateOptions


def test_numbers_are_whole_and_large_enough() -> None:
    with pytest.raises(InputError) as error:
        UpdateOptions(update_cells=0)
    assert str(error.value) == ("--update-cells is 0. Expected a whole number of at least 1. Write --update-cells 100.")
    with pytest.raises(InputError, match="--named-cells is True"):
        UpdateOptions(named_cells=True)
    assert UpdateOptions(seed=0, other="m").to_json()["other"] == "m"
