"""Errors on pages: no flag of the command line is left in them."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffmem.server.on_page import on_page, without_commands

WORDS = st.sampled_from(
    ["Write --by triggers", "Leave --sign out for 1", "Add some: ffmem collect add", "--layer is '9'", "Expected L0 to L3",
     "`ffmem info DIR` shows the sizes", "Use --min-active or --named", "an en--dash and a well-known - thing", ""]
)  # fmt: skip


@given(WORDS, WORDS, WORDS, st.sampled_from(["/cells", "/search", "/", "/nowhere/x", "/annotate/b"]))
def test_no_flag_is_left(got: str, expected: str, mend: str, path: str) -> None:
    told = on_page({"got": got, "expected": expected, "mend": mend}, path)
    assert not any(re.search(r"(^|[\s`])--[a-z]", one) for one in told.values())
    assert bool(told["mend"]) is bool(mend) and "ffmem collect" not in told["mend"]


@pytest.mark.parametrize(
    ("mend", "path", "now"),
    [
        ("Write --by triggers", "/cells/L0.1/similar", "Choose triggers for by"),
        ("Leave --sign out for 1", "/cells", "Leave sign empty for 1"),
        ("Build one: ffmem index MODEL --sample 24", "/figures/a", "Choose a figure from the page of figures"),
        ("Try again in a moment", "/cells", "Try again in a moment"),
    ],
)  # fmt: skip
def test_what_to_do_on_the_page(mend: str, path: str, now: str) -> None:
    told = on_page({"got": "--min-active is 2", "expected": "Expected 0 to 1", "mend": mend}, path)
    assert told == {"got": "min active is 2", "expected": "Expected 0 to 1", "mend": now}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("cell L99.1 does not exist. Expected L0.0 to L3.9. Layers count from 0; `ffmem info DIR` shows them.",
         "cell L99.1 does not exist. Expected L0.0 to L3.9. Layers count from 0."),
        ("the explorer was started without a model (--no-model)", "the explorer was started without a model."),
        ("there is no token 9. Choose a token above", "there is no token 9. Choose a token above"),
        ("Expected 3.5 to 4. Write --at 3", "Expected 3.5 to 4."),
        ("Use ffmem intervene.", "Use ffmem intervene."),
        ("", ""),
    ],
)  # fmt: skip
def test_a_page_tells_nobody_to_type_into_a_terminal(text: str, shown: str) -> None:
    assert without_commands(text) == shown
