"""Where cells are active, against each sentence alone; planted cells; and mixtures."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from ffmem import Index, load_model
from ffmem.analyses.sparsity.active import LayerActive, active_cells
from ffmem.analyses.sparsity.stretch import stretch_of
from ffmem.models.transformer import Transformer


def bits(layer: LayerActive) -> np.ndarray:
    return np.concatenate([some for _, some in layer.blocks()], axis=1)


def alone(model: Transformer, sentences: tuple[np.ndarray, ...], skip: int) -> list[np.ndarray]:
    """Coefficients of each layer, a sentence at a time."""
    before, after = model.special_tokens("auto")
    found: list[list[np.ndarray]] = [[] for _ in model.cells.layers]
    for own in sentences:
        ids = torch.tensor([[*before, *own.tolist(), *after]])

        def keep(place: int, m: torch.Tensor, n: int = len(own)) -> None:
            found[place].append(m[0, len(before) + skip : len(before) + n].float().numpy().copy())

        with torch.inference_mode(), model.watch_coefficients(keep):
            model.forward(ids)
    return [np.concatenate(one) for one in found]


@pytest.mark.parametrize("family", ["opt", "llama", "bert", "mixtral", "t5"])
def test_bits_and_energies_are_those_of_each_sentence_alone(family: str, index_of: Callable[[str], Index]) -> None:
    index, model = index_of(family), load_model(index_of(family).manifest.identity.model.source)
    text = stretch_of(index.text, (0, index.text.n_sentences), 150, skip_first=1, seed=1)
    limits = None if family == "opt" else [0.02] * len(model.cells.layers)
    found = active_cells(model, text, "auto", limits)
    for place, (layer, m) in enumerate(zip(found, alone(model, text.tokens, 1), strict=True)):
        sizes = np.abs(m) * model.values(place).float().norm(dim=1).numpy()
        close = np.abs(m if limits is None else sizes - 0.02) < 1e-5
        expected = m > 0 if limits is None else sizes > 0.02
        assert bits(layer).shape == m.shape and ((bits(layer) == expected) | close).all()
        assert 0 < expected.mean() < 1
        energy = sizes**2
        share = energy / energy.sum(1, keepdims=True)
        assert layer.largest_share == pytest.approx(share.max(0), abs=1e-4)
        ordered = np.sort(share, axis=1)[:, ::-1].cumsum(1)
        fewest = 1 + (ordered < 0.9).sum(1)
        assert np.abs(layer.n_strongest - fewest).max() <= 1 and (layer.n_strongest == fewest).mean() > 0.95
        assert layer.balance == pytest.approx(np.where(expected, m, 0).sum(0), abs=2e-3)


def test_it_is_known_which_experts_saw_what(index_of: Callable[[str], Index]) -> None:
    index, model = index_of("mixtral"), load_model(index_of("mixtral").manifest.identity.model.source)
    text = stretch_of(index.text, (0, index.text.n_sentences), 120)
    for place, layer in enumerate(active_cells(model, text, "auto")):
        assert layer.seen is not None
        assert (layer.seen.sum(1) == model.module.config.num_experts_per_tok).all()
        group = layer.n_cells // layer.seen.shape[1]
        of_expert = bits(layer).reshape(len(text), -1, group).any(2)
        assert (of_expert <= layer.seen).all() and (of_expert == layer.seen).mean() > 0.99
        assert layer.n_seen.tolist() == np.repeat(layer.seen.sum(0), group).tolist()  # type: ignore[union-attr]
        assert place < len(model.cells.layers)


def test_counts_of_an_index_are_those_of_its_whole_text(index_of: Callable[[str], Index]) -> None:
    """The pass that builds an index and this one agree, but where rounding decides."""
    index = index_of("opt")
    model = load_model(index.manifest.identity.model.source)
    text = stretch_of(index.text, (0, index.text.n_sentences), 10**9, skip_first=index.manifest.options.skip_first)
    for place, layer in enumerate(active_cells(model, text, "auto")):
        own, arrays = bits(layer), index.layer(place)
        assert len(own) == arrays.counts[0, 0]
        assert np.abs(own.sum(0, dtype=np.int64) - arrays.n_active).max() <= 1
        sentences = np.maximum.reduceat(own, text.starts[:-1], axis=0).sum(0, dtype=np.int64)
        assert np.abs(sentences - arrays.n_active_sentences).max() <= 1


def test_planted_cells_are_dead_or_always_active(
    tiny_folder: Callable[[str], Path], index_of: Callable[[str], Index]
) -> None:
    model, text = load_model(tiny_folder("opt")), index_of("opt").text
    with torch.no_grad():
        bias = model.key_bias(1)
        assert bias is not None
        bias[0], bias[1] = -1e9, 1e9
    active = active_cells(model, stretch_of(text, (0, text.n_sentences), 100), "auto")[1]
    assert bits(active)[:, 0].max() == 0 and bits(active)[:, 1].min() == 1
