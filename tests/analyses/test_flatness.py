"""How flat a value's distribution is, against a plain softmax of its scores."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import ffmem
from ffmem import Index
from ffmem.analyses import flatness as module
from ffmem.analyses.flatness import flatness, layer_flatness


@pytest.mark.parametrize("family", ["gpt2", "wikilm"])
def test_it_is_that_of_a_plain_softmax(
    index_of: Callable[[str], Index], tiny_folder: Callable[[str], Path], family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    index, model = index_of(family), ffmem.load_model(str(tiny_folder(family)))
    monkeypatch.setattr(module, "_NUMBERS", 3 * model.facts.d_vocab)  # three rows at a time
    projection = index.manifest.layer_projections[1]
    scores = model.project(model.values(1).detach().float(), projection)
    shares = torch.softmax(scores.double(), 1).numpy()
    even = np.prod(shares**-shares, axis=1)
    np.testing.assert_allclose(layer_flatness(model, index, 1), even, rtol=1e-4)
    for row in (0, 5):
        found = flatness(model, index, index.cell_id(f"L1.{row}"))
        assert found.even_tokens == pytest.approx(even[row], rel=1e-4) and found.n_tokens == shares.shape[1]
        assert found.top_mass == pytest.approx(np.sort(shares[row])[-10:].sum(), rel=1e-4)
        # cells whose values are as flat to rounding may be told either way
        least, most = (np.mean(even < even[row] * (1 + off)) for off in (-1e-5, 1e-5))
        assert found.n_compared == len(even) and least <= found.quantile <= most


def test_of_many_cells_some_are_compared(
    index_of: Callable[[str], Index], tiny_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    index, model = index_of("gpt2"), ffmem.load_model(str(tiny_folder("gpt2")))
    whole = layer_flatness(model, index, 1)
    monkeypatch.setattr(module, "_WORK", 2 * model.facts.d_vocab * model.facts.d_model * 10)
    some = layer_flatness(model, index, 1)
    np.testing.assert_allclose(some, whole[::5], rtol=1e-6)  # 48 cells, at most 10 of them
    found = flatness(model, index, index.cell_id("L1.1"), some)
    assert found.n_compared == 10 and found.even_tokens == pytest.approx(whole[1], rel=1e-6)
