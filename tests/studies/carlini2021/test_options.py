"""Options that make no sense are refused, with what to write."""

import pytest

from ffmem import InputError
from ffmem.studies.carlini2021.options import AuditOptions


@pytest.mark.parametrize(("name", "value"), [("documents", 0), ("prefix", 0), ("seed", -1), ("zero_out", True)])
def test_numbers_have_a_least(name: str, value: int) -> None:
    with pytest.raises(InputError) as error:
        AuditOptions(**{name: value})  # type: ignore[arg-type]
    assert f"--{name.replace('_', '-')} is {value!r}" in str(error.value)


def test_passages_and_injections_may_be_left_out() -> None:
    options = AuditOptions(passages=0, injections=0, searched=0)
    assert options.to_json()["passages"] == 0 and next(iter(options.to_json())) == "train"
