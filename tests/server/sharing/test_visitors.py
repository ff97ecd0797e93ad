"""Who asks, and what follows from it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffmem import InputError
from ffmem.annotations.protocol import ADJUDICATED, check_name
from ffmem.server.sharing.visitors import VISITOR, Visitor, author_of, check_annotator, may_write

NAMES = st.text(min_size=1, max_size=60)


@given(NAMES, NAMES)
def test_every_visitor_has_a_name_to_annotate_under_that_no_other_has(one: str, other: str) -> None:
    names = Visitor(one, "write").annotator, Visitor(other, "write").annotator
    for name in names:
        check_name(name, "annotator")
    assert (names[0] == names[1]) is (one == other)


def test_a_plain_name_stays() -> None:
    assert Visitor("ann-2", "read").annotator == "ann-2"
    assert Visitor("Ann.B@example.org", "read").annotator.startswith("u-ann-b-example-org-")


def test_what_the_visitor_may_and_under_which_name() -> None:
    assert may_write() and author_of("typed") == "typed"
    check_annotator("anybody", ADJUDICATED)
    before = VISITOR.set(Visitor("ann", "read"))
    try:
        assert not may_write() and author_of("typed") == "ann"
        for name in ("ann", ADJUDICATED):
            check_annotator(name, ADJUDICATED)
        with pytest.raises(InputError) as error:
            check_annotator("bob", ADJUDICATED)
        assert str(error.value) == (
            "you are logged in as ann, and this is the page of annotator 'bob'. "
            "Expected your own annotations: those of ann. Begin at /annotate."
        )
    finally:
        VISITOR.reset(before)
