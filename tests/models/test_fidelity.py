"""Fractions of variance, against numpy on the states that plain hooks see."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from ffmem import load_model
from ffmem.dictionaries import Attachment
from ffmem.models.attached import attach
from ffmem.models.fidelity import measure_fidelity
from tests.families import D_MODEL
from tests.models.dictionaries.making import gemma_scope, mirror


def test_it_is_what_numpy_makes_of_the_same_states(tiny_folder: Callable[[str], Path], tmp_path: Path) -> None:
    model = load_model(str(tiny_folder("gpt2")))
    folder = gemma_scope(tmp_path, **mirror(D_MODEL), threshold=torch.full((2 * D_MODEL,), 0.7))
    attach(model, [Attachment.parse(f"L2=aa@update:{folder}")])
    texts = [torch.tensor([[5, 6, 7, 8]]), torch.tensor([[9, 8]])]
    seen: list[np.ndarray] = []
    handle = model.layer(2).module.mlp.register_forward_hook(lambda _, __, out: seen.append(out[0, 1:].numpy()))
    found = measure_fidelity(model, [((ids, torch.ones_like(ids)), slice(1, None)) for ids in texts])["L2.aa"]
    handle.remove()
    y = np.concatenate(seen).astype(np.float64)
    error = np.square(np.where(np.abs(y) > 0.7, 0.0, y)).sum()
    assert found.n_positions == len(y) == 4
    assert found.normalised_mse == pytest.approx(error / np.square(y).sum(), rel=1e-4)
    assert found.unexplained == pytest.approx(error / np.square(y - y.mean(0)).sum(), rel=1e-4)
    assert found.n_active == pytest.approx((np.abs(y) > 0.7).sum() / 4)
