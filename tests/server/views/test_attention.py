"""What is asked of attention and of the one map, and what is drawn of the answer."""

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffmem import Index
from ffmem.server.explorer import Explorer
from ffmem.server.links import Links
from ffmem.server.model_thread import ModelState
from ffmem.server.pages import render
from ffmem.server.views.attention import AttentionState, AttentionView, MapState, MapView
from tests.server.page import FEW, HOSTILE, Element, assert_sound, shape

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


def drawn(explorer: Explorer, view: AttentionView | MapView, state: str = "absent") -> Element:
    model = ModelState(state, "tiny", "")  # type: ignore[arg-type]
    name = "map" if isinstance(view, MapView) else "attention"
    return assert_sound(render(f"{name}.html", Links(), explorer=explorer, here=f"/{name}", view=view, model=model))


@given(
    state=st.builds(
        AttentionState,
        text=TEXT,
        target=TEXT,
        layer=TEXT,
        bias=st.sampled_from(["inside", "constant"]),
        heads=st.lists(TEXT.filter(bool), max_size=3).map(tuple),
        by=st.sampled_from(["uniform", "norms"]),
    )
)
def test_an_address_gives_the_question_back(state: AttentionState) -> None:
    fields = parse_qs(urlsplit(Links().page("attention", **state.query())).query)
    kept = {name: tuple(values) if name == "heads" else values[-1] for name, values in fields.items()}
    assert replace(AttentionState(), **kept) == state  # type: ignore[arg-type]


@given(
    state=st.builds(
        MapState, text=TEXT, target=TEXT, at=st.none() | st.integers(0, 9), by=st.sampled_from(["norm", "logit"]), layer=TEXT
    )
)  # fmt: skip
def test_an_address_gives_the_question_of_a_map_back(state: MapState) -> None:
    fields = {
        name: values[-1] for name, values in parse_qs(urlsplit(Links().page("map", **state.query())).query).items()
    }
    at = {"at": int(fields["at"])} if "at" in fields else {}
    assert replace(MapState(), **fields | at) == state  # type: ignore[arg-type]
    assert MapState(at=0).query() == {"at": 0} and MapState(at=0).query(at=None) == {}


def test_what_is_drawn_is_the_share_of_the_score_or_the_length() -> None:
    addition = SimpleNamespace(logit=-0.25, norm=3)
    assert MapView(MapState(by="logit"), ()).amount(addition) == -0.25
    assert MapView(MapState(by="norm"), ()).amount(addition) == 3.0
    empty = MapView(MapState("a"), (("text", "too long"),))
    assert empty.by_token == () and empty.largest_token == 1
    assert empty.to_json() == {
        "state": MapState("a"), "problems": {"text": "too long"}, "tokens": (), "map": None, "shown": None, "not_applied": (),
    }  # fmt: skip


@pytest.mark.parametrize("decodes", [True, False])
def test_a_decoder_is_given_a_text_of_its_own(decodes: bool, index_of: Callable[[str], Index]) -> None:
    page = drawn(Explorer(index_of("gpt2")), AttentionView(AttentionState("a", "b"), decodes, ()))
    assert [one.text for one in page.all("textarea")] == (["a", "b"] if decodes else ["a"])


def test_data_is_led_to_where_there_is_some(index_of: Callable[[str], Index]) -> None:
    explorer = Explorer(index_of("gpt2"))
    for text, state, there in (("a", "ready", True), ("", "ready", False), ("a", "failed", False)):
        for view in (AttentionView(AttentionState(text), False, ()), MapView(MapState(text), ())):
            assert ("This page as JSON" in drawn(explorer, view, state).one("footer").words) == there


def test_what_is_typed_stays_text(index_of: Callable[[str], Index]) -> None:
    explorer = Explorer(index_of("gpt2"))

    def with_text(text: str) -> tuple[AttentionView, MapView]:
        asked = AttentionState(text or "x", text, layer=text or "L0", bias="constant", heads=(text, text), by="norms")
        on_map = MapState(text or "x", text, at=1, by="norm", layer=text or "x")
        return (
            AttentionView(asked, True, (("text", text), ("layer", text))),
            MapView(on_map, (("target", text),), tokens=("a", "b"), n_own=2),
        )

    expected = [shape(drawn(explorer, one)) for one in with_text("x")]

    @FEW
    @given(text=HOSTILE.map(lambda one: one.encode("utf-8", "backslashreplace").decode()))
    def check(text: str) -> None:
        attention, on_map = pages = [drawn(explorer, one) for one in with_text(text)]
        assert [shape(one) for one in pages] == expected
        assert attention.by_id("text").text == on_map.by_id("text").text == (text or "x")
        assert attention.one("input", name="heads").attributes["value"] == f"{text} {text}"
        assert attention.one("input", name="layer").attributes["value"] == (text or "L0")
        assert on_map.one("input", name="target").attributes["value"] == text
        assert [one.text for page in pages for one in page.all("p", class_="problem")] == [text] * 3
        first, second = on_map.one("p", class_="reading-tokens").all("a")
        assert parse_qs(urlsplit(first.attributes["href"]).query)["text"] == [text or "x"]
        assert "aria-current" in second.attributes and "aria-current" not in first.attributes

    check()
