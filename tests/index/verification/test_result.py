"""A verification as JSON, the form in which scripts read it."""

import json
from dataclasses import fields

from ffmem.index.verification.result import Verification


def test_every_number_is_there_by_its_name() -> None:
    found = Verification(
        n_files=5,
        n_arrays=48,
        n_triggers=900,
        n_comparisons=10**10,
        n_sampled=7,
        largest_error=0.25,
        same_bytes=False,
        n_alone=6,
        largest_error_alone=0.125,
        identities={"hook_error": 0.0},
        problems=("one", "two"),
    )
    told = json.loads(json.dumps(found.to_json()))
    assert list(told) == [field.name for field in fields(Verification)]
    assert told["problems"] == ["one", "two"] and told["n_comparisons"] == 10**10
    assert told["n_sampled"] == 7 and told["largest_error"] == 0.25 and told["same_bytes"] is False
    assert told["identities"] == {"hook_error": 0.0}


def test_what_was_not_asked_is_null_and_not_zero() -> None:
    told = Verification(5, 48).to_json()
    assert [name for name, value in told.items() if value is None] == [
        "largest_error", "same_bytes", "largest_error_alone", "identities",
    ]  # fmt: skip
    assert told["problems"] == []
