"""Counterparts in another model, planted: all cells, in other places; and none."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from ffmem import Index, InputError, load_model
from ffmem.analyses.updates.positions import Positions, positions_of_text
from ffmem.analyses.updates.universal import coefficients_of, counterparts, same_tokens
from ffmem.models.tracing import trace
from ffmem.models.transformer import Transformer

Folder = Callable[[str], Path]


@pytest.fixture
def positions(index_of: Callable[[str], Index]) -> Positions:
    index = index_of("gpt2")
    return positions_of_text(index.text, index.text.n_sentences, index.text.n_all_sentences, 120)


def standardised(seed: int, n_cells: int, n: int = 300) -> torch.Tensor:
    values = torch.randn(n_cells, n, generator=torch.Generator().manual_seed(seed))
    values -= values.mean(1, keepdim=True)
    return values / values.norm(dim=1, keepdim=True)


@pytest.mark.parametrize("signs", [False, True])
def test_planted_counterparts_are_found(signs: bool) -> None:
    own = [standardised(0, 90), standardised(1, 100)]
    order = np.random.default_rng(0).permutation(100)
    sign = -1.0 if signs else 1.0
    other = [standardised(7, 25), own[1][order] * sign, own[0] * sign]
    cells = [np.arange(90), np.arange(100)]
    found = counterparts(own, cells, other, signs=signs)
    for one in found:
        assert one.best == pytest.approx(1, abs=1e-5) and one.random.max() < 0.5 and (one.excess > 0.5).all()
    assert (found[0].best_layer == 2).all() and found[0].best_cell.tolist() == list(range(90))
    assert (found[1].best_layer == 1).all() and order[found[1].best_cell].tolist() == list(range(100))
    if signs:  # the contrary of a cell is another one where signs mean something
        assert not any((one.excess > 0.5).any() for one in counterparts(own, cells, other, signs=False))


def test_unrelated_models_share_nothing() -> None:
    own, other = [standardised(0, 40)], [standardised(1, 40), standardised(2, 40)]
    (found,) = counterparts(own, [np.arange(40)], other, signs=False)
    assert np.abs(found.excess).max() < 0.2
    by_numpy = np.stack([one.numpy() @ own[0].numpy().T for one in other]).max((0, 1))
    assert found.best == pytest.approx(by_numpy, abs=1e-5)


def permuted(model: Transformer, layer: int) -> np.ndarray:
    """The same model with the cells of a layer in another order."""
    order = np.random.default_rng(layer).permutation(model.facts.d_ff)
    module = model.layer(layer)
    with torch.no_grad():
        for rows in (module.gate_keys(), module.up_keys(), module.values()):
            rows.copy_(rows[torch.from_numpy(order)].clone())
    return order


def test_a_model_with_its_cells_in_another_order_has_them_all(tiny_folder: Folder, positions: Positions) -> None:
    model, other = load_model(tiny_folder("llama")), load_model(tiny_folder("llama"))
    orders = [permuted(other, layer) for layer in range(3)]
    cells = [np.array([3, 40]), np.arange(48), np.array([7])]
    own, theirs = (coefficients_of(one, positions, some, bos="no") for one, some in ((model, cells), (other, None)))
    found = counterparts(own, cells, theirs, signs=True)
    for layer, one in enumerate(found):
        assert one.best == pytest.approx(1, abs=1e-4) and (one.best_layer == layer).all()
        assert orders[layer][one.best_cell].tolist() == cells[layer].tolist()
    same_tokens(model, other)


@pytest.mark.parametrize("variant", ["wikilm", "mixtral"])
def test_coefficients_are_those_of_each_prefix_alone(variant: str, tiny_folder: Folder, positions: Positions) -> None:
    """Standardised over the positions; a cell that never fires is a row of zeros."""
    model = load_model(tiny_folder(variant))
    few = positions.some(12, seed=0)
    found = coefficients_of(model, few, None, bos="no")
    alone = []
    for number in range(len(few)):
        states = trace(model, torch.from_numpy(few.prefixes.tokens(number))[None])
        alone.append([state.coefficients[0, -1].double().numpy() for state in states])
    for layer, rows in enumerate(found):
        values = np.stack([one[layer] for one in alone], 1)
        away = values - values.mean(1, keepdims=True)
        lengths = np.linalg.norm(away, axis=1, keepdims=True)
        expected = np.where(lengths > 1e-9, away / np.maximum(lengths, 1e-9), 0)
        assert rows.numpy() == pytest.approx(expected, abs=1e-3)
        assert not rows[torch.from_numpy((values == 0).all(1))].any()


def test_another_tokenizer_is_refused(tiny_folder: Folder) -> None:
    with pytest.raises(InputError, match=r"the tokenizer of .*bert is not that of .*llama"):
        same_tokens(load_model(tiny_folder("llama")), load_model(tiny_folder("bert")))
