"""The one exact sum, against a sum by hand of what plain hooks catch, and against the model's own logits."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from ffmem import InputError, ModelError, load_model
from ffmem.analyses.decomposition import (
    LayerParts,
    at_position,
    check_causal,
    check_sum,
    has_scores,
    next_token_logits,
    token_score,
)
from ffmem.models.tracing import trace
from ffmem.models.transformer import Transformer

Folder = Callable[[str], Path]
IDS = torch.tensor([[30, 41, 52, 63, 74, 85]])
ATTENTION = {
    "llama": "self_attn",
    "gpt2": "attn",
    "opt": "self_attn",
    "gptj": "attn",
    "gemma2": "post_attention_layernorm",
}
FEED_FORWARD = {"llama": "mlp", "gpt2": "mlp", "opt": "fc2", "gptj": "mlp", "gemma2": "post_feedforward_layernorm"}
LAYERS = {"llama": "model.layers", "gpt2": "transformer.h", "opt": "model.decoder.layers", "gptj": "transformer.h"}


def caught(model: Transformer, variant: str) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """At the last position what enters the first layer, and what each sub-layer gives, by plain hooks."""
    layers = model.module.get_submodule(LAYERS.get(variant, "model.layers"))
    embedding: list[Tensor] = []
    given: dict[str, list[Tensor]] = {"attention": [], "ff": []}

    def keep(name: str) -> Any:
        def hook(_: Any, __: Any, output: Any) -> None:
            tensor = output[0] if isinstance(output, tuple) else output
            given[name].append(tensor.reshape(-1, tensor.shape[-1])[-1].double())

        return hook

    handles = [
        layers[0].register_forward_pre_hook(
            lambda _, args, named: embedding.append((args[0] if args else named["hidden_states"])[0, -1].double()),
            with_kwargs=True,
        )
    ]
    for layer in layers:
        handles.append(layer.get_submodule(ATTENTION[variant]).register_forward_hook(keep("attention")))
        handles.append(layer.get_submodule(FEED_FORWARD[variant]).register_forward_hook(keep("ff")))
    with torch.inference_mode():
        model.module(IDS)
    for handle in handles:
        handle.remove()
    return embedding[0], given["attention"], given["ff"]


def by_hand(model: Transformer, state: Tensor, vector: Tensor, token: int) -> Tensor:
    """A vector through the final norm with the scale of a state, and the unembedding: written out here once more."""
    norm, head = model.unembedding.final_norm, model.module.get_output_embeddings().weight[token].double()
    gain = norm.weight.double() + (1.0 if model.facts.family == "gemma2" else 0.0)
    if model.facts.norm == "layernorm":
        scale = (state.var(unbiased=False) + norm.eps).sqrt()
        vector = vector - vector.mean()
    else:
        epsilon = getattr(norm, "eps", getattr(norm, "variance_epsilon", 0.0))
        scale = (state.square().mean() + epsilon).sqrt()
    return vector / scale * gain @ head


@pytest.mark.parametrize("variant", ["llama", "gpt2", "opt", "gptj", "gemma2"])
def test_parts_are_those_that_plain_hooks_catch(variant: str, tiny_folder: Folder) -> None:
    model = load_model(tiny_folder(variant))
    embedding, attention, ff = caught(model, variant)
    final = embedding + sum(attention) + sum(ff)
    with torch.inference_mode():
        layers = [LayerParts(model, number, at_position(state, -1)) for number, state in enumerate(trace(model, IDS))]
        logits = next_token_logits(model, IDS)[0]
        score = token_score(model, layers[-1].state.layer_output, logits, 77)
        for layer, added, fed in zip(layers, attention, ff, strict=True):
            assert float(score.linear.of(layer.attention)) == pytest.approx(
                float(by_hand(model, final, added, 77)), abs=1e-4
            )
            memories = float(layer.shares(score.linear).sum() + score.linear.of(layer.bias))
            assert memories == pytest.approx(float(by_hand(model, final, fed, 77)), abs=1e-4)
        assert float(score.linear.of(layers[0].state.layer_input)) == pytest.approx(
            float(by_hand(model, final, embedding, 77)), abs=1e-4
        )


@pytest.mark.parametrize(
    "variant", ["llama", "gpt2", "opt", "gptj", "gemma2", "falcon", "bloom", "mixtral", "wikilm", "phi"]
)
def test_parts_add_up_to_the_models_own_score(variant: str, tiny_folder: Folder) -> None:
    model = load_model(tiny_folder(variant))
    with torch.inference_mode():
        layers = [LayerParts(model, number, at_position(state, -1)) for number, state in enumerate(trace(model, IDS))]
        own = model.module(IDS).logits[0, -1]
        one = token_score(model, layers[-1].state.layer_output, own, 77)
        two = token_score(model, layers[-1].state.layer_output, own, 77, against=150)
        assert one.own == float(own[77]) and two.own == pytest.approx(float(own[77] - own[150]), abs=1e-5)
        for score in (one, two):
            parts = [float(score.linear.of(layers[0].state.layer_input))]
            for layer in layers:
                added = score.linear.of(torch.stack([layer.attention.double(), layer.bias]))
                parts += [*added.tolist(), float(layer.shares(score.linear).sum())]
            assert score.error_of(model, parts) < 1e-4
            with pytest.raises(ModelError, match="the parts of a prediction of"):
                score.error_of(model, [*parts, 0.5])


def test_which_models_have_such_a_sum(tiny_folder: Folder) -> None:
    expected = {"llama": True, "gemma2": True, "bert": False, "bert_headless": False, "opt_post_ln": False, "t5": False}
    for variant, has in expected.items():
        assert has_scores(load_model(tiny_folder(variant))) == has, variant
    check_causal(load_model(tiny_folder("opt_post_ln")))
    for variant in ("bert", "t5"):
        with pytest.raises(InputError, match="is not a causal language model"):
            check_causal(load_model(tiny_folder(variant)))


def test_an_error_counts_beside_the_largest_score(tiny_folder: Folder) -> None:
    model = load_model(tiny_folder("llama"))
    check_sum(model, 9e-3, 10.0)
    for error, scale in ((1.1e-2, 10.0), (float("nan"), 10.0), (2e-3, 0.1)):
        with pytest.raises(ModelError, match="do not add up to its own score"):
            check_sum(model, error, scale)
