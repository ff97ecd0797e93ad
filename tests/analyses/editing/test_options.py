"""Options of an edit: what is refused."""

import pytest

from ffmem import InputError
from ffmem.analyses.editing.options import EditOptions


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"method": "other"}, "--method is 'other'"),
        ({"steps": 0}, "--steps is 0. Expected a whole number of at least 1. Write --steps 20"),
        ({"steps": 1.5}, "--steps is 1.5. Expected a whole number"),
        ({"rate": 0.0}, "--rate is 0.0. Expected a number of at least 1e-06"),
        ({"reach": float("nan")}, "--reach is nan"),
        ({"weight": float("inf")}, "--weight is inf"),
        ({"seed": True}, "--seed is True"),
        ({"method": "cell"}, "Expected --cell and --promote with --method cell"),
        ({"cell": "L0.1", "promote": " the"}, "Expected --cell and --promote with --method cell, and only there"),
        ({"method": "cell", "cell": "L0.1", "promote": " the", "by": float("nan")}, "--by is nan"),
    ],
)
def test_what_is_no_choice_is_refused(change: dict[str, object], told: str) -> None:
    with pytest.raises(InputError) as error:
        EditOptions(**change)  # type: ignore[arg-type]
    assert told in str(error.value)


def test_options_are_plain_values_and_a_cell_may_be_set_by_hand() -> None:
    options = EditOptions(method="cell", cell="L0.1", promote=" the", by=-2.0)
    assert EditOptions(**options.to_json()) == options
