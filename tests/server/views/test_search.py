"""One box: what is found by patterns, words and tokens, held against the files; and a box that takes anything."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ffmem import Index
from ffmem.server.explorer import Explorer
from ffmem.server.links import Links
from ffmem.server.pages import render
from ffmem.server.views.search import SearchView, search_view, warm_search
from ffmem.server.views.search_form import search_context
from tests.server.arrays import NO_TOKEN, asked, layer_arrays, sentence_at, token_text
from tests.server.page import FEW, HOSTILE, Element, assert_sound, shape, shown_token


def drawn(explorer: Explorer, view: SearchView) -> Element:
    context = search_context(explorer, view)
    return assert_sound(render("search.html", Links(), explorer=explorer, here="/search", **context))


def cells(view: SearchView) -> list[str]:
    return [str(one.found.cell) for one in view.cells]


def test_words_are_found_in_triggers_and_in_sentences(index_of: Callable[[str], Index]) -> None:
    explorer = Explorer(index_of("gpt2"))
    folder = explorer.index.folder
    view = search_view(explorer, "harbour winter within:sentence", 200)
    sentences = {
        number
        for number, text in asked(folder, "SELECT id, text FROM sentences")
        if {"harbour", "winter"} <= set(text.lower().replace(".", "").split())
    }
    expected = set()
    for place in range(3):
        for row, tokens in enumerate(layer_arrays(folder, place)["trigger_token"].reshape(48, -1).tolist()):
            texts = [sentence_at(folder, one) for one in tokens if one != NO_TOKEN]
            if any(sentence in sentences for sentence, *_ in texts):
                expected.add(f"L{place}.{row}")
    assert set(cells(view)) == expected and view.n_cells == len(expected) > 0
    assert view.sentences is not None and view.sentences.n_matches == len(sentences)
    page = drawn(explorer, view)
    assert page.by_id("sentences").words.startswith(f"{len(sentences)} sentences")
    shown = page.one("ol", class_="sentences")
    assert {int(one.attributes["href"].split("/")[-1]) for one in shown.all("a")} <= sentences
    for element in shown.all("p", class_="text"):
        assert {one.text.lower() for one in element.all("mark")} == {"harbour", "winter"}
        assert (element.text,) in asked(folder, "SELECT text FROM sentences")


def test_sentences_are_looked_for_where_only_text_is_asked_about(index_of: Callable[[str], Index]) -> None:
    explorer = Explorer(index_of("gpt2"))
    folder, arrays = explorer.index.folder, layer_arrays(explorer.index.folder, 1)
    fires_on = sentence_at(folder, arrays["trigger_token"][5, 0, 0])[3]
    promoted = token_text(folder, arrays["promoted_ids"][5, 0])
    for question, with_sentences in (
        ("the layer:1", True),
        ("/t.e/", True),
        ("the active:..99%", False),
        (f'fires:"{fires_on}"', False),
        (f'promotes:"{promoted}"', False),
    ):
        view = search_view(explorer, question, 200)
        assert (view.sentences is not None) == with_sentences and not view.problem, question
        assert view.cells and ("L1.5" in cells(view) or with_sentences or "active" in question), question


def test_what_a_cell_promotes_with_a_negative_coefficient_is_what_its_value_suppresses(
    index_of: Callable[[str], Index],
) -> None:
    explorer = Explorer(index_of("llama"))
    view = search_view(explorer, "river", 100)
    signs = set()
    for hit in view.cells:
        signs.add(hit.found.sign)
        place, row = int(str(hit.found.cell)[1]), hit.found.cell.index
        ids = layer_arrays(explorer.index.folder, place)["promoted_ids" if hit.found.sign > 0 else "suppressed_ids"][
            row
        ]
        assert list(hit.promoted) == [token_text(explorer.index.folder, one) for one in ids[:6]]
    assert signs == {1, -1}
    shown = drawn(explorer, view).one("ol", class_="hits").all("h3")
    assert [one.words.removesuffix(" with negative coefficients") for one in shown] == cells(view)
    negative = [one.words.endswith("with negative coefficients") for one in shown]
    assert negative == [hit.found.sign < 0 for hit in view.cells]


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("pattern:topic", ["L1.3"]),
        ("pattern:semantic", ["L1.3"]),
        ("pattern:shallow", ["L1.3", "L1.9"]),
        ('pattern:"RIVERS & stones"', ["L1.3"]),
        ('pattern:"by chance"', []),
        ("pattern:shallow layer:0", []),
    ],
)
def test_cells_are_found_by_the_patterns_of_the_study(question: str, expected: list[str], explained: Explorer) -> None:
    warm_search(explained)
    assert sorted(cells(search_view(explained, question, 20))) == expected


def test_patterns_without_a_study_and_unknown_tokens_are_told_beside_the_box(index_of: Callable[[str], Index]) -> None:
    explorer = Explorer(index_of("gpt2"))
    warm_search(explorer)  # there are no patterns to read
    without = search_view(explorer, "pattern:topic", 5)
    assert "Run ffmem reproduce on the index" in without.problem and without.cells == ()
    unknown = search_view(explorer, "fires:rivxyz next:qqq", 5)
    assert unknown.problem.startswith("'rivxyz', 'qqq': no token of this model's vocabulary")
    page = drawn(explorer, replace(unknown, tokens={"fires": replace(unknown.tokens["fires"], others=(" the", "a"))}))
    links = [one.attributes["href"] for one in page.by_id("results").all("a")]
    assert links == ["/search?q=fires%3A%22+the%22+next%3Aqqq", "/search?q=fires%3A%22a%22+next%3Aqqq"]


def test_a_cell_and_nothing_are_no_searches(index_of: Callable[[str], Index]) -> None:
    explorer = Explorer(index_of("gpt2"))
    cell = search_view(explorer, "l1.7", 5)
    assert cell.question is not None and str(cell.question.cell) == "L1.7" and cell.cells == ()
    nothing = drawn(explorer, search_view(explorer, "  ", 5))
    assert nothing.one("title").words == "Search · ffmem" and "promotes:" in nothing.one("dl", class_="facts").words


@settings(max_examples=80, deadline=None)
@given(
    text=st.one_of(
        HOSTILE.map(lambda one: one.encode("utf-8", "replace").decode()),
        st.text("/\\\"'()[]*+?{}|:^$.ab <&\x00\u2028", max_size=14),
        st.lists(
            st.sampled_from(
                ["/ri?ver/", "layer:1", "layer:", "fires:the", 'next:"', "active:..1%", "active:nan", "said:*", "pattern:x"]
            ),
            max_size=3,
        ).map(" ".join),
    )
)  # fmt: skip
def test_whatever_is_typed_has_a_page_with_it_in_the_box(searched: Explorer, text: str) -> None:
    view = search_view(searched, text, 3)
    page = drawn(searched, view)
    assert page.by_id("find").attributes["value"] == text
    assert page.one("title").text == f"{text.strip() or 'Search'} · ffmem"
    assert view.problem in page.one("p", role="status").text
    assert len(view.cells) <= 3 and view.n_cells >= len(view.cells)
    assert not (view.problem and view.cells)


def test_what_is_found_stays_text(searched: Explorer) -> None:
    view = search_view(searched, "river", 1)
    assert view.sentences is not None
    (hit,), sentence = view.cells, view.sentences.hits[0]
    trigger = hit.found.triggers[0]

    def with_text(text: str) -> SearchView:
        whole = f"{text}river".encode("utf-8", "replace").decode()
        shown = replace(trigger, text=whole, span=(len(whole.encode()) - 5, len(whole.encode())))
        found = replace(hit, found=replace(hit.found, triggers=(shown,), matches=((),)), promoted=(text,))
        document = replace(sentence.document, name=text)
        one = replace(sentence, text=text, spans=((0, len(text)),), document=document)
        sentences = replace(view.sentences, hits=(one,), sought=text)  # type: ignore[type-var]
        return replace(view, text=text, cells=(found,), sentences=sentences, notes=(text,))

    expected = shape(drawn(searched, with_text("x")))

    @FEW
    @given(text=HOSTILE)
    def check(text: str) -> None:
        page = drawn(searched, with_text(text))
        assert shape(page) == expected
        assert page.one("ol", class_="hits").all("code")[-1].text == shown_token(text)
        assert page.one("ol", class_="sentences").one("mark").text == text
        assert f"Searched for {text}." in page.text

    check()


@pytest.fixture(scope="module")
def searched(index_of: Callable[[str], Index]) -> Explorer:
    return Explorer(index_of("gpt2"))
