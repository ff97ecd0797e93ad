"""What pydantic refuses, told in our words, against what it really refuses of real types."""

import re
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, ValidationError

from ffmem.errors import InputError
from ffmem.server.wrong_values import wrong_values


class Asked(BaseModel):
    """One field of each kind that addresses and tools have."""

    text: Annotated[str, Field(min_length=1, max_length=20_000)] = "a"
    change: Annotated[list[Annotated[str, Field(max_length=5)]], Field(min_length=1, max_length=3)] = ["a"]
    limit: Annotated[int, Field(ge=1, le=200)] = 1
    share: Annotated[float, Field(gt=0, lt=1)] = 0.5
    where: Literal["all", "last"] = "all"
    grade: Literal["", "A", "B"] = ""
    reverse: bool = False
    extra: dict[str, int] = {}


def told(**values: Any) -> InputError:
    with pytest.raises(ValidationError) as refused:
        Asked(**values)
    return wrong_values(refused.value.errors(include_url=False))


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        ({"text": "x" * 100_000}, ("text has 100,000 characters", "Expected at most 20,000", "Shorten text")),
        ({"text": ""}, ("text is empty", "Expected 1 or more characters", "Write text")),
        ({"text": 5}, ("text is 5", "Expected text", "Correct text")),
        ({"limit": "many"}, ("limit is 'many'", "Expected a whole number", "Correct limit")),
        ({"limit": "1.5"}, ("limit is '1.5'", "Expected a whole number", "Correct limit")),
        ({"limit": 0}, ("limit is 0", "Expected 1 or more", "Choose another value")),
        ({"limit": 1_000}, ("limit is 1000", "Expected at most 200", "Choose another value")),
        ({"limit": "9" * 5000}, ("limit is '" + "9" * 99 + "…", "Expected a whole number of fewer digits", "Correct limit")),
        ({"share": 1}, ("share is 1", "Expected less than 1", "Choose another value")),
        ({"share": "nan"}, ("share is 'nan'", "Expected less than 1", "Choose another value")),
        ({"where": "first"}, ("where is 'first'", "Expected one of: all, last", "Leave where out, or write all")),
        ({"grade": "D"}, ("grade is 'D'", "Expected one of: nothing, A, B", "Leave grade out, or write A")),
        ({"reverse": "often"}, ("reverse is 'often'", "Expected true or false", "Correct reverse")),
        ({"change": ["a"] * 4}, ("change has 4 values", "Expected at most 3", "Give fewer")),
        ({"change": []}, ("change has 0 values", "Expected 1 or more", "Give more")),
        (
            {"change": ["a", "abcdef"]},
            ("change (number 2) has 6 characters", "Expected at most 5", "Shorten change (number 2)"),
        ),
        ({"change": 3}, ("change is 3", "Expected a list", "Correct change")),
        ({"extra": "x"}, ("extra is 'x'", "Expected a JSON object", "Correct extra")),
        ({"extra": {"a": b"7.5"}}, ("extra.a is b'7.5'", "Expected a whole number", "Correct extra.a")),
    ],
)  # fmt: skip
def test_each_kind_of_wrong_value(values: dict[str, Any], parts: tuple[str, str, str]) -> None:
    error = told(**values)
    assert (error.got, error.expected, error.mend) == parts


def test_of_several_the_others_are_named() -> None:
    assert told(text="", limit=0).mend == "Write text; limit is wrong too"
    error = told(text="", limit=0, where="x", reverse="x")
    assert error.mend == "Write text; limit, where, reverse are wrong too"
    many = [{"type": "missing", "loc": ("query", f"f{number}"), "msg": "", "input": None} for number in range(30)]
    assert wrong_values(many).mend == "Add f0; f1, f2, f3, f4, f5, f6, f7, f8, … are wrong too"


def test_places_are_not_part_of_names_and_unknown_kinds_are_told() -> None:
    cell = {
        "type": "string_too_long",
        "loc": ("path", "cell_id"),
        "msg": "?",
        "input": "x" * 9,
        "ctx": {"max_length": 3},
    }
    assert wrong_values([cell]).got == "cell_id has 9 characters"
    broken = {
        "type": "json_invalid",
        "loc": ("body", 7),
        "msg": "JSON decode error",
        "input": {},
        "ctx": {"error": "?"},
    }
    assert str(wrong_values([broken])).startswith("the body is not JSON. Expected a JSON object.")
    none = {"type": "missing", "loc": ("body",), "msg": "Field required", "input": None}
    assert wrong_values([none]).got == "the body is missing"
    strange = {"type": "uuid_parsing", "loc": ("query", "id"), "msg": "Input should be a valid UUID", "input": "z"}
    assert str(wrong_values([strange])) == "id is 'z'. Expected another value. Correct id."
    assert not re.search("[Ii]nput should", str(wrong_values([strange])))
