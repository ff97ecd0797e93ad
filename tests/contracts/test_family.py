"""What every family must hold: the numbered checks of the specification of these analyses, on tiny random models."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from ffmem import InputError, ModelError, load_model
from ffmem.models.identities import measure_identities, relative_error
from ffmem.models.tracing import trace
from ffmem.models.transformer import Transformer
from tests.conftest import EXAMPLES, VARIANTS
from tests.families import CONTEXT, D_MODEL, N_LAYERS, Example

TOLERANCE = 1e-5


@pytest.fixture(params=VARIANTS)
def variant(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def model(variant: str, tiny_folder: Callable[[str], Path]) -> Transformer:
    return load_model(tiny_folder(variant))


@pytest.fixture
def example(variant: str) -> Example:
    return EXAMPLES[variant]


def sample(model: Transformer, batch: int = 3, positions: int = 11, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(5, model.facts.d_vocab, (batch, positions), generator=generator)


def mask_for(model: Transformer, token_ids: torch.Tensor) -> torch.Tensor | None:
    return None if model.facts.causal else torch.ones_like(token_ids)


def own_states(model: Transformer, token_ids: torch.Tensor) -> list[tuple[torch.Tensor, ...]]:
    """The library's own list of the states between the layers, of each stack."""
    named = {"input_ids": token_ids, "attention_mask": mask_for(model, token_ids), "output_hidden_states": True}
    if not model.module.config.is_encoder_decoder:
        return [model.module(**named).hidden_states]
    start = torch.full((len(token_ids), 1), model.module.config.decoder_start_token_id)
    output = model.module(**named, decoder_input_ids=torch.cat((start, token_ids), dim=1))
    return [output.encoder_hidden_states, tuple(state[:, 1:] for state in output.decoder_hidden_states)]


def coefficients(model: Transformer, token_ids: torch.Tensor, mask: torch.Tensor | None = None) -> list[torch.Tensor]:
    found: list[torch.Tensor] = []
    with torch.no_grad(), model.watch_coefficients(lambda _, m: found.append(m.clone())):
        model.forward(token_ids, mask)
    return found


