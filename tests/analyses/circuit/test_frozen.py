"""A layer that is held as a linear map gives what the layer itself gave, part by part."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from ffmem import ModelError, load_model
from ffmem.analyses.circuit.frozen import FrozenLayer
from ffmem.analyses.circuit.relevance import run_frozen
from tests.analyses.circuit.test_relevance import TEXT, ids_of

Folder = Callable[[str], Path]


@pytest.mark.parametrize("family", ["gpt2", "gemma2", "gptj", "mixtral"])
def test_heads_cells_and_biases_are_what_the_layer_added(family: str, tiny_folder: Folder) -> None:
    model = load_model(tiny_folder(family))
    ids = ids_of(model, TEXT)
    for layer in run_frozen(model, ids):
        states, n = layer.states, ids.shape[1]
        position = torch.arange(n).repeat_interleave(layer.values.shape[0])
        cell = torch.arange(layer.values.shape[0]).repeat(n)
        cells = layer.cell_parts(0, position, cell).view(n, -1, model.facts.d_model).sum(1) + layer.cells_bias[0]
        assert (cells - (states.layer_output - states.residual)[0]).abs().max() < 1e-4
        for query in range(n):
            whole = sum(layer.head_part(0, head, query) for head in range(layer.heads.n_heads))
            split = sum(
                layer.head_part(0, head, query, key) for head in range(layer.heads.n_heads) for key in range(query + 1)
            )
            added = (states.residual - states.layer_input)[0, query]
            assert (whole + layer.heads_bias[0, query] - added).abs().max() < 1e-4
            assert (split - whole).abs().max() < 1e-5


def test_cells_that_are_something_else_are_refused(tiny_folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load_model(tiny_folder("gpt2"))
    ids = ids_of(model, TEXT)
    monkeypatch.setattr(type(model), "activation_of", lambda self, layer: torch.nn.functional.relu)
    with pytest.raises(ModelError, match="cannot be held as a linear map: its coefficients"):
        run_frozen(model, ids)
    monkeypatch.setattr(type(model), "activation_of", lambda self, layer: None)
    with pytest.raises(ModelError, match="its activation"):
        run_frozen(model, ids)
    assert FrozenLayer.__doc__
