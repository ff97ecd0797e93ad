"""A library that is there, one of several, and one that is missing."""

import json

import pytest

from ffmem import InputError
from ffmem.extras import extra_module


def test_the_first_that_is_there() -> None:
    assert extra_module("json", "sql", "no SQL") is json
    assert extra_module(("no_such_module_1", "json"), "sql", "no SQL") is json
    assert extra_module("json.decoder", "sql", "no SQL").JSONDecoder is json.JSONDecoder


def test_a_missing_one_says_how_to_get_it() -> None:
    with pytest.raises(InputError) as raised:
        extra_module(("no_such_module_1", "no_such_module_2"), "sql", "SQL cannot be asked")
    assert str(raised.value) == (
        "SQL cannot be asked: a package that it needs is not installed. Expected the extra 'sql' of ffmem. "
        "In its clone, run pip install -e '.[sql]'."
    )


def test_an_error_inside_a_module_is_not_taken_for_its_absence(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "broken_module.py").write_text("raise RuntimeError('inside')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(RuntimeError, match="inside"):
        extra_module("broken_module", "sql", "no SQL")
