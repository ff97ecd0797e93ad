"""In what two identities differ, in words."""

from ffmem.store.identity import differences

THERE = {"model": {"name": "a", "weights_sha256": "1"}, "options": {"top": 7, "max_tokens": None}, "ids": [1, 2]}


def test_names_do_not_count_and_options_are_written_as_they_are_typed() -> None:
    assert differences(THERE, THERE | {"model": {"name": "b", "weights_sha256": "1"}}) == ""
    asked = THERE | {"options": {"top": 7, "max_tokens": 5}, "model": {"name": "a", "weights_sha256": "2"}}
    told = differences(THERE, asked)
    assert told == "model.weights_sha256 is '1' there and '2' here; --max-tokens is None there and 5 here"
    assert differences(THERE, THERE | {"ids": [1]}) == "ids.1 is 2 there and None here"
