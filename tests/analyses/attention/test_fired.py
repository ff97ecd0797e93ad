"""Which token fired which cell: parts that add up to the coefficient, and are those of the keys' own products."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from ffmem import load_model
from ffmem.analyses.attention.fired import Brought, fired_by, into_keys
from ffmem.analyses.decomposition import at_position
from ffmem.models.tracing import trace

IDS = torch.tensor([[30, 41, 52, 63]])


@pytest.mark.parametrize("variant", ["opt", "llama", "gptj"])
def test_parts_add_up_to_the_coefficient(variant: str, tiny_folder: Callable[[str], Path]) -> None:
    """Whatever attention is split into: here a random quarter for each of four tokens, and a constant."""
    model = load_model(tiny_folder(variant))
    with torch.inference_mode():
        state = at_position(trace(model, IDS)[1], -1)
        output = (state.residual - state.layer_input).double()
        generator = torch.Generator().manual_seed(5)
        parts = torch.randn(4, model.facts.d_model, generator=generator, dtype=torch.float64)
        brought = Brought(parts, output - parts.sum(0), state.layer_input.double(), output, None)
        tokens = into_keys(model, 1, state, brought, 3)
        assert torch.allclose(tokens.parts.sum(0) + tokens.constant, state.ff_input.double(), atol=1e-5)
        chosen = state.coefficients.abs().topk(6).indices
        shares, constants = fired_by(model, 1, state, chosen, tokens)
        assert torch.allclose(shares.sum(1) + constants, state.coefficients[chosen].double(), atol=1e-5)
        keys = (model.up_keys(1) if model.facts.gated else model.keys(1))[chosen].double()
        ratio = shares[:, 0] / (keys @ tokens.parts[0])
        assert torch.allclose(shares[:, 1], ratio * (keys @ tokens.parts[1]), atol=1e-8)  # one slope for all tokens
        if model.facts.parallel:  # the layer does not read what attention adds
            assert float(shares[:, :3].abs().max()) == 0
