"""A prompt's state, which an address holds whole, and what of a visitor's words stands on the page."""

from collections.abc import Callable
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffmem import Index
from ffmem.index.indexed_model import load_indexed_model
from ffmem.server.explorer import Explorer
from ffmem.server.limits import MAX_CHANGES
from ffmem.server.links import Links
from ffmem.server.model_questions import ModelQuestions
from ffmem.server.model_thread import ModelState
from ffmem.server.pages import render
from ffmem.server.views.prompt import PromptState, PromptView, empty_prompt
from ffmem.server.views.text import one_for_each_cell
from tests.server.page import FEW, HOSTILE, Element, assert_sound, shape

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
STATES = st.builds(
    PromptState,
    text=TEXT,
    target=TEXT,
    against=TEXT,
    layer=TEXT,
    at=st.none() | st.integers(0, 99),
    change=st.lists(TEXT.filter(bool), max_size=3).map(tuple),
    where=st.sampled_from(["all", "last"]),
    new=st.integers(0, 100),
)


def drawn(explorer: Explorer, view: PromptView, state: str = "absent") -> Element:
    model = ModelState(state, "tiny", "")  # type: ignore[arg-type]
    return assert_sound(render("prompt.html", Links(), explorer=explorer, here="/prompt?x=1", view=view, model=model))


@given(state=STATES)
def test_an_address_gives_the_state_back(state: PromptState) -> None:
    fields = parse_qs(urlsplit(Links().page("prompt", **state.query())).query, keep_blank_values=True)
    default = PromptState()
    kept = {name: values if name == "change" else values[-1] for name, values in fields.items()}
    for name in ("at", "new"):
        if name in kept:
            kept[name] = int(kept[name])  # type: ignore[arg-type]
    again = replace(default, **kept | {"change": tuple(kept.get("change", ()))})  # type: ignore[arg-type]
    assert again == state


@given(state=STATES, change=TEXT.filter(bool))
def test_a_change_is_added_and_taken_away(state: PromptState, change: str) -> None:
    more = state.with_change(change)
    assert (
        more.change == one_for_each_cell((*state.change, change)) and change in more.change and more.text == state.text
    )
    assert more.without(change).change == tuple(one for one in more.change if one != change)
    full = replace(state, change=tuple(map(str, range(MAX_CHANGES))))
    assert full.with_change("one more") == full


def test_what_has_its_default_is_left_out_of_an_address() -> None:
    assert PromptState().query() == {} and PromptState(text="a").query(new=20, at=0) == {"text": "a", "at": 0}


def test_a_page_without_answers_says_why(index_of: Callable[[str], Index]) -> None:
    explorer = Explorer(index_of("gpt2"))
    view = empty_prompt(PromptState("a text"), True, "the model is being loaded")
    page = drawn(explorer, view, "loading")
    problem = page.by_id("model-state")
    assert problem.words == "the model is being loaded" and problem.attributes["data-state"] == "loading"
    assert view.to_json()["problems"] == {"model": "the model is being loaded"} and view.to_json()["lens"] is None
    assert empty_prompt(PromptState(), True).problems == ()


@pytest.mark.parametrize("causal", [True, False])
def test_only_a_model_that_predicts_is_asked_about_tokens(causal: bool, index_of: Callable[[str], Index]) -> None:
    page = drawn(Explorer(index_of("gpt2")), empty_prompt(PromptState(), causal), "ready")
    fields = {one.attributes["name"] for one in page.by_id("ask") if "name" in one.attributes}
    assert fields == ({"text", "target", "against", "change", "where", "new"} if causal else {"text"})
    assert ("does not predict" in page.by_id("results").words) == (not causal)


def test_data_is_led_to_where_there_is_some(index_of: Callable[[str], Index]) -> None:
    explorer = Explorer(index_of("gpt2"))
    for state, text, there in (("ready", "a", True), ("ready", "", False), ("absent", "a", False)):
        page = drawn(explorer, empty_prompt(PromptState(text), True), state)
        links = [one.attributes["href"] for one in page.one("footer").all("a")]
        assert links == (["/prompt.json?x=1"] if there else [])


def test_what_is_typed_stays_text(index_of: Callable[[str], Index]) -> None:
    explorer = Explorer(index_of("gpt2"))

    def with_text(text: str) -> PromptView:
        state = PromptState(text or "x", text, text, text or "x", None, (text, "L0.1*0"))
        return replace(empty_prompt(state, True), problems=(("target", text),))

    def shown(text: str) -> Element:
        encodable = text.encode("utf-8", "backslashreplace").decode()  # an address has no room for half a character
        return drawn(explorer, with_text(encodable), "failed")

    expected = shape(shown("x"))

    @FEW
    @given(text=HOSTILE)
    def check(text: str) -> None:
        page, text = shown(text), text.encode("utf-8", "backslashreplace").decode()
        assert shape(page) == expected
        assert page.by_id("text").text == (text or "x")
        values = {one.attributes["name"]: one.attributes.get("value") for one in page.by_id("ask").all("input")}
        assert values["target"] == values["against"] == text
        assert page.one("p", class_="problem").text == text
        undo = page.by_id("chips").all("a")
        fields = parse_qs(urlsplit(undo[1].attributes["href"]).query, keep_blank_values=True)
        assert fields["text"] == [text or "x"] and fields["change"] == [text]

    check()


def test_an_update_is_shown_as_dictionaries_have_it(dictionary_index: Index) -> None:
    explorer, model = Explorer(dictionary_index), load_indexed_model(dictionary_index)
    view = ModelQuestions(model, dictionary_index).prompt(PromptState(text="the river was"))
    assert view.explanation is not None
    page = drawn(explorer, view, "ready").one("section", aria_labelledby="dictionaries")
    assert [one.words for one in page.all("h3")] == ["L0.jump", "L1.own"]
    for found, table in zip(view.explanation.dictionaries, page.all("table"), strict=True):
        links = [one.attributes["href"] for one in table.all("a")]
        assert links == [f"/cells/{one.cell.cell}" for one in found.largest] and links
        assert found.cells + found.bias + found.left_over == pytest.approx(found.update, abs=1e-6)
    refused = ModelQuestions(model, dictionary_index).prompt(PromptState(text="the", change=("L1.own.3*0",)))
    assert "L1.own.3 is of a dictionary, and here cells are the model's own" in dict(refused.problems)["intervention"]
