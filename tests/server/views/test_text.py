"""What all views of a text share: one state, one tab bar, one change for each cell."""

from urllib.parse import parse_qs, urlsplit

from hypothesis import given
from hypothesis import strategies as st

from ffmem.server.links import Links
from ffmem.server.views.attention import AttentionState, MapState
from ffmem.server.views.prompt import PromptState
from ffmem.server.views.text import TABS, one_for_each_cell

CHANGES = st.lists(
    st.builds(
        lambda cell, how, amount, at: f"L1.{cell}{how}{amount}{at}",
        st.integers(0, 2),
        st.sampled_from(["*", "=", " + "]),
        st.integers(0, 3),
        st.sampled_from(["", "@1", "@-1"]),
    ),
    max_size=8,
)


@given(changes=CHANGES)
def test_each_cell_has_its_last_change_where_the_first_stood(changes: list[str]) -> None:
    def what(change: str) -> str:
        return change.split("*")[0].split("=")[0].split("+")[0].strip() + "@" + change.partition("@")[2]

    expected: list[str] = []
    for one in changes:  # by hand: look for an earlier change of the same cell, and take its place
        for place, earlier in enumerate(expected):
            if what(earlier) == what(one):
                expected[place] = one
                break
        else:
            expected.append(one)
    assert list(one_for_each_cell(tuple(changes))) == expected


def test_out_and_then_doubled_is_doubled() -> None:
    state = PromptState("a").with_change("L1.3*0").with_change("L0.2*0").with_change("L1.3*2")
    assert state.change == ("L1.3*2", "L0.2*0")


def test_a_tab_keeps_what_the_other_view_understands_and_nothing_else() -> None:
    shared = {
        "text": "a b",
        "target": "c",
        "against": "d",
        "at": 1,
        "layer": "L1",
        "change": ("L0.1*0",),
        "where": "last",
        "new": 3,
    }
    for state in (
        PromptState(**shared),
        MapState(**shared, by="norm"),
        AttentionState(**shared, heads=("L0.H1",), by="norms"),
    ):
        assert state.shared() == shared
        assert [name for name, _ in state.tabs] == [name for name, _ in TABS]
        told = parse_qs(urlsplit(Links().page("map", **state.shared(at=None))).query)
        assert told["text"] == ["a b"] and "at" not in told and "by" not in told and "heads" not in told
