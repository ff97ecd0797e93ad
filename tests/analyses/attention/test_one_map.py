"""The one map, against sums made by hand, and joined to an index."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 (its usual name)

from ffmem import Index, InputError, load_model
from ffmem.analyses.attention.inputs import as_batch, read_text, run
from ffmem.analyses.attention.one_map import one_map
from ffmem.analyses.explain import explain
from ffmem.models.attention import AttentionLayer, AttentionStates
from ffmem.models.transformer import Transformer

TEXT = "the old river of the village"


@pytest.mark.parametrize("variant", ["gpt2", "llama", "bert", "bloom_normed_residual", "gemma2", "gpt_neox"])
def test_parts_of_a_coefficient_are_those_of_a_slow_sum(variant: str, tiny_folder: Callable[[str], Path]) -> None:
    """z_j = k (norm(r) with only what came from j in r), norms held as they are; m_j = z_j m / s; gated: a path integral."""
    model = load_model(tiny_folder(variant))
    read = read_text(model, TEXT)
    seen: dict[int, tuple[AttentionLayer, AttentionStates]] = {}
    run(model, *as_batch(model, read), lambda layer, states: seen.__setitem__(layer.place, (layer, states)))
    at = len(read.tokens) - 2
    found = one_map(model, TEXT, at=at, limit=4)
    for place, of_layer in enumerate(found.layers):
        layer, states = seen[place]
        matrix = layer.output_matrix().double()
        vectors = torch.einsum("jhe,hed->hjd", layer.expand(states.values[0]).double(), matrix)
        brought = torch.einsum("hj,hjd->jd", states.weights[0, :, at].double(), vectors)
        if layer.placement == "sandwich":
            norm = layer.norm_after
            gain = 1 + norm.weight.double()
            brought = brought * gain / (states.output[0, at].double().pow(2).mean() + norm.eps).sqrt()
        stream = states.stream[0, at].double()
        output = states.output[0, at]
        before = stream + (output if layer.placement != "sandwich" else layer.norm_after(output)).double()
        parts = brought.clone()
        if model.facts.parallel:
            before, parts = stream, torch.zeros_like(parts)
        parts[at] += stream
        module = layer.norm_after if layer.placement == "post" else model.layer(place).at(model.layout(place).ff_norm)
        gain = module.weight.double() + model.layout(place).norm_offset
        if model.facts.norm == "layernorm":
            centred = parts - parts.mean(-1, keepdim=True)
            normed = gain * centred / (before.var(unbiased=False) + module.eps).sqrt()
        else:
            eps = getattr(module, "eps", getattr(module, "variance_epsilon", None))
            normed = gain * parts / (before.pow(2).mean() + eps).sqrt()
        x = module(before.float()).double()
        for memory in of_layer.memories:
            row = memory.cell.cell.index
            if model.facts.gated:
                expected, constant = _over_the_line(model, place, row, normed, x)
                assert memory.fired_by_constant == pytest.approx(constant, abs=1e-4)
            else:
                bias = model.key_bias(place)
                s = float(model.keys(place)[row].double() @ x) + (0.0 if bias is None else float(bias[row]))
                expected = normed @ model.keys(place)[row].double() * memory.cell.coefficient / s
            assert np.allclose(memory.fired_by, expected[: len(memory.fired_by)], rtol=1e-3, atol=1e-5)


def _over_the_line(
    model: Transformer, place: int, row: int, parts: torch.Tensor, x: torch.Tensor
) -> tuple[torch.Tensor, float]:
    """Each part times the gradient of the whole cell, on average over 2000 points from the constant to x; the cell at it."""
    act = {"silu": F.silu, "gelu_pytorch_tanh": partial(F.gelu, approximate="tanh")}[model.facts.activation]
    gate, up = model.gate_keys(place)[row].double(), model.up_keys(place)[row].double()
    constant = x - parts.sum(0)
    times = (torch.arange(2000, dtype=torch.float64) + 0.5) / 2000
    states = (constant + times[:, None] * (x - constant)).requires_grad_()
    (gradients,) = torch.autograd.grad((act(states @ gate) * (states @ up)).sum(), states)
    return parts @ gradients.mean(0), float(act(constant @ gate) * (constant @ up))


def test_it_agrees_with_the_sum_of_explain(tiny_folder: Callable[[str], Path]) -> None:
    for variant in ("llama", "gemma2", "falcon", "mixtral", "wikilm_final_norm"):
        model = load_model(tiny_folder(variant))
        whole, found = explain(model, TEXT), one_map(model, TEXT, by="logit", limit=3)
        assert found.score == pytest.approx(whole.score, abs=1e-5) and found.target == whole.target
        without_cells = one_map(model, TEXT, limit=0)
        assert without_cells.by_token() == found.by_token() and not without_cells.layers[0].memories
        for layer, other in zip(found.layers, whole.layers, strict=True):
            assert layer.attention.logit == pytest.approx(other.attention, abs=1e-4)
            parts = sum(one.logit or 0 for one in (*layer.sources, layer.attention_bias))
            assert parts == pytest.approx(other.attention, abs=1e-4)
            assert layer.feed_forward.logit == pytest.approx(other.cells + other.bias, abs=1e-4)
        by_token = found.by_token()
        assert by_token is not None
        total = (
            (found.embedding.logit or 0) + (found.constant or 0) + (found.normalisers or 0) + sum(map(sum, by_token))
        )
        assert (found.normalisers, found.quantity) == (pytest.approx(whole.normalisers, abs=1e-5), whole.quantity)
        total += sum(
            (one.attention_bias.logit or 0) + (one.value_bias.logit or 0) + (one.memory_logit_constant or 0)
            for one in found.layers
        )
        assert total == pytest.approx(found.score, abs=1e-3)


def test_cells_are_joined_to_an_index(index_of: Callable[[str], Index], tiny_folder: Callable[[str], Path]) -> None:
    index, model = index_of("gpt2"), load_model(tiny_folder("gpt2"))
    found = one_map(model, TEXT, index=index, limit=2)
    for layer in found.layers:
        norms = [one.addition.norm for one in layer.memories]
        assert len(norms) == 2 and norms == sorted(norms, reverse=True)
        for memory in layer.memories:
            assert memory.cell.trigger is not None and memory.cell.promoted
    told = found.to_json()
    assert told["layers"][0]["memories"][0]["cell"]["cell"].startswith("L0.")
    with pytest.raises(InputError, match="has other weights"):
        one_map(load_model(tiny_folder("llama")), TEXT, index=index)


@pytest.mark.parametrize(
    ("variant", "asked", "told"),
    [
        ("gpt2", {"at": 50}, r"the position is 50.*Expected -\d+ to \d+"),
        ("gpt2", {"target": "two tokens"}, "exactly one token"),
        ("gpt2", {"limit": -1}, "the limit is -1"),
        ("bert", {"target": "s"}, "not a plain sum.*Leave the target out"),
        ("bert", {"by": "logit"}, "not a plain sum.*Choose cells by norm"),
        ("t5", {}, "two kinds of sources"),
    ],
)
def test_what_a_user_can_mend(
    variant: str, asked: dict[str, object], told: str, tiny_folder: Callable[[str], Path]
) -> None:
    with pytest.raises(InputError, match=told):
        one_map(load_model(tiny_folder(variant)), TEXT, **asked)  # type: ignore[arg-type]
