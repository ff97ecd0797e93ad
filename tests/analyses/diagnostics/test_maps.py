"""Maps of texts, their mean, and how far rows are apart, against loops."""

from collections.abc import Callable
from math import log
from pathlib import Path

import pytest
import torch

from ffmem import load_model
from ffmem.analyses.attention.maps import attention_maps
from ffmem.analyses.diagnostics.maps import maps_of, mean_maps, row_jsd, value_norms
from ffmem.analyses.distances import jsd

TEXTS = [torch.tensor([5, 9, 12, 7]), torch.tensor([8, 5, 9, 40, 3, 6])]


def test_maps_are_those_of_the_study_of_norms(tiny_folder: Callable[[str], Path]) -> None:
    model = load_model(tiny_folder("llama"))
    text = "the quick brown fox"
    wanted = attention_maps(model, text)
    found = maps_of(model, torch.tensor([token.token_id for token in wanted.layers[0].queries]))
    for layer in wanted.layers:
        assert torch.allclose(found[layer.layer].weights, torch.from_numpy(layer.weights).float(), atol=1e-6)
        assert torch.allclose(found[layer.layer].norms, torch.from_numpy(layer.transformed_norms).float(), rtol=1e-4)
        rows = found[layer.layer].norm_rows
        assert torch.allclose(rows.sum(-1), torch.ones(rows.shape[:2]))


def test_the_mean_map_is_a_mean_position_by_position(tiny_folder: Callable[[str], Path]) -> None:
    model = load_model(tiny_folder("gpt2"))
    found = mean_maps(model, TEXTS, 8)
    each = [maps_of(model, ids)["L1"].weights for ids in TEXTS]
    allowed = torch.ones(8, 8, dtype=torch.bool).tril()
    mean = found.of("L1", allowed)
    assert found.n_texts.tolist() == [2, 2, 2, 2, 1, 1, 0, 0]
    assert torch.allclose(mean[:, 3, :4], (each[0][:, 3] + each[1][:, 3, :4]) / 2, atol=1e-6)
    assert torch.allclose(mean[:, 5, :6], each[1][:, 5], atol=1e-6)
    assert torch.allclose(mean[:, 7], torch.full((4, 8), 1 / 8))  # no text is so long


def test_rows_are_as_far_apart_as_the_definition_says() -> None:
    rows = torch.tensor([[0.2, 0.8, 0.0], [1.0, 0.0, 0.0], [0.0, 0.5, 0.5]])
    for first in rows:
        for other in rows:
            found = float(row_jsd(first, other))
            assert found == pytest.approx(float(row_jsd(other, first))) and 0 <= found <= log(2) + 1e-6
            assert found == pytest.approx(float(jsd(first.double().log(), other.double().log())), abs=1e-6)
    assert float(row_jsd(rows[1], rows[2])) == pytest.approx(log(2), abs=1e-6) and float(row_jsd(rows[0], rows[0])) == 0


def test_norms_are_lengths_of_what_a_head_would_add(tiny_folder: Callable[[str], Path]) -> None:
    layer = load_model(tiny_folder("gpt2")).attention_layers[0]
    values = torch.randn(3, layer.n_heads, layer.d_head, generator=torch.Generator().manual_seed(0))
    found = value_norms(layer, values)
    assert found[2, 1] == pytest.approx(float((values[1, 2] @ layer.output_matrix()[2]).norm()), rel=1e-5)
