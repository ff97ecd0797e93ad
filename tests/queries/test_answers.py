"""What holds for the answers to every question."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ffmem import Index, StoreError
from ffmem.queries import similar
from tests.queries.loops import some_promoted


def test_an_index_without_a_full_text_table_says_so(index_of: Callable[[str], Index], tmp_path: Path) -> None:
    import shutil
    import sqlite3

    from ffmem.store.text import TextReader

    shutil.copytree(index_of("gpt2").folder / "index", tmp_path / "index")
    with sqlite3.connect(tmp_path / "index" / "text.sqlite") as text:
        text.execute("DROP TABLE sentences_fts")
    text.close()
    with pytest.raises(StoreError, match="has no full-text table"):
        TextReader(tmp_path / "index").matching("river")


@pytest.mark.parametrize("family", ["llama", "mixtral", "t5"])
def test_answers_are_json_and_show_themselves(family: str, index_of: Callable[[str], Index]) -> None:
    import json

    from ffmem import queries, render

    index = index_of(family)
    first = str(index.cells.cell_id(0, 0))
    answers = [
        (queries.search(index, "silver", with_cells=True), render.search),
        (queries.promotes(index, some_promoted(index)), render.promoting),
        (queries.find(index, trigger="silver"), render.found),
        (queries.similar(index, first), render.similar),
        (queries.diff(index, index), render.diff),
    ]
    for answer, to_text in answers:
        assert json.loads(json.dumps(answer.to_json(), allow_nan=False)) == answer.to_json()
        assert "<table>" in answer._repr_html_() and len(to_text(answer).splitlines()) > 2  # type: ignore[operator]


def test_layers_where_no_cell_shares_a_trigger_are_passed_over(studied_index: Index) -> None:
    """The index of ReLU cells has such a layer for some cell."""
    for place, layer in enumerate(studied_index.cells.layers):
        for row in range(layer.n_cells):
            rows = similar(studied_index, str(studied_index.cells.cell_id(place, row)), limit=10_000).rows
            if len({str(one.cell).split(".")[0] for one in rows}) < studied_index.n_layers:
                return
    pytest.fail("every cell shares triggers with cells of every layer, so this test says nothing")
