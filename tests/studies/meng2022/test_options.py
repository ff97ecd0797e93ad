"""Options of the study."""

import pytest

from ffmem import InputError
from ffmem.studies.meng2022.options import FactOptions


@pytest.mark.parametrize(
    ("name", "value"), [("n_facts", 1), ("layers", 1), ("steps", 0), ("side_tokens", 1.5), ("seed", True)]
)
def test_what_is_no_number_is_refused(name: str, value: object) -> None:
    with pytest.raises(InputError, match=f"--{name.replace('_', '-')} is {value!r}. Expected a whole number"):
        FactOptions(**{name: value})  # type: ignore[arg-type]


def test_options_come_back() -> None:
    assert FactOptions(**FactOptions(n_facts=3).to_json()) == FactOptions(n_facts=3)
