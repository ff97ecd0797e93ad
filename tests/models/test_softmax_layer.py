"""A loaded model with memories in its attention, as keys, values and coefficients."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from ffmem import InputError, ModelError, load_model
from ffmem.analyses.accounting import count_parameters
from ffmem.analyses.memorised.injection import check_dense
from ffmem.models.controls import as_control
from ffmem.models.description import describe
from ffmem.models.identity_proof import prove_identities
from ffmem.models.patches.changes import Added, change_values
from ffmem.models.softmax_layer import SoftmaxLayer
from ffmem.models.structure.refusal import NotProvenError
from ffmem.models.tracing import trace
from ffmem.models.transformer import Transformer
from tests.families import D_FF, D_MODEL, N_LAYERS

HEADS = 4


@pytest.fixture
def model(tiny_folder: Callable[[str], Path]) -> Transformer:
    return load_model(tiny_folder("all_attention"))


def sample(model: Transformer) -> torch.Tensor:
    return torch.randint(2, model.facts.d_vocab, (2, 9), generator=torch.Generator().manual_seed(1))


def test_keys_and_values_are_those_of_heads_one_after_the_other(model: Transformer) -> None:
    attention, d_head = model.module.model.layers[1].attention, D_MODEL // HEADS
    keys, values, bias = model.keys(1), model.values(1), model.key_bias(1)
    assert bias is not None and len(keys) == HEADS * D_FF
    for cell in (0, D_FF - 1, D_FF, 2 * D_FF + 7, HEADS * D_FF - 1):
        own = slice(cell // D_FF * d_head, (cell // D_FF + 1) * d_head)
        kappa, nu = attention.memories.keys[cell], attention.memories.values[cell]
        assert torch.allclose(keys[cell], kappa @ attention.query.weight[own], atol=1e-6)
        assert torch.allclose(bias[cell], kappa @ attention.query.bias[own], atol=1e-6)
        assert torch.allclose(values[cell], D_FF**0.5 * attention.output.weight[:, own] @ nu, atol=1e-6)


def test_what_attention_adds_is_context_and_cells_and_the_bias_of_output(model: Transformer) -> None:
    """o - h = sum over heads and context of alpha v W_O, plus b_O, plus coefficients times values."""
    ids = sample(model)
    seen = []
    with model.watch_attention(lambda layer, states: seen.append((layer, states))):
        model.forward(ids)
    for (heads, attention), state in zip(seen, trace(model, ids), strict=True):
        mixed = torch.einsum("bhqk,bkhd->bqhd", attention.weights, attention.values)
        context = torch.einsum("bqhd,hde->bqe", mixed, heads.output_matrix()) + heads.output_bias()
        cells = state.coefficients @ model.values(heads.place)
        assert torch.allclose(state.layer_input + context, state.residual, atol=1e-5)
        assert torch.allclose(context + cells, state.layer_output - state.layer_input, atol=1e-5)
        by_head = state.coefficients.unflatten(-1, (HEADS, -1)).sum(-1) + attention.weights.sum(-1).transpose(1, 2)
        assert torch.allclose(by_head, torch.ones_like(by_head), atol=1e-5)


def test_shares_do_not_ask_what_the_context_is(model: Transformer) -> None:
    state = trace(model, sample(model))[2]
    layer = model.layer(2)
    assert isinstance(layer, SoftmaxLayer)
    shares = layer.shares(state.ff_input)
    assert torch.allclose(shares, layer.shares_of(state.coefficients), atol=1e-6)
    ones = shares.unflatten(-1, (HEADS, -1)).sum(-1)
    assert torch.allclose(ones, torch.ones_like(ones), atol=1e-5)


def test_a_coefficient_that_is_changed_leaves_the_others_as_they_are(model: Transformer) -> None:
    """Nothing is shared out anew: what is taken from a memory goes to nobody."""
    ids, cell, others = sample(model), 50, []
    plain = trace(model, ids)[0]

    def without(layer: int, m: torch.Tensor) -> torch.Tensor | None:
        if layer:
            return None
        changed = m.clone()
        changed[..., cell] = 0
        return changed

    with model.change_coefficients(without):
        others.append(trace(model, ids)[0])
    assert torch.allclose(
        plain.layer_output - others[0].layer_output,
        plain.coefficients[..., cell, None] * model.values(0)[cell],
        atol=1e-5,
    )


def test_the_proof_sees_keys_of_other_cells(model: Transformer) -> None:
    layer = model.layer(1)
    assert isinstance(layer, SoftmaxLayer)
    keys = layer.keys()
    layer.keys = lambda: keys.roll(1, 0)  # type: ignore[method-assign]
    with pytest.raises(NotProvenError, match="activations of keys against the coefficients of layer L1"):
        prove_identities(model)


def test_values_cannot_be_written(model: Transformer) -> None:
    change = Added(torch.zeros(HEADS * D_FF, 1), torch.zeros(1, D_MODEL))
    with pytest.raises(InputError, match=r"the values of L0 are products of persistent vectors and W_O"):
        change_values(model, {0: change})
    with pytest.raises(InputError, match="Use a model with feed-forward layers"):
        check_dense(model)


def test_gates_are_refused(model: Transformer) -> None:
    with pytest.raises(ModelError, match="are not gated"):
        model.gate_keys(0)


def test_a_shuffled_control_has_the_same_values_within_each_head(model: Transformer) -> None:
    before, keys = model.values(1).clone(), model.keys(1).clone()
    after = as_control(model, "shuffled").values(1)
    assert torch.equal(model.keys(1), keys) and not torch.allclose(before, after)
    for head in range(HEADS):
        own = slice(head * D_FF, (head + 1) * D_FF)
        assert torch.allclose(before[own].sort(0).values, after[own].sort(0).values, atol=1e-6)
        assert not torch.allclose(before[own], after[own])


def test_an_untrained_control_is_proved_like_any_model(model: Transformer) -> None:
    assert max(float(str(one)) for one in prove_identities(as_control(model, "untrained")).values()) < 5e-5


def test_it_is_described_and_counted(model: Transformer) -> None:
    (kind,) = describe(model, attention=False)["kinds"]  # type: ignore[misc]
    assert "softmax(attention.query . keys of attention.memories, beside those of the context)" in str(kind)
    found = count_parameters(model)
    assert found.feed_forward == N_LAYERS * 2 * D_FF * D_MODEL
    assert found.attention == N_LAYERS * 4 * (D_MODEL * D_MODEL + D_MODEL)
