"""The pages of one layer, and the words that search knows of it."""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from ffmem import Index, open_index
from ffmem.ids import CellId
from ffmem.store.label_rows import NewLabel

pytest.importorskip("jinja2", reason="pages need the extra explorer")

from ffmem.server.opening import open_explorer
from ffmem.site.layer import SiteOptions, site_index, without_text, write_layer
from ffmem.site.words import words_of
from tests.server.files import table_of


def test_words_of_a_layer_are_those_of_its_cells(index_of: Callable[[str], Index], tmp_path: Path) -> None:
    index = index_of("gpt2")
    explorer = open_explorer(index.folder, with_model=False)
    site_index(explorer.index)
    found = write_layer(explorer, 1, tmp_path, SiteOptions(triggers=2))
    layers = index.cells.layers
    assert len(found.summaries) == layers[1].n_cells == len(list((tmp_path / "cells" / "L1").iterdir()))
    assert found.n_bytes == sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())
    assert [one["cell"] for one in table_of((tmp_path / "cells" / "L1.csv").read_bytes())] == [
        str(index.cells.cell_id(1, row)) for row in range(layers[1].n_cells)
    ]
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


def test_without_text_there_is_no_name_that_may_quote_it(index_of: Callable[[str], Index], tmp_path: Path) -> None:
    shutil.copytree(index_of("gpt2").folder, tmp_path / "index", ignore=shutil.ignore_patterns("labels.*"))
    cells = [CellId(1, number) for number in range(6)]
    made = [
        NewLabel(cells[0], 1, "rule", "fires on 'zebra'", "token", {"values": ["zebra"]}, grade="A"),
        NewLabel(cells[1], 1, "rule", "mythology (topic)", "field", {"field": "label", "value": "zebra"}, grade="A"),
        NewLabel(cells[2], 1, "rule", "always on", "always"),
        NewLabel(cells[3], 1, "human", "it's about boats", author="zebra", note="zebra"),
        NewLabel(cells[4], 1, "lm", "words like \u201czebra\u201d", evidence={"passes": True}),
        NewLabel(cells[5], 1, "lm", "zebra unproven", author="m"),
    ]
    open_index(tmp_path / "index").names.add(made)
    shown = {}
    for text in (True, False):
        explorer = open_explorer(tmp_path / "index", with_model=False)
        site_index(explorer.index, text=text)
        write_layer(explorer, 1, tmp_path / str(text), SiteOptions(triggers=2, text=text))
        pages = [(tmp_path / str(text) / f"cells/L1/{number}.html").read_text() for number in range(6)]
        table = (tmp_path / str(text) / "cells/L1.html").read_text()
        assert '<form class="filters name-it"' not in "".join(pages)
        shown[text] = [
            [name in page for page in pages] for name in ("zebra", "always on", "boats", "mythology", "unproven")
        ]
        shown[text].append([word in table for word in ("zebra", "always on", "boats", "mythology", "unproven")])
    assert shown[True] == [
        [True, True, False, True, True, True], [False, False, True, False, False, False],
        [False, False, False, True, False, False], [False, True, False, False, False, False],
        [False, False, False, False, False, True], [True, True, True, True, False],
    ]  # fmt: skip
    assert shown[False] == [
        [False, False, False, False, False, True], [False, False, True, False, False, False],
        [False, False, False, True, False, False], [False, True, False, False, False, False],
        [False, False, False, False, False, True], [False, True, True, True, False],
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["quadrants_of", "sampled_of"])
def test_without_text_quadrants_and_samples_say_none_either(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    index = request.getfixturevalue(kind)("llama")
    explorer = open_explorer(index.folder, with_model=False)
    site_index(explorer.index)
    write_layer(explorer, 1, tmp_path, SiteOptions(triggers=1, text=False))
    page = (tmp_path / "cells" / "L1" / "3.html").read_text("utf-8")
    cell = index.cell("L1.3")
    beside = [one for part in cell.quadrants for one in part.triggers]
    beside += [one for part in cell.strata for one in part.examples]
    assert len(beside) > 5 and ("By strength" in page) == (kind == "sampled_of")
    for one in beside:
        assert len(one.text.split()) < 4 or " ".join(one.text.split()[:3]) not in page
