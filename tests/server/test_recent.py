"""Answers that are kept for a while."""

from hypothesis import given
from hypothesis import strategies as st

from ffmem.server.recent import Recent


@given(asked=st.lists(st.integers(0, 6), max_size=30), most=st.integers(1, 4))
def test_those_asked_for_last_are_there(asked: list[int], most: int) -> None:
    recent: Recent[str] = Recent(most)
    order: list[int] = []
    for question in asked:
        assert recent.find(question) == (f"answer {question}" if question in order[-most:] else None)
        if question not in order[-most:]:
            assert recent.keep(question, f"answer {question}") == f"answer {question}"
        order = [one for one in order if one != question] + [question]
        order = order[-most:]
