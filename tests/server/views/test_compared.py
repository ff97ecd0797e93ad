"""Two continuations, word by word."""

from hypothesis import given
from hypothesis import strategies as st

from ffmem.server.views.compared import compared

TEXT = st.lists(st.sampled_from(["the", "river", "ran", " ", "\n", "dry.", "¿"]), max_size=12).map(" ".join)


@given(before=TEXT, after=TEXT)
def test_the_stretches_are_the_two_texts(before: str, after: str) -> None:
    found = compared(before, after)
    assert "".join(one.before for one in found) == before and "".join(one.after for one in found) == after
    assert all(one.before == one.after for one in found if not one.differs)
    differing = [one for one in found if one.differs]
    assert [one.first for one in differing] == [True, *[False] * len(differing)][: len(differing)]
    assert bool(differing) == (before != after)


def test_the_first_difference_is_marked() -> None:
    found = compared(" road and the air was cold", " road and an air was warm")
    assert [(one.before, one.after, one.differs, one.first) for one in found] == [
        (" road and", " road and", False, False),
        (" the", " an", True, True),
        (" air was", " air was", False, False),
        (" cold", " warm", True, False),
    ]
