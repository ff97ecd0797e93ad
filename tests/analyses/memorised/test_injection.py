"""A sentence is put into known cells, found there, and gone afterwards."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import ffmem
from ffmem import InputError
from ffmem.analyses.memorised import injection
from ffmem.analyses.memorised.cells import Passage, cell_scores
from ffmem.analyses.memorised.injection import injected, recall
from ffmem.models.fingerprints import weights_hash


@pytest.mark.parametrize("family", ["gpt2", "wikilm"])
def test_a_sentence_is_learned_by_the_values_of_some_cells_and_they_are_put_back(
    family: str, tiny_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(injection, "ENOUGH", 1.0)  # a tiny model takes long to learn more
    model = ffmem.load_model(tiny_folder(family))
    before = weights_hash(model.module)
    values = [model.values(place).clone() for place in range(model.facts.n_layers)]
    passage = Passage(np.random.default_rng(4).integers(2, model.facts.d_vocab, 5).astype(np.int64), 2)
    with injected(model, passage, 48) as found:
        assert found.after < 1 < 4 < found.before and len(found.cells) == 48
        changed = [model.values(place).ne(old).any(1).numpy() for place, old in enumerate(values)]
        assert set(np.flatnonzero(np.concatenate(changed)).tolist()) <= set(found.cells.tolist())
        by_zero_out = recall(cell_scores(model, passage, "zero-out"), found.cells, 0.1)
        by_chance = np.mean([recall(cell_scores(model, passage, "chance", seed=s), found.cells, 0.1) for s in range(9)])
        assert by_zero_out > 2 * by_chance  # a tenth of all cells can hold less than a third of them
    assert weights_hash(model.module) == before
    assert all(not one.requires_grad or one.grad is None for one in model.module.parameters())


def test_recall_counts_what_is_among_the_first() -> None:
    scores = np.array([5.0, 1.0, 4.0, 3.0, 2.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    assert recall(scores, np.array([0, 1, 2]), 0.2) == pytest.approx(2 / 3)
    assert recall(scores, np.array([0, 1, 2]), 0.5) == 1


def test_experts_are_refused(tiny_folder: Callable[[str], Path]) -> None:
    model = ffmem.load_model(tiny_folder("mixtral"))
    with pytest.raises(InputError, match="it has experts"), injected(model, Passage(np.array([3, 4, 5]), 1), 4):
        pass
