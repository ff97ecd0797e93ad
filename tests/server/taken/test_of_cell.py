"""What a cell's page gives away: the numbers of the arrays, for each sign."""

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import ffmem
from ffmem import Index
from ffmem.server.explorer import Explorer
from ffmem.server.taken.of_cell import density, glance, names, patterns, strength, tried, triggers, value
from ffmem.server.views.cell import CellView, cell_view
from ffmem.store.keys import NO_TOKEN
from ffmem.store.label_rows import NewLabel
from tests.server.files import marks_of, numbers_of, table_of


def one_cell(index: Index, name: str) -> CellView:
    return cell_view(Explorer(index), index.cell_id(name), 10_000)


@pytest.mark.parametrize(("family", "sign"), [("gpt2", 1), ("llama", 1), ("llama", -1)])
def test_bins_count_every_sentence_and_every_stored_trigger(
    family: str, sign: int, index_of: Callable[[str], Index]
) -> None:
    index = index_of(family)
    view, arrays = one_cell(index, "L1.7"), index.layer(1)
    found = density(view, "sentences", sign)
    assert sum(row["n"] for row in found.rows) == view.cell.statistics.n_sentences
    stored = np.asarray(arrays.trigger_token[7, (1 - sign) // 2]) != NO_TOKEN
    assert sum(row["n_triggers"] for row in found.rows) == stored.sum()
    assert numbers_of(marks_of(found.file("svg")), "n", "n_triggers") == [
        (row["n"], row["n_triggers"]) for row in found.rows
    ]
    edges = [row["from"] for row in found.rows[1:]]
    assert edges == [row["to"] for row in found.rows[:-1]] == sorted(edges)  # no gap, none twice


def test_triggers_are_the_slots_of_the_arrays(index_of: Callable[[str], Index]) -> None:
    index = index_of("llama")
    view, arrays = one_cell(index, "L1.7"), index.layer(1)
    for number, sign in enumerate((1, -1)):
        rows = [row for row in triggers(view).rows if row["sign"] == sign]
        filled = np.asarray(arrays.trigger_token[7, number]) != NO_TOKEN
        assert [row["coefficient"] for row in rows] == np.asarray(arrays.trigger_coefficient[7, number])[
            filled
        ].tolist()
        assert all(row["token"].strip() in row["text"] or "\\x" in row["token"] for row in rows)


def test_both_ends_of_the_value(index_of: Callable[[str], Index]) -> None:
    index = index_of("gpt2")
    found, arrays = value(one_cell(index, "L1.7")), index.layer(1)
    ids = [row["token_id"] for row in found.rows]
    assert ids == [*np.asarray(arrays.promoted_ids[7]).tolist(), *np.asarray(arrays.suppressed_ids[7]).tolist()]
    top = [row["score"] for row in found.rows if row["end"] == "promotes"]
    assert top == sorted(top, reverse=True)


def test_a_glance_counts_what_it_fires_on(index_of: Callable[[str], Index]) -> None:
    view = one_cell(index_of("gpt2"), "L1.7")
    fired = [one.tokens[one.position] for one in view.cell.triggers]
    rows = [row for row in glance(view).rows if row["side"] == "fires on"]
    assert rows and all(row["n"] == fired.count(row["token"]) for row in rows)


def test_strata_and_patterns_are_those_of_the_page(explained: Explorer, sampled_of: Callable[[str], Index]) -> None:
    view = cell_view(explained, explained.index.cell_id("L1.3"), 5)
    rows = patterns(view).rows
    assert (
        [(row["text"], row["n_triggers"], row["auc"]) for row in rows]
        == [(one.text, len(one.triggers), one.auc) for one in view.patterns or ()]
        != []
    )
    sampled = one_cell(sampled_of("gpt2"), "L1.7")
    found = strength(sampled).rows
    assert sum(row["n_positions"] for row in found) == sampled.cell.statistics.n_tokens


def test_what_was_said_has_the_newest_first(explained_index: Index, tmp_path: Path) -> None:
    shutil.copytree(explained_index.folder, tmp_path / "index")
    index = ffmem.open_index(tmp_path / "index")
    cell = index.cell_id("L1.7")
    for text in ("water", "rivers"):
        index.names.add([NewLabel(cell, 1, "human", text, author="ann", tags=("wet", "old"))])
    rows = table_of(names(one_cell(index, "L1.7")).file("csv"))
    found = [(row["label"], row["author"], row["tags"], row["is_current"]) for row in rows]
    assert found == [("rivers", "ann", "wet old", "True"), ("water", "ann", "wet old", "False")]


def test_a_tried_text_has_a_row_for_each_token(explorer_of: Callable[[str], Explorer]) -> None:
    explorer = explorer_of("gpt2")
    cell = explorer.index.cell_id("L1.7")
    found = asyncio.run(explorer.model.ask(lambda questions: questions.try_text(cell, "the old river")))
    taken = tried(found)
    assert [row["coefficient"] for row in taken.rows] == [one.coefficient for one in found.tokens]
    assert numbers_of(marks_of(taken.file("svg")), "number") == [(one.coefficient,) for one in found.tokens]