def against(x: torch.Tensor, keys: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    return x @ keys.T if bias is None else x @ keys.T + bias


def test_facts_and_shapes(model: Transformer, example: Example) -> None:
    facts = model.facts
    n_stacks = 2 if model.module.config.is_encoder_decoder else 1
    assert (facts.n_layers, facts.d_model, facts.d_ff) == (n_stacks * N_LAYERS, D_MODEL, example.d_ff)
    for layer, cells in enumerate(facts.layers):
        keys = [model.gate_keys(layer), model.up_keys(layer)] if facts.gated else [model.keys(layer)]
        assert all(matrix.shape == (cells.n_cells, D_MODEL) for matrix in [*keys, model.values(layer)])
        assert model.value_bias(layer).shape == (D_MODEL,)
    with pytest.raises(ModelError, match="gated"):
        model.keys(0) if facts.gated else model.gate_keys(0)


def test_check_1_sums_of_memories_and_residuals(model: Transformer, example: Example) -> None:
    token_ids = sample(model)
    found = measure_identities(model, token_ids, mask_for(model, token_ids))
    assert max(found.ff_sum_errors) < TOLERANCE
    assert max(found.residual_errors) < TOLERANCE
    states = trace(model, token_ids, mask_for(model, token_ids))
    assert min(float(state.ff_output.abs().max()) for state in states) > 1e-3  # not zero against zero
    for stack, own in enumerate(own_states(model, token_ids)):
        # o is what the next layer starts from; the library norms that of the last one
        for layer in range(N_LAYERS - 1):
            output = states[stack * N_LAYERS + layer].layer_output
            if example.last_bits:
                assert relative_error(output, own[layer + 1]) < 1e-6
            else:
                assert torch.equal(output, own[layer + 1])


def test_coefficients_are_the_activation_of_the_keys(model: Transformer) -> None:
    token_ids = sample(model)
    activation = {
        "relu": torch.relu,
        "silu": torch.nn.functional.silu,
        "gelu": torch.nn.functional.gelu,
        "gelu_new": lambda x: torch.nn.functional.gelu(x, approximate="tanh"),
        "gelu_pytorch_tanh": lambda x: torch.nn.functional.gelu(x, approximate="tanh"),
        "softmax": torch.exp,
    }[model.facts.activation]
    for layer, state in enumerate(trace(model, token_ids, mask_for(model, token_ids))):
        if model.facts.gated:
            gate = against(state.ff_input, model.gate_keys(layer), model.key_bias(layer))
            expected = activation(gate) * against(state.ff_input, model.up_keys(layer), model.up_bias(layer))
            expected = expected * routing_weights(model, layer, state.ff_input)
        else:
            expected = activation(against(state.ff_input, model.keys(layer), model.key_bias(layer)))
        if model.facts.activation == "softmax":  # of each head, but for what it gives to all its memories
            by_head = (one.unflatten(-1, (4, -1)) for one in (state.coefficients, expected))
            assert relative_error(*((one / one.sum(-1, keepdim=True)) for one in by_head)) < TOLERANCE
            continue
        assert relative_error(state.coefficients, expected) < TOLERANCE


def routing_weights(model: Transformer, layer: int, x: torch.Tensor) -> torch.Tensor:
    """For each cell the weight of its expert, by the router's definition; 1 in layers without experts."""
    cells = model.facts.layers[layer]
    if not cells.n_experts:
        return torch.ones(1)
    probabilities = (x @ model.layer(layer).at("mlp.gate.weight").T).softmax(-1)
    best = probabilities.topk(2, dim=-1)
    weights = torch.zeros_like(probabilities).scatter(-1, best.indices, best.values / best.values.sum(-1, keepdim=True))
    return weights.repeat_interleave(cells.d_ff, dim=-1)


def test_keys_are_compared_with_the_norm_that_the_layout_names(model: Transformer) -> None:
    """x = n(r); n of the layer's input where attention runs in parallel; r itself where the stream is normed already."""
    token_ids = sample(model)
    states = trace(model, token_ids, mask_for(model, token_ids))
    for layer, state in enumerate(states):
        if layer % N_LAYERS == 0:  # whose input is no other layer's output
            continue
        if model.facts.norm_placement in ("post", "shared"):
            assert torch.equal(state.ff_input, state.residual)
            continue
        before = states[layer - 1].layer_output if model.facts.parallel else state.residual
        assert relative_error(state.ff_input, model.layer(layer).at(model.layout(layer).ff_norm)(before)) < TOLERANCE


def test_check_2_projected_final_state_is_the_models_own_logits(model: Transformer) -> None:
    token_ids = sample(model)
    found = measure_identities(model, token_ids, mask_for(model, token_ids))
    if model.has_head:
        assert found.logit_error is not None and found.logit_error < TOLERANCE
    else:
        assert found.logit_error is None and model.logits(token_ids) is None


def test_hooks_change_no_bit_and_leave_with_their_context(model: Transformer) -> None:
    token_ids = sample(model)
    mask = mask_for(model, token_ids)
    before = model.logits(token_ids, mask) if model.has_head else model.forward(token_ids, mask)
    with pytest.raises(ZeroDivisionError), model.watch_coefficients(lambda _layer, _m: 1 / 0):
        model.forward(token_ids, mask)
    seen: list[int] = []
    with model.watch_coefficients(lambda layer, _: seen.append(layer)):
        during = model.logits(token_ids, mask) if model.has_head else model.forward(token_ids, mask)
    assert seen == list(range(model.facts.n_layers))
    after = model.logits(token_ids, mask) if model.has_head else model.forward(token_ids, mask)
    assert before is not None and during is not None and after is not None
    assert torch.equal(before, during) and torch.equal(before, after)
    assert not any(
        module._forward_pre_hooks for module in model.module.modules() if not isinstance(module, nn.Embedding)
    )


def test_check_3_prefixes_batches_and_padding(model: Transformer) -> None:
    token_ids = sample(model, batch=1, positions=9)
    whole = coefficients(model, token_ids, mask_for(model, token_ids))
    differences = []
    for end in range(1, 9):
        prefix = coefficients(model, token_ids[:, :end], mask_for(model, token_ids[:, :end]))
        differences.append(max(relative_error(p[:, -1], w[:, end - 1]) for p, w in zip(prefix, whole, strict=True)))
    if model.facts.causal:
        assert max(differences) < TOLERANCE
    else:
        assert min(differences) > 1e-3  # a bidirectional model has no prefixes: its positions see their right

    many = sample(model, batch=4, positions=9, seed=1)
    many[2] = token_ids[0]
    batched = coefficients(model, many, mask_for(model, many))
    assert max(relative_error(b[2:3], w) for b, w in zip(batched, whole, strict=True)) < TOLERANCE

    padded_ids = torch.cat((token_ids, torch.full((1, 5), model.pad_id)), dim=1)
    mask = (
        None if model.facts.causal else torch.cat((torch.ones_like(token_ids), torch.zeros(1, 5, dtype=torch.long)), 1)
    )
    padded = coefficients(model, padded_ids, mask)
    assert max(relative_error(p[:, :9], w) for p, w in zip(padded, whole, strict=True)) < TOLERANCE


def test_the_longest_input_is_the_longest_that_runs(model: Transformer, example: Example) -> None:
    assert model.facts.max_length == example.longest
    token_ids = sample(model, batch=1, positions=example.longest or 2 * CONTEXT)
    assert model.forward(token_ids, mask_for(model, token_ids)).isfinite().all()
    if example.has_table:
        assert example.longest is not None
        token_ids = sample(model, batch=1, positions=example.longest + 1)
        with pytest.raises((IndexError, RuntimeError)):
            model.forward(token_ids, mask_for(model, token_ids))


@pytest.mark.parametrize("variant", [name for name, example in EXAMPLES.items() if example.gauge is not None])
def test_check_13_gauges(model: Transformer, example: Example) -> None:
    """The model cannot see a gated cell's up key and value scaled, with either sign, nor a ReLU cell's key and value."""
    factor = example.gauge
    assert factor is not None
    token_ids = sample(model)
    before, output = coefficients(model, token_ids), model.forward(token_ids)
    facts = model.facts
    keys, bias = (model.up_keys(1), model.up_bias(1)) if facts.gated else (model.keys(1), model.key_bias(1))
    keys[5] *= factor
    if bias is not None:
        bias[5] *= factor
    assert relative_error(model.forward(token_ids), output) > 1e-4  # that cell matters
    model.values(1)[5] /= factor
    after = coefficients(model, token_ids)
    expected = before[1].clone()
    expected[..., 5] *= factor
    assert relative_error(after[1], expected) < TOLERANCE
    assert relative_error(model.forward(token_ids), output) < TOLERANCE


def test_check_14_folding(model: Transformer) -> None:
    """logits = U' h / scale + U beta + b: the folded projection, plus what it keeps apart."""
    if "folded" not in model.facts.projections:
        with pytest.raises(Exception, match=r"has no projection 'folded'.*Expected one of: (raw|adaptive)"):
            model.projection_matrix("folded")
        return
    token_ids = sample(model)
    state = trace(model, token_ids, mask_for(model, token_ids))[-1].layer_output
    norm = model.unembedding.final_norm
    assert norm is not None
    if model.facts.norm == "layernorm":
        scale = (state.var(-1, unbiased=False, keepdim=True) + norm.eps).sqrt()
        constant = model.projection_matrix("raw") @ norm.bias
    else:
        scale = (
            state.pow(2).mean(-1, keepdim=True) + getattr(norm, "eps", getattr(norm, "variance_epsilon", 0))
        ).sqrt()
        constant = torch.zeros(model.facts.d_vocab)
    logits = model.project(state, "folded") / scale + constant
    head = model.module.get_output_embeddings()
    if head.bias is not None:
        logits = logits + head.bias
    cap = model.layout(-1).softcap
    logits = logits if cap is None else torch.tanh(logits / cap) * cap
    own = model.logits(token_ids, mask_for(model, token_ids))
    assert own is not None and relative_error(logits, own) < TOLERANCE


def test_value_scores_add_up_to_the_scores_of_the_update(model: Transformer) -> None:
    """Contributions are linear: sum of m_i x scores of value i, plus the bias's, are the scores of the update."""
    token_ids = sample(model)
    for layer, state in enumerate(trace(model, token_ids, mask_for(model, token_ids))):
        if "adaptive" in model.facts.projections:  # scores that are no contributions
            with pytest.raises(InputError, match="'adaptive' is not linear"):
                model.projection_matrix("adaptive")
            continue
        projection = model.projection_of(layer, "folded" if "folded" in model.facts.projections else "raw")
        matrix, rows = model.projection_matrix(projection), model.value_rows(layer)
        summed = state.coefficients @ (rows @ matrix.T) + model.value_bias(layer) @ matrix.T
        expected = model.project(state.ff_update, projection)
        if model.facts.norm_placement == "sandwich":  # a norm divides y by its root mean square first
            rms = (state.ff_output.pow(2).mean(-1, keepdim=True) + 1e-6).sqrt()
            summed = summed / rms
        assert relative_error(summed, expected) < TOLERANCE
