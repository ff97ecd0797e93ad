"""What is asked of a prediction's flow, and what is drawn of the answer."""

from collections.abc import Callable
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffmem import Index
from ffmem.server.explorer import Explorer
from ffmem.server.links import Links
from ffmem.server.model_thread import ModelState
from ffmem.server.pages import render
from ffmem.server.views.flow import FlowAnswer, FlowState, FlowView, flow_view
from tests.fixtures.made_flow import made_fired, made_flow
from tests.server.page import FEW, HOSTILE, Element, assert_sound, shape, shown_token

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


def drawn(explorer: Explorer, view: FlowView, state: str = "ready") -> Element:
    model = ModelState(state, "tiny", "")  # type: ignore[arg-type]
    return assert_sound(render("flow.html", Links(), explorer=explorer, here="/flow", view=view, model=model))


@given(
    state=st.builds(
        FlowState,
        text=TEXT,
        target=TEXT,
        against=TEXT,
        at=st.none() | st.integers(0, 9),
        layer=TEXT,
        change=st.lists(TEXT.filter(bool), max_size=2).map(tuple),
        share=st.none() | st.floats(0, 1),
        pin=st.lists(TEXT.filter(bool), max_size=3).map(tuple),
    )
)
def test_an_address_gives_the_question_back(state: FlowState) -> None:
    fields = parse_qs(urlsplit(Links().page("flow", **state.query())).query)
    kept: dict[str, object] = {
        name: tuple(all_) if name in ("pin", "change") else all_[-1] for name, all_ in fields.items()
    }
    for name, kind in (("at", int), ("share", float)):
        if name in kept:
            kept[name] = kind(str(kept[name]))
    assert replace(FlowState(), **kept) == state  # type: ignore[arg-type]


def test_pinning_twice_unpins_and_drawing_more_asks_nothing_new() -> None:
    state = FlowState("a", pin=("L0.3",))
    assert state.pinning("L1.7")["pin"] == ("L0.3", "L1.7") and "pin" not in state.pinning("L0.3")
    assert state.question == replace(state, share=0.5).question != replace(state, pin=()).question
    assert state.question == replace(state, change=("L0.3*0",), layer="L1").question  # of other views


def test_the_table_says_every_number_of_the_picture_and_their_sum(index_of: Callable[[str], Index]) -> None:
    found = made_flow(fired=(made_fired(),), name="rivers")
    view = flow_view(FlowState("the river", share=0.5, pin=("L1.7",)), FlowAnswer((), found))
    page = drawn(Explorer(index_of("gpt2")), view)
    table, _ = page.all("table", class_="flow-parts")
    rows = table.one("tbody").all("tr")
    numbers = [float(one.one("span", class_="n").words.replace("\u2212", "-")) for one in rows]
    assert sum(numbers) == pytest.approx(4.125, abs=0.01) and table.one("tfoot").all("tr")[0].words == "sum4.125"
    of_rows = {one.attributes["data-part"] for one in rows if "data-part" in one.attributes}
    picture = page.one("svg", class_="flow")
    assert of_rows == {one.attributes["data-part"] for one in picture if "data-part" in one.attributes}
    first = rows[0]
    assert first.one("a", class_="act").attributes["href"] == "/flow?text=the+river&at=1&share=0.5&pin=L1.7&pin=L0.3"
    assert "rivers" in first.words and first.all("a")[0].attributes["href"] == "/cells/L0.3"
    assert picture.one("a", data_part="L0.H1@-1").attributes["href"] == "/attention?text=the+river&layer=L0&at=1"
    assert "Its coefficient is 0.5: relu of what its key was given" in page.one("main").words
    key = page.all("table", class_="flow-parts")[1]
    assert sum(
        float(one.words.replace("\u2212", "-")) for one in key.one("tbody").all("span", class_="n")
    ) == pytest.approx(2.8125, abs=0.01)


def test_special_tokens_have_no_number_and_cannot_be_asked_after(index_of: Callable[[str], Index]) -> None:
    view = flow_view(FlowState("the river"), FlowAnswer((), made_flow()))
    tokens = drawn(Explorer(index_of("gpt2")), view).one("p", class_="reading-tokens")
    assert [one.text for one in tokens.all("span", class_="special")] == ["<s>"]
    assert [one.attributes["href"] for one in tokens.all("a")] == [
        "/flow?text=the+river&at=0",
        "/flow?text=the+river&at=1",
    ]
    assert ["aria-current" in one.attributes for one in tokens.all("a")] == [False, True]


def test_without_an_answer_there_is_the_question_and_the_problem(index_of: Callable[[str], Index]) -> None:
    view = flow_view(FlowState("a", "b"), FlowAnswer((("flow", "no such token"),)))
    page = drawn(Explorer(index_of("gpt2")), view)
    assert [one.text for one in page.all("p", class_="problem")] == ["no such token"] and not page.all("svg")
    assert view.to_json() == {
        "state": view.state, "problems": {"flow": "no such token"}, "flow": None, "drawn": None, "not_applied": (),
    }  # fmt: skip
    assert "This page as JSON" not in drawn(Explorer(index_of("gpt2")), FlowView(FlowState(), ())).one("footer").words


def test_what_is_typed_stays_text(index_of: Callable[[str], Index]) -> None:
    explorer = Explorer(index_of("gpt2"))

    def with_text(text: str) -> FlowView:
        found = made_flow(tokens=(text, text, text), target=text, against=text, name=text, fired=(made_fired(),))
        state = FlowState(
            text or "x", text or "x", text or "x", at=1, share=1.0, pin=(text or "x",), change=(text or "x",)
        )
        return flow_view(state, FlowAnswer((("pin", text),), found))

    expected = shape(drawn(explorer, with_text("x")))

    @FEW
    @given(text=HOSTILE.map(lambda one: one.encode("utf-8", "backslashreplace").decode()))
    def check(text: str) -> None:
        page = drawn(explorer, with_text(text))
        assert shape(page) == expected
        assert page.by_id("text").text == (text or "x")
        assert page.one("h2", id="whole").all("code")[0].text == shown_token(text)
        assert {one.attributes["value"] for one in page.all("input", name="pin")} == {text or "x"}

    check()
