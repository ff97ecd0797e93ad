"""What the views of a text give away: rows and boxes of answers that are made by hand."""

import asyncio
from collections.abc import Callable

import pytest

from ffmem.server.explorer import Explorer
from ffmem.server.taken.of_text import (
    ATTENTION_PARTS,
    MAP_PARTS,
    PROMPT_PARTS,
    lens,
    map_full,
    top_cells,
    verdict,
    writers,
)
from ffmem.server.views.attention import AttentionState, AttentionView, MapState, MapView
from ffmem.server.views.prompt import PromptState, PromptView, empty_prompt
from tests.server.files import marks_of, numbers_of, table_of

TEXT = "the old river of the village"


def asked(explorer: Explorer, state: PromptState) -> PromptView:
    return asyncio.run(explorer.model.ask(lambda questions: questions.prompt(state)))


def test_of_a_long_text_the_picture_has_the_end_and_the_rows_have_all(
    explorer_of: Callable[[str], Explorer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ffmem.server.taken.of_text.MAX_DRAWN", 5)
    view = asked(explorer_of("gpt2"), PromptState("the old river of the old village"))
    assert view.lens is not None
    n, n_layers = len(view.lens.tokens), len(view.lens.layers)
    assert n > 5
    taken = lens(view)
    assert len(table_of(taken.file("csv"))) == n * n_layers
    numbers = [int(one["column"].split(" ")[0]) for one in marks_of(taken.file("svg"))]
    assert numbers == list(range(n - 5, n)) * n_layers


def test_writers_and_the_cells_that_count_are_those_of_the_page(explorer_of: Callable[[str], Explorer]) -> None:
    view = asked(explorer_of("gpt2"), PromptState(TEXT, layer="L1", at=2, change=("L1.3=9",), new=0))
    assert view.writers and view.explanation
    assert [(row["cell"], row["length"]) for row in writers(view).rows] == [
        (one.cell, one.norm) for one in view.writers
    ]
    rows = top_cells(view).rows
    assert [(row["cell"], row["share"]) for row in rows] == [
        (one.cell.cell, one.share) for one in view.explanation.cells
    ]
    assert any(row["share_changed"] is not None for row in rows)
    said = verdict(view)
    assert said.rows[0]["number"] == view.explanation.probability and view.after is not None
    assert said.rows[0]["number_changed"] == view.after.probability
    shown = [one.share for one in (*view.verdict.parts, *view.verdict.opposed)] if view.verdict else []
    assert numbers_of(marks_of(said.file("svg")), "number") == [(one,) for one in shown]


def test_a_layer_in_full_adds_up_to_the_layer(explorer_of: Callable[[str], Explorer]) -> None:
    explorer = explorer_of("gpt2")
    view: MapView = asyncio.run(explorer.model.ask(lambda questions: questions.map(MapState(TEXT))))
    assert view.shown is not None and view.shown.attention.logit is not None
    rows = map_full(view).rows
    assert sum(row["share_of_score"] for row in rows) == pytest.approx(
        view.shown.attention.logit + (view.shown.feed_forward.logit or 0), abs=1e-4
    )
    for row in rows[: len(view.shown.memories)]:
        parts = [float(one.rpartition(": ")[2]) for one in row["fired_by"].split("; ")]
        memory = next(one for one in view.shown.memories if one.cell.cell == row["cell"])
        assert parts == list(memory.fired_by)


def test_without_an_answer_there_is_nothing_to_take() -> None:
    for prompt in PROMPT_PARTS.values():
        assert prompt(empty_prompt(PromptState(), True)).rows == ()
    for on_map in MAP_PARTS.values():
        assert on_map(MapView(MapState(), ())).rows == ()
    for attention in ATTENTION_PARTS.values():
        assert attention(AttentionView(AttentionState(), False, ())).rows == ()
