import pytest

from ffmem import InputError
from ffmem.studies.gupta2021.options import TruncationOptions


@pytest.mark.parametrize("value", [0, -1, True, 1.5])
def test_what_is_no_number_of_positions_is_refused(value: object) -> None:
    with pytest.raises(InputError, match=rf"--layer-positions is {value!r}"):
        TruncationOptions(layer_positions=value)  # type: ignore[arg-type]


def test_a_seed_may_be_0() -> None:
    assert TruncationOptions(seed=0).to_json()["seed"] == 0
    with pytest.raises(InputError, match="--seed is -1"):
        TruncationOptions(seed=-1)
