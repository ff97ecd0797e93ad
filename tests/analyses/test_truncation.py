"""Layers of k cells against sorted lists, every subset, and hooks of plain torch on the model's own call."""

from collections.abc import Callable
from itertools import combinations
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given

import ffmem
from ffmem import Index
from ffmem.analyses.prefixes import Continued
from ffmem.analyses.truncation import (
    ORDERS,
    Order,
    dropped_sums,
    kept,
    numbers_of_cells,
    order_scores,
    truncate_all_layers,
    truncate_one_layer,
)
from ffmem.analyses.updates.positions import Positions, positions_of_text
from ffmem.models.transformer import Transformer

DOWN = {"llama": "model.layers.{}.mlp.down_proj", "wikilm": "model.layers.{}.fc2", "mixtral": ""}


def chance() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def scored(order: Order, m: list[float], values: np.ndarray) -> list[float]:
    if order == "coefficient":
        return m
    if order == "contribution":
        return [abs(one) * float(np.linalg.norm(v)) for one, v in zip(m, values, strict=True)]
    y = sum(one * v for one, v in zip(m, values, strict=True))
    return [float(one * v @ y) for one, v in zip(m, values, strict=True)]


@given(st.lists(st.sampled_from([-2.0, -0.5, 0.0, 0.0, 0.25, 1.0, 3.0]), min_size=1, max_size=12), st.integers(0, 99))
def test_the_cells_behind_the_first_are_summed(m: list[float], seed: int) -> None:
    values = np.random.default_rng(seed).standard_normal((len(m), 3)).astype(np.float32)
    lengths = torch.from_numpy(np.linalg.norm(values, axis=1))
    ks = numbers_of_cells(len(m))
    for order in ORDERS[:3]:
        found = dropped_sums(order, torch.tensor(m), torch.from_numpy(values), lengths, ks, chance())
        scores = scored(order, m, values)
        for k, row in zip(ks, found, strict=True):
            edge = sorted(scores, reverse=True)[k : k + 1]
            if edge and sum(abs(one - edge[0]) < 1e-5 for one in scores) > 1:
                continue  # equal scores: which of them goes is a matter of rounding
            gone = sorted(range(len(m)), key=lambda i: -scores[i])[k:]
            assert row.tolist() == pytest.approx(sum((m[i] * values[i] for i in gone), np.zeros(3)).tolist(), abs=1e-5)
        assert not found[-1].any()  # to the bit


def test_numbers_of_cells() -> None:
    assert numbers_of_cells(576) == (0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 576)
    assert numbers_of_cells(4) == (0, 1, 2, 4) and numbers_of_cells(1) == (0, 1)


def test_equal_scores_stand_as_cells_do() -> None:
    assert kept(torch.tensor([1.0, 2.0, 1.0, 1.0]), 2).tolist() == [True, True, False, False]


def test_chance_takes_active_cells_first() -> None:
    m = torch.zeros(40)
    m[::4] = 1
    scores = order_scores("chance", m, torch.zeros(40, 2), torch.zeros(40), chance())
    assert set(kept(scores, 10).nonzero()[:, 0].tolist()) == set(range(0, 40, 4))


def test_where_values_are_orthogonal_contribution_is_the_best_order() -> None:
    rng = np.random.default_rng(3)
    m, lengths = rng.standard_normal(7).astype(np.float32), np.abs(rng.standard_normal(7)).astype(np.float32)
    values = torch.diag(torch.from_numpy(lengths))
    found = dropped_sums("contribution", torch.from_numpy(m), values, torch.from_numpy(lengths), range(8), chance())
    energy = (m * lengths) ** 2
    for k in range(8):
        best = min(float(sum(energy[list(gone)])) for gone in combinations(range(7), 7 - k))
        assert float(found[k].square().sum()) == pytest.approx(best, rel=1e-5, abs=1e-7)


def some_positions(index: Index) -> Positions:
    return positions_of_text(index.text, index.text.n_sentences, index.text.n_all_sentences, 12, seed=1)


