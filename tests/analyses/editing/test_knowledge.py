"""Knowledge cells against gradients by finite differences, and a fact that is planted in one cell."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from ffmem import load_model
from ffmem.analyses.editing.asking import asked
from ffmem.analyses.editing.knowledge import attributions, knowledge_cells
from ffmem.analyses.editing.options import EditOptions
from ffmem.models.transformer import Transformer
from tests.analyses.editing.conftest import PLANTED_CELL, PLANTED_OLD, PLANTED_PROMPT

PROMPT = "the silver river of the"


@pytest.mark.parametrize("family", ["gpt2", "llama", "mixtral"])
def test_attributions_are_sums_of_slopes_measured_by_small_steps(
    family: str, tiny_folder: Callable[[str], Path]
) -> None:
    """In float64, by plain passes in which one coefficient is a little larger or smaller."""
    model = load_model(tiny_folder(family))
    model.module.double()
    place, n_steps, step = 0, 4, 1e-5
    row = asked(model, PROMPT, "winter")
    ids, at, token = torch.tensor([row.ids[: row.at[0] + 1]]), row.at[0], row.targets[0]
    seen: list[torch.Tensor] = []
    with torch.no_grad(), model.watch_coefficients(lambda _, m: seen.append(m.clone()), layers=[place]):
        model.forward(ids)
    own = seen[0][0, at].double()
    some = own.abs().argsort(descending=True)[:3].tolist()

    def probability(coefficients: torch.Tensor) -> float:
        def change(layer: int, m: torch.Tensor) -> torch.Tensor | None:
            if layer != place:
                return None
            m = m.clone()
            m[0, at] = coefficients.to(m.dtype)
            return m

        with torch.no_grad(), model.change_coefficients(change):
            return float(model.module(ids).logits[0, at].double().softmax(-1)[token])

    found = attributions(model, place, row, n_steps)
    for cell in some:
        total = 0.0
        for number in range(1, n_steps + 1):
            up, down = own * number / n_steps, own * number / n_steps
            size = step if family == "gpt2" else 2e-2  # norms of the others compute in float32
            up[cell] += size
            down[cell] -= size
            total += (probability(up) - probability(down)) / (2 * size)
        assert float(found[cell]) == pytest.approx(float(own[cell]) * total / n_steps, rel=2e-2, abs=1e-7)


def test_a_fact_planted_in_one_cell_is_found_there_and_nowhere_else(planted: Transformer) -> None:
    rows = [asked(planted, PLANTED_PROMPT, PLANTED_OLD)]
    assert knowledge_cells(planted, rows, EditOptions(method="knowledge")) == [PLANTED_CELL]
    place, _ = PLANTED_CELL
    other = EditOptions(method="knowledge", layer=1 - place)
    assert knowledge_cells(planted, rows, other) == []


def test_a_cell_has_to_be_found_for_more_than_half_of_the_prompts(planted: Transformer) -> None:
    """Where the cell is against the answer, its attribution is below 0 and nothing is found."""
    rows = [asked(planted, PLANTED_PROMPT, answer) for answer in (PLANTED_OLD, "the", "quick")]
    alone = [bool(knowledge_cells(planted, [row], EditOptions(method="knowledge"))) for row in rows]
    assert alone[0]
    found = knowledge_cells(planted, rows, EditOptions(method="knowledge"))
    assert bool(found) == (sum(alone) >= 2)
