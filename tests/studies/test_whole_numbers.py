from dataclasses import dataclass, fields
from importlib import import_module

import pytest

from ffmem import InputError
from ffmem.studies.study import study_named, study_names
from ffmem.studies.whole_numbers import check_whole_numbers


@dataclass(frozen=True)
class Some:
    many_things: int = 3
    seed: int = 0
    name: str | None = None


@pytest.mark.parametrize("value", [0, -1, True, 1.5, "3", None])
def test_what_is_no_count_is_refused_as_it_is_typed(value: object) -> None:
    with pytest.raises(InputError) as error:
        check_whole_numbers(Some(many_things=value))  # type: ignore[arg-type]
    assert str(error.value).startswith(f"--many-things is {value!r}. Expected a whole number of at least 1.")
    assert "--many-things 3" in str(error.value)


def test_the_least_may_be_another() -> None:
    check_whole_numbers(Some(many_things=0), {"many_things": 0})
    check_whole_numbers(Some(name=None))
    with pytest.raises(InputError, match="at least 2"):
        check_whole_numbers(Some(many_things=1), {"many_things": 2})
    with pytest.raises(InputError, match="--seed is -1"):
        check_whole_numbers(Some(seed=-1))


@pytest.mark.parametrize("name", study_names())
def test_every_study_refuses_counts_below_0(name: str) -> None:
    options = study_named(name).options
    module = import_module(options.__module__)
    counts = [field.name for field in fields(options) if field.type is int]
    assert counts or module.__name__.endswith(("alignment.options", "attention.options"))
    for count in counts:
        with pytest.raises(InputError, match=f"--{count.replace('_', '-')} is -1"):
            options(**{count: -1})
