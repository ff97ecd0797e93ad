"""States around feed-forward layers, against the library's own list of states; at some positions alone; hooks leave."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from ffmem import load_model
from ffmem.models.tracing import trace

IDS = torch.arange(20, 41).view(3, 7)


@pytest.mark.parametrize("variant", ["gpt2", "llama", "opt", "mixtral"])
def test_layers_begin_where_the_library_says(variant: str, tiny_folder: Callable[[str], Path]) -> None:
    model = load_model(tiny_folder(variant))
    states = trace(model, IDS)
    with torch.inference_mode():
        own = model.module(IDS, output_hidden_states=True).hidden_states
    for number, state in enumerate(states):
        assert torch.equal(state.layer_input, own[number])
        assert state.coefficients.shape == (3, 7, model.cells.layers[number].n_cells)
        assert torch.allclose(state.residual + state.ff_update, state.layer_output, atol=1e-5)
    parts = [part for part in model.module.modules() if not isinstance(part, nn.Embedding)]  # whose hook checks tokens
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in parts)


@pytest.mark.parametrize("variant", ["gpt2", "opt", "t5"])
def test_some_positions_are_those_of_all(variant: str, tiny_folder: Callable[[str], Path]) -> None:
    model = load_model(tiny_folder(variant))
    rows, columns = torch.tensor([2, 0, 1]), torch.tensor([6, 0, 3])
    for some, whole in zip(trace(model, IDS, at=(rows, columns)), trace(model, IDS), strict=True):
        for name, states in vars(some).items():
            assert torch.equal(states, getattr(whole, name)[rows, columns][None]), name
