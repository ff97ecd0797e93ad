import pytest

from ffmem import InputError
from ffmem.studies.gurnee2026.options import LensOptions


@pytest.mark.parametrize("value", [0, -1, True, 1.5])
def test_what_is_no_number_of_positions_is_refused(value: object) -> None:
    with pytest.raises(InputError, match=rf"--fit-positions is {value!r}"):
        LensOptions(fit_positions=value)  # type: ignore[arg-type]


def test_something_is_left_to_test() -> None:
    with pytest.raises(InputError, match="--fit-positions is 50 of --positions 50"):
        LensOptions(positions=50, fit_positions=50)
    with pytest.raises(InputError, match="--layers is 1"):
        LensOptions(layers=1)
    with pytest.raises(InputError, match="--reach is 'none'"):
        LensOptions(reach="none")  # type: ignore[arg-type]
    assert LensOptions(seed=0).to_json()["reach"] == "same"