def losses(model: Transformer, positions: Positions, number: int, keep: Any, place: int | None) -> torch.Tensor:
    """Log-probabilities after a prefix; in one layer at its last token, or in all at all."""
    before, _ = model.special_tokens("auto")
    ids = torch.tensor([[*before, *positions.prefixes.tokens(number).tolist()]])

    def hook(layer: int) -> Any:
        def change(_: Any, inputs: Any) -> Any:
            m = inputs[0].clone()
            rows = m.view(-1, m.shape[-1])
            for row in range(len(rows)) if place is None else [len(rows) - 1]:
                rows[row] = rows[row] * keep(layer, rows[row])
            return (m,)

        return change

    layers = range(model.facts.n_layers) if place is None else [place]
    path = DOWN[model.facts.family]
    handles = [model.module.get_submodule(path.format(i)).register_forward_pre_hook(hook(i)) for i in layers]
    try:
        with torch.no_grad():
            return model.module(ids).logits[0, -1].float().log_softmax(-1)
    finally:
        for handle in handles:
            handle.remove()


def first_k(model: Transformer, order: Order, k: int) -> Callable[[int, torch.Tensor], torch.Tensor]:
    def keep(layer: int, m: torch.Tensor) -> torch.Tensor:
        scores = scored(order, m.tolist(), model.values(layer).detach().numpy())
        mask = torch.zeros(len(m))
        mask[sorted(range(len(m)), key=lambda i: (-scores[i], i))[:k]] = 1
        return mask

    return keep


@pytest.mark.parametrize("family", ["llama", "wikilm"])
def test_equals_hooks_on_the_models_own_call(family: str, index_of: Callable[[str], Index], tiny_folder: Any) -> None:
    index, model = index_of(family), ffmem.load_model(tiny_folder(family))
    positions = some_positions(index)
    together = truncate_all_layers(model, positions, bos="auto")
    alone = truncate_one_layer(model, Continued(positions.prefixes, positions.following), bos="auto")
    ks = numbers_of_cells(max(layer.n_cells for layer in model.facts.layers))
    for number in (0, len(positions) - 1):
        following = int(positions.following[number])
        own = losses(model, positions, number, lambda _, m: torch.ones_like(m), None)
        assert together.loss[number] == pytest.approx(-float(own[following]), abs=1e-5)
        for order in ("coefficient", "contribution"):
            i = ORDERS.index(order)
            for j in (0, 2, len(ks) - 2):
                all_of = losses(model, positions, number, first_k(model, order, ks[j]), None)
                assert together.change[number, i, j] == pytest.approx(
                    float(own[following] - all_of[following]), abs=2e-4
                )
                assert together.divergence[number, i, j] == pytest.approx(
                    float((own.exp() * (own - all_of)).sum()), abs=2e-4
                )
                assert together.same[number, i, j] == (own.argmax() == all_of.argmax())
                one = losses(model, positions, number, first_k(model, order, ks[j]), 1)
                assert alone.change[number, 1, i, j] == pytest.approx(float(own[following] - one[following]), abs=2e-4)
    assert not together.change[:, :, -1].any() and together.same[:, :, -1].all()  # all cells: to the bit
    assert not alone.error[:, :, :, -1].any() and np.allclose(alone.cosine[:, :, :, -1], 1, atol=1e-6)


def test_of_relu_cells_no_more_are_needed_than_are_active(index_of: Callable[[str], Index], tiny_folder: Any) -> None:
    model, positions = ffmem.load_model(tiny_folder("wikilm")), some_positions(index_of("wikilm"))
    found = truncate_one_layer(model, Continued(positions.prefixes, positions.following), bos="auto")
    ks = np.array(numbers_of_cells(max(layer.n_cells for layer in model.facts.layers)))
    enough = ks >= found.n_active[:, :, None]
    assert enough.sum() > 5 and (~enough).sum() > 5
    for number, order in enumerate(ORDERS):
        if order == "along y":
            continue  # cells against the sum of all come last, behind those that are silent
        errors = found.error[:, :, number]
        assert not errors[enough].any()  # to the bit
        if order == "coefficient":
            few = ks < found.n_active[:, :, None]
            assert (errors[few] > 0).all()


def test_a_mixture_keeps_cells_of_all_experts_together(tiny_folder: Any, index_of: Callable[[str], Index]) -> None:
    model = ffmem.load_model(tiny_folder("mixtral"))
    found = truncate_all_layers(model, some_positions(index_of("mixtral")), bos="auto")
    assert not found.change[:, :, -1].any()
    assert np.array_equal(found.change[:, 0, 0], found.change[:, 1, 0])  # no cell is no cell, by whatever order
    assert np.abs(found.change[:, :, 0]).max() > 0
