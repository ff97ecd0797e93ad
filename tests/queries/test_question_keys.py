"""The table of keys: each is read, and its example is a question."""

import pytest

from ffmem import InputError
from ffmem.queries.question import Question, parse_question
from ffmem.queries.question_keys import KEYS, META_HELP, known_key
from tests.fixtures.made_index import Document, Layer, make_index


@pytest.mark.parametrize("one", [*KEYS.values(), META_HELP], ids=lambda one: one.name)
def test_the_example_of_each_key_asks_by_it(one, tmp_path) -> None:  # type: ignore[no-untyped-def]
    index = make_index(tmp_path / "i", [Document([["a"]])], [Layer([[1]])])
    found = parse_question(index, one.example)
    changed = {name for name, value in vars(found).items() if value != getattr(Question(None, "", ""), name)}
    fields = {"in": {"collection"}, "active": {"min_active", "max_active"}, "meta.FIELD": {"meta"}}
    assert changed - {"exact"} == fields.get(one.name, {one.name}) and one.what


def test_keys_in_any_case_and_the_names_of_fields_as_they_are() -> None:
    assert known_key("TOPIC") == "topic" and known_key("Label") == "named" and known_key("Meta.Genre") == "meta.Genre"
    with pytest.raises(InputError, match=r'xyzzy: is no key.* Put it in quotes if it is text: "12:30"'):
        known_key("xyzzy")
