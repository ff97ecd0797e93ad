import pytest

from ffmem import InputError
from ffmem.studies.sukhbaatar2019.options import SoftmaxOptions


@pytest.mark.parametrize("value", [0, -1, True, 1.5])
def test_what_is_no_number_of_positions_is_refused(value: object) -> None:
    with pytest.raises(InputError, match=rf"--positions is {value!r}"):
        SoftmaxOptions(positions=value)  # type: ignore[arg-type]


def test_they_are_plain_json() -> None:
    assert SoftmaxOptions(another=("a", "b")).to_json()["another"] == ["a", "b"]
