"""The pages of one layer, and the words that search knows of it."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from ffmem import Index

pytest.importorskip("jinja2", reason="pages need the extra explorer")

from ffmem.server.opening import open_explorer
from ffmem.site.layer import SiteOptions, site_index, without_text, write_layer
from ffmem.site.words import words_of


def test_words_of_a_layer_are_those_of_its_cells(index_of: Callable[[str], Index], tmp_path: Path) -> None:
    index = index_of("gpt2")
    explorer = open_explorer(index.folder, with_model=False)
    site_index(explorer.index)
    found = write_layer(explorer, 1, tmp_path, SiteOptions(triggers=2))
    layers = index.cells.layers
    assert len(found.summaries) == layers[1].n_cells == len(list((tmp_path / "cells" / "L1").iterdir()))
    assert found.n_bytes == sum(path.stat().st_size for path in tmp_path.rglob("*.html"))
    for row in range(0, layers[1].n_cells, 7):
        cell, number = index.cell(index.cells.cell_id(1, row)), layers[0].n_cells + row
        texts = [one.text for one in cell.triggers if one.rank < 2]
        words = set().union(*map(words_of, texts))
        assert {word for word, cells in found.triggers.items() if number in cells} == words
        assert found.summaries[row][1:] == [one.token for one in cell.promoted[:3]]


def test_sentences_at_hand_are_the_same(index_of: Callable[[str], Index]) -> None:
    plain, kept = index_of("gpt2"), site_index(index_of("gpt2"))
    for number in (0, 5, 5):
        assert kept.text.sentence(number).text == plain.text.sentence(number).text
    assert kept.text.sentence(5) is kept.text.sentence(5)
    assert kept.text.document(0) == plain.text.document(0)


def test_a_trigger_without_text_says_only_its_token_and_a_hash(index_of: Callable[[str], Index]) -> None:
    trigger = index_of("gpt2").cell("L1.3").triggers[0]
    hidden = without_text(trigger)
    assert hidden.tokens == (trigger.tokens[trigger.position],) == (hidden.text,)
    assert hidden.marked("", "") == ("", hidden.text, "")
    assert hashlib.sha256(trigger.text.encode()).hexdigest()[:16] in hidden.document.name
    assert trigger.document.name not in hidden.document.name and hidden.next_token == trigger.next_token
