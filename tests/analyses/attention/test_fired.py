"""Which token fired which cell: parts that add up to the coefficient, and are those of the keys' own products."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 (its usual name)

from ffmem import ModelError, load_model
from ffmem.analyses.attention.fired import Brought, CellSplit, IntoKeys, into_keys
from ffmem.analyses.attention.one_map import one_map
from ffmem.analyses.decomposition import at_position
from ffmem.models.tracing import LayerTrace, trace
from ffmem.models.transformer import Transformer

IDS = torch.tensor([[30, 41, 52, 63]])


def _random_parts(model: Transformer, size: float = 1.0, seed: int = 5) -> tuple[LayerTrace, IntoKeys]:
    """The states of layer 1 at the last token; attention is split into a random vector for each token, and a constant."""
    state = at_position(trace(model, IDS)[1], -1)
    output = (state.residual - state.layer_input).double()
    generator = torch.Generator().manual_seed(seed)
    parts = size * torch.randn(4, model.facts.d_model, generator=generator, dtype=torch.float64)
    brought = Brought(parts, output - parts.sum(0), state.layer_input.double(), output, None)
    return state, into_keys(model, 1, state, brought, 3)


@pytest.mark.parametrize("variant", ["opt", "llama", "gptj", "mixtral"])
def test_parts_add_up_to_the_coefficient(variant: str, tiny_folder: Callable[[str], Path]) -> None:
    model = load_model(tiny_folder(variant))
    with torch.inference_mode():
        state, tokens = _random_parts(model)
        assert torch.allclose(tokens.whole, state.ff_input.double(), atol=1e-5)
        chosen = state.coefficients.abs().topk(6).indices
        shares, constants = CellSplit(model, 1, state, tokens).fired_by(chosen)
    assert torch.allclose(shares.sum(1) + constants, state.coefficients[chosen].double(), atol=1e-5)
    if model.facts.parallel:  # the layer does not read what attention adds
        assert float(shares[:, :3].abs().max()) == 0
    elif not model.facts.gated:
        keys = model.keys(1)[chosen].double()
        slopes = shares[:, 0] / (keys @ tokens.parts[0])
        assert torch.allclose(shares[:, 1], slopes * (keys @ tokens.parts[1]), atol=1e-8)  # one for all tokens


def test_the_routing_weight_of_an_expert_is_held(tiny_folder: Callable[[str], Path]) -> None:
    """The constant's part is what the cell makes of the constant alone, times the weight that the router gave its expert."""
    model = load_model(tiny_folder("mixtral"))
    routed: list[tuple[torch.Tensor, torch.Tensor]] = []
    experts = model.layer(1).experts  # type: ignore[union-attr]
    handle = experts.register_forward_pre_hook(lambda _, given: routed.append((given[1], given[2])))
    with torch.inference_mode():
        state, tokens = _random_parts(model)
        chosen = state.coefficients.nonzero().squeeze(1)
        _, constants = CellSplit(model, 1, state, tokens).fired_by(chosen)
    handle.remove()
    experts_of_last, weights = routed[0][0][-1].tolist(), routed[0][1][-1].tolist()
    assert len(chosen) == 2 * model.layer(1).cells.d_ff
    for cell, found in zip(chosen.tolist(), constants.tolist(), strict=True):
        weight = weights[experts_of_last.index(cell // model.layer(1).cells.d_ff)]
        gate, up = (keys[cell].double() @ tokens.constant for keys in (model.gate_keys(1), model.up_keys(1)))
        assert found == pytest.approx(float(weight * F.silu(gate) * up), abs=1e-5)


@pytest.mark.parametrize(("variant", "act"), [("llama", F.silu), ("gemma2", lambda g: F.gelu(g, approximate="tanh"))])
def test_the_token_that_fired_a_gated_cell_most_is_the_one_whose_removal_moves_it_most(
    variant: str, act: Callable[[torch.Tensor], torch.Tensor], tiny_folder: Callable[[str], Path]
) -> None:
    """With the norm held, token by token and cell by cell, of the position's other tokens; the 12 strongest cells."""
    model = load_model(tiny_folder(variant))
    right = with_gate_held = n = 0
    for seed in range(10):
        with torch.inference_mode():
            state, tokens = _random_parts(model, size=0.1, seed=seed)
            own = tokens.parts[3] + tokens.constant  # as in models without biases, where nothing is of no token
            tokens = IntoKeys(torch.cat([tokens.parts[:3], own[None]]), torch.zeros_like(own))
            chosen = state.coefficients.abs().topk(12).indices
            shares, _ = CellSplit(model, 1, state, tokens).fired_by(chosen)
        for row, cell in enumerate(chosen.tolist()):
            gate, up = model.gate_keys(1)[cell].double(), model.up_keys(1)[cell].double()
            without = [tokens.whole - tokens.parts[j] for j in range(3)]
            moved = torch.stack(
                [act(gate @ tokens.whole) * (up @ tokens.whole) - act(gate @ x) * (up @ x) for x in without]
            )
            most = moved.abs().argmax()
            right += int(shares[row, :3].abs().argmax() == most)
            with_gate_held += int((tokens.parts[:3] @ up).abs().argmax() == most)
            n += 1
    assert right > 0.9 * n and with_gate_held < 0.65 * n  # removal is no sum, so no rule is always right


@pytest.mark.parametrize(
    ("activation", "told"),
    [
        (None, "the activation of .* is 'silu', which transformers does not know"),
        (torch.tanh, "are not what silu, its activation, makes of the products with its keys"),
    ],
)
def test_a_gated_cell_whose_activation_is_not_the_models_own_is_refused(
    activation: object, told: str, tiny_folder: Callable[[str], Path]
) -> None:
    model = load_model(tiny_folder("llama"))
    model.__dict__["activation"] = activation
    with pytest.raises(ModelError, match=told):
        one_map(model, "the old river")
