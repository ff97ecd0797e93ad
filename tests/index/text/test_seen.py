"""The table of sentences that were there, against a dictionary."""

import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ffmem.index.text import seen
from ffmem.index.text.seen import SeenSentences

KEYS = [bytes([marker]) + letter.encode() * 16 for marker in (0, 1) for letter in "abc"]
step = st.one_of(
    st.tuples(st.just("look_up"), st.lists(st.sampled_from(KEYS), max_size=5)),
    st.tuples(st.sampled_from(["add", "count_again", "has"]), st.sampled_from(KEYS)),
)


@settings(deadline=None, max_examples=60)
@given(steps=st.lists(step, max_size=30), waiting=st.sampled_from([1, 2, 5000]), asked=st.sampled_from([2, 500]))
def test_it_answers_as_a_dictionary_does(
    steps: list[tuple[str, object]], waiting: int, asked: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    table: dict[bytes, list[int]] = {}
    path = tmp_path_factory.mktemp("seen") / "seen.sqlite"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(seen, "_MOST_WAITING", waiting)
        patch.setattr(seen, "_ASKED_AT_ONCE", asked)
        found = SeenSentences(path, sqlite3.connect)
        for number, (what, value) in enumerate(steps):
            if what == "look_up":
                found.look_up(value)  # type: ignore[arg-type]
                continue
            assert isinstance(value, bytes)
            if what == "add":
                assert found.add(value, number, 2) == (value not in table)
                table.setdefault(value, [number, 2])
            else:
                assert getattr(found, what)(value) == (value in table)
                if what == "count_again" and value in table:
                    table[value][1] += 1
        for marker in (b"\0", b"\1"):
            repeats = sorted((n, first) for key, (first, n) in table.items() if key[:1] == marker)
            assert sorted(found.repeats(marker)) == repeats
        found.remove()
    assert not path.exists()
