"""Cells of a passage: of a passage that one cell carries, and against one pass for each."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import ffmem
from ffmem import InputError
from ffmem.analyses.intervene import parse_change
from ffmem.analyses.memorised.cells import (
    METHODS,
    Method,
    Passage,
    alike,
    bounds_of,
    cell_scores,
    loss_of,
    top_cells,
    without,
)  # fmt: skip
from ffmem.models.transformer import Transformer
from tests.fixtures.planted_memory import PASSAGE, PASSAGE_CELL, ids_of

CARRIED = Passage(ids_of(PASSAGE), 1)


def loss(model: Transformer, passage: Passage) -> float:
    with torch.no_grad():
        return float(loss_of(model, passage)[0][0])


@pytest.mark.parametrize("method", [one for one in METHODS if one != "chance"])
def test_a_cell_that_carries_a_passage_alone_is_found_first(method: Method, planted_memory: Transformer) -> None:
    scores = cell_scores(planted_memory, CARRIED, method)
    assert len(scores) == 24 and int(scores.argmax()) == PASSAGE_CELL == int(top_cells(scores, 1)[0])


def test_taking_it_out_restores_the_loss(planted_memory: Transformer, planted_memory_folder: Path) -> None:
    before = loss(planted_memory, CARRIED)
    with without(planted_memory, np.array([PASSAGE_CELL])):
        restored = loss(planted_memory, CARRIED)
    assert loss(planted_memory, CARRIED) == before
    never = ffmem.load_model(planted_memory_folder)
    with torch.no_grad():
        never.module.transformer.h[1].mlp.c_proj.weight[5] = 0  # the same model, without that value
    assert restored == pytest.approx(loss(never, CARRIED), rel=1e-6) and restored > before + 0.5
    other = Passage(ids_of("one two three"), 1)
    own = loss(planted_memory, other)
    with without(planted_memory, np.array([PASSAGE_CELL])):
        assert loss(planted_memory, other) == pytest.approx(own, rel=1e-6)


@pytest.mark.parametrize("family", ["gpt2", "llama", "wikilm", "mixtral", "gemma2"])
def test_zero_out_is_what_each_cell_costs_by_itself(family: str, tiny_folder: Callable[[str], Path]) -> None:
    model = ffmem.load_model(tiny_folder(family))
    ids = np.random.default_rng(1).integers(2, model.facts.d_vocab, 7).astype(np.int64)
    passage = Passage(ids, 3)
    scores = cell_scores(model, passage, "zero-out")
    before, _ = model.special_tokens("auto")
    row = torch.tensor([[*before, *ids.tolist()]])

    def plainly() -> float:
        with torch.no_grad():
            log_p = model.module(row).logits[0].double().log_softmax(-1)
        first = len(before) + 3
        return float(-np.mean([float(log_p[at - 1, row[0, at]]) for at in range(first, row.shape[1])]))

    whole, bounds = plainly(), bounds_of(model)
    for cell in [0, bounds[1] - 1, bounds[1], bounds[-1] - 1, int(scores.argmax())]:
        layer = int(np.searchsorted(bounds, cell, "right")) - 1
        name = model.cells.cell_id(layer, cell - bounds[layer])
        change = parse_change(model, f"{name}*0")
        place, at = model.cells.place(change.cell)
        with model.change_coefficients(
            lambda number, m, place=place, at=at: m.index_fill(2, torch.tensor([at]), 0.0) if number == place else None
        ):
            alone = plainly() - whole
        assert scores[cell] == pytest.approx(alone, abs=2e-5)


@pytest.mark.parametrize("family", ["gpt2", "llama", "wikilm"])  # experts are chosen anew on the way, in steps
def test_integrated_gradients_add_up_to_the_loss_without_any_cell(
    family: str, tiny_folder: Callable[[str], Path]
) -> None:
    model = ffmem.load_model(tiny_folder(family))
    passage = Passage(np.random.default_rng(2).integers(2, model.facts.d_vocab, 6).astype(np.int64), 2)
    scores = cell_scores(model, passage, "integrated gradients")
    with without(model, np.arange(model.cells.n_cells)):
        nothing = loss(model, passage)
    whole = loss(model, passage)
    assert scores.sum() == pytest.approx(nothing - whole, rel=0.05, abs=5e-3)
    slope = cell_scores(model, passage, "gradient")
    cell = int(np.abs(slope).argmax())
    layer = int(np.searchsorted(bounds_of(model), cell, "right")) - 1
    row = cell - bounds_of(model)[layer]

    def less(place: int, m: torch.Tensor) -> torch.Tensor | None:
        factor = torch.ones(m.shape[-1])
        factor[row] = 0.98
        return m * factor if place == layer else None

    with model.change_coefficients(less):
        assert (loss(model, passage) - whole) / 0.02 == pytest.approx(slope[cell], rel=0.1, abs=5e-3)


def test_activation_is_the_mean_length_of_what_a_cell_adds(planted_memory: Transformer) -> None:
    ids = torch.tensor([[0, *CARRIED.ids.tolist()]])
    seen: dict[int, torch.Tensor] = {}
    with torch.no_grad(), planted_memory.watch_coefficients(lambda place, m: seen.setdefault(place, m.clone())):
        planted_memory.module(ids)
    expected = [
        float(sum(abs(float(seen[place][0, at, row])) for at in range(1, 6)) / 5)
        * float(planted_memory.values(place)[row].norm())
        for place in range(2)
        for row in range(12)
    ]
    np.testing.assert_allclose(cell_scores(planted_memory, CARRIED, "activation"), expected, rtol=1e-5)


def test_chance_is_an_order_by_its_seed(planted_memory: Transformer) -> None:
    first, again, other = (cell_scores(planted_memory, CARRIED, "chance", seed=seed) for seed in (0, 0, 1))
    assert first.tolist() == again.tolist() != other.tolist() and sorted(first) == list(range(24))


def test_stand_ins_are_others_of_the_layer_that_are_as_active() -> None:
    activation = np.concatenate([np.arange(100.0), np.arange(100.0)])
    cells = np.array([10, 11, 150])
    found = alike(activation, cells, [0, 100, 200])
    assert len(set(found.tolist()) | set(cells.tolist())) == 6
    assert all(abs(activation[one] - activation[cell]) <= 7 for one, cell in zip(found, cells, strict=True))
    assert [one >= 100 for one in found.tolist()] == [False, False, True]


def test_a_passage_with_nothing_to_recall_is_refused(planted_memory: Transformer) -> None:
    with pytest.raises(InputError, match="from token 3 on"):
        Passage(ids_of("the door is"), 3)
    with pytest.raises(InputError, match="has nothing before the one that is to be recalled"):
        cell_scores(planted_memory, Passage(ids_of("the"), 0), "gradient", bos="no")
