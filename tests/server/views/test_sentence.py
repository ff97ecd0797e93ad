"""A sentence and the cells that have it: found again by a loop over all slots of the arrays."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given

from ffmem import Index, InputError
from ffmem.cell import Document
from ffmem.server.explorer import Explorer
from ffmem.server.links import Links
from ffmem.server.pages import render
from ffmem.server.views.sentence import SentenceView, sentence_view
from tests.server.arrays import NO_TOKEN, asked, layer_arrays, token_arrays
from tests.server.page import FEW, HOSTILE, Element, assert_sound, shape, shown_token


def drawn(explorer: Explorer, view: SentenceView) -> Element:
    here = f"/sentences/{view.sentence_id}"
    return assert_sound(render("sentence.html", Links(), explorer=explorer, here=here, view=view))


def cells_with(index: Index, sentence: int) -> list[tuple[str, int, int, float]]:
    """(cell, token's position, rank, coefficient), layer by layer, the strongest first."""
    first, end = token_arrays(index.folder)["sentence_start"][sentence : sentence + 2].tolist()
    found = []
    for place in range(3):
        arrays = layer_arrays(index.folder, place)
        hits = []
        for (row, axis, rank), token in np.ndenumerate(arrays["trigger_token"]):
            if token != NO_TOKEN and first <= token < end:
                coefficient = float(arrays["trigger_coefficient"][row, axis, rank])
                hits.append((-abs(coefficient), row, f"L{place}.{row}", int(token) - first, rank, coefficient))
        found += [hit[2:] for hit in sorted(hits)]
    return found


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_every_cell_that_has_it_stands_there(family: str, index_of: Callable[[str], Index]) -> None:
    index = index_of(family)
    explorer, starts = Explorer(index), token_arrays(index.folder)["sentence_start"]
    n_found = 0
    for sentence in (5, *range(0, 600, 60)):
        view = sentence_view(explorer, sentence)
        expected = cells_with(index, sentence)
        n_found += len(expected)
        assert view.n_cells == len(expected) == len(view.cells)
        assert len(view.tokens) == starts[sentence + 1] - starts[sentence]
        page = drawn(explorer, view)
        rows = page.one("table").rows() if expected else []
        assert rows == [
            [cell, f"{shown_token(view.tokens[at])} token {at}", f"{number:.4g}".replace("-", "\u2212"), str(rank)]
            for cell, at, rank, number in expected
        ]
        ((text, document),) = asked(
            index.folder,
            "SELECT text, name FROM sentences JOIN documents ON documents.id = document_id WHERE sentences.id = ?",
            sentence,
        )
        assert page.one("p", class_="reading").text == text and page.all("p", class_="note")[0].text.startswith(
            document
        )
    assert n_found > 10


def test_it_leads_to_the_sentences_beside_it_and_the_last_to_none(index_of: Callable[[str], Index]) -> None:
    explorer = Explorer(index_of("gpt2"))
    ((n,),) = asked(explorer.index.folder, "SELECT count(*) FROM sentences")
    for sentence, beside in ((0, [1]), (7, [6, 8]), (n - 1, [n - 2])):
        view = sentence_view(explorer, sentence)
        assert [one for one in (view.previous, view.next) if one is not None] == beside
        links = drawn(explorer, view).one("nav", class_="beside").all("a")
        assert [one.attributes["href"] for one in links] == [f"/sentences/{one}" for one in beside]
    for missing in (n, 2**31):
        with pytest.raises(InputError, match=f"(?s){n - 1}"):
            sentence_view(explorer, missing)


def test_what_was_held_out_is_no_cells_trigger(index_of: Callable[[str], Index]) -> None:
    explorer = Explorer(index_of("gpt2"))
    held_out = asked(
        explorer.index.folder,
        "SELECT sentences.id FROM sentences JOIN documents ON documents.id = document_id "
        "WHERE held_out AND NOT also_indexed LIMIT 3",
    )
    assert held_out
    for (sentence,) in held_out:
        view = sentence_view(explorer, sentence)
        assert view.held_out and view.n_cells == 0
        assert "held out: no cell has it among its triggers" in drawn(explorer, view).words


def test_most_cells_are_told_of_and_not_shown(index_of: Callable[[str], Index]) -> None:
    explorer = Explorer(index_of("gpt2"))
    view = sentence_view(explorer, 5)
    page = drawn(explorer, replace(view, n_cells=1234))
    assert "triggers: 1,234" in page.words and f"1 to {len(view.cells)} of 1,234" in page.words
    (more,) = [one.attributes["href"] for one in page.all("a") if one.words == "next →"]
    assert more == f"?start={len(view.cells)}#cells"


def test_a_token_chooses_its_cells_and_pages_hold_them_all(
    index_of: Callable[[str], Index], monkeypatch: pytest.MonkeyPatch
) -> None:
    explorer = Explorer(index_of("gpt2"))
    monkeypatch.setattr("ffmem.server.views.sentence._N_CELLS", 3)
    sentence = max(range(60), key=lambda one: len(cells_with(explorer.index, one)))
    expected = cells_with(explorer.index, sentence)
    view, found = sentence_view(explorer, sentence), []
    assert list(view.n_by_token) == [sum(at == one for _, at, _, _ in expected) for one in range(len(view.tokens))]
    start: int | None = 0
    while start is not None:
        part = sentence_view(explorer, sentence, start=start)
        found += [str(one.cell) for one in part.cells]
        start = part.next_start
    assert found == [cell for cell, *_ in expected] and len(found) > 3
    busiest = max(range(len(view.tokens)), key=lambda one: view.n_by_token[one])
    some = sentence_view(explorer, sentence, at=busiest)
    assert some.n_cells == view.n_by_token[busiest] > 0 and {one.position for one in some.cells} == {busiest}


def test_its_text_and_document_stay_text(index_of: Callable[[str], Index]) -> None:
    explorer = Explorer(index_of("gpt2"))
    view = sentence_view(explorer, 5)

    def with_text(text: str) -> SentenceView:
        document = Document(0, text, {"topic": text, "weight": 3, "author": text})
        return replace(view, text=text, tokens=(text,) * len(view.tokens), document=document, n_occurrences=2)

    expected = shape(drawn(explorer, with_text("x")))

    @FEW
    @given(text=HOSTILE)
    def check(text: str) -> None:
        page = drawn(explorer, with_text(text))
        assert shape(page) == expected
        assert page.one("p", class_="reading").text == text
        assert page.one("table").all("code")[0].text == shown_token(text)
        note = page.all("p", class_="note")[0].text
        assert note.startswith(f"{text} · topic {text} ") and "author" not in note and "weight" not in note

    check()
