"""Attention sub-layers against the library's own answer to `output_attentions`, and against weights read off by hand."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import nn

from ffmem import ModelError, load_model
from ffmem.models.attention import AttentionLayer, AttentionStates, change_attention, hooked, step_by_step
from ffmem.models.transformer import Transformer

Folder = Callable[[str], Path]
Loaded = Callable[[str], Transformer]
IDS = torch.randint(5, 100, (2, 7), generator=torch.Generator().manual_seed(0))


def seen_of(model: Transformer) -> dict[str, AttentionStates]:
    mask = None if model.facts.causal else torch.ones_like(IDS)
    found: dict[str, AttentionStates] = {}
    with torch.no_grad(), model.watch_attention(lambda layer, states: found.update({layer.name: states})):
        model.forward(IDS, mask)
    return found


@pytest.mark.parametrize("variant", ["gpt2", "gptj", "llama", "bert", "gemma2", "bloom"])
def test_weights_are_those_that_the_library_gives(variant: str, loaded: Loaded, tiny_folder: Folder) -> None:
    model = loaded(variant)
    own: Any = getattr(transformers, model.facts.architecture)
    plain = own.from_pretrained(tiny_folder(variant), attn_implementation="eager").eval()
    with torch.no_grad():
        found = plain(
            input_ids=IDS, attention_mask=torch.ones_like(IDS), output_attentions=True, output_hidden_states=True
        )
    states = seen_of(model)
    assert list(states) == ["L0", "L1", "L2"]
    for number, one in enumerate(states.values()):
        assert torch.allclose(one.weights, found.attentions[number], atol=1e-6)
        if model.facts.norm_placement != "shared":
            assert torch.allclose(one.stream, found.hidden_states[number], atol=1e-5)


def test_a_decoder_has_weights_over_its_own_text_and_over_the_encoders(loaded: Loaded, tiny_folder: Folder) -> None:
    model = loaded("t5")
    plain = transformers.T5ForConditionalGeneration.from_pretrained(
        tiny_folder("t5"), attn_implementation="eager"
    ).eval()
    start = torch.full((2, 1), plain.config.decoder_start_token_id)
    decoder = torch.cat((start, IDS), dim=1)
    with torch.no_grad():
        own = plain(
            input_ids=IDS, attention_mask=torch.ones_like(IDS), decoder_input_ids=decoder, output_attentions=True
        )
    states = seen_of(model)
    for number in range(3):
        for name, expected in (
            (f"enc.L{number}", own.encoder_attentions),
            (f"dec.L{number}", own.decoder_attentions),
            (f"dec.L{number}.cross", own.cross_attentions),
        ):
            assert torch.allclose(states[name].weights, expected[number], atol=1e-6), name
    assert states["dec.L1.cross"].weights.shape == (2, 4, 8, 7)


def own_rows(module: Any, variant: str) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor]:
    """W_V as a row for each of its outputs, b_V, and W_O with a row for each of its inputs, as each library stores them."""
    if variant == "gpt2":  # queries, keys and values side by side; stored transposed
        attn = module.transformer.h[1].attn
        return attn.c_attn.weight[:, 64:].T, attn.c_attn.bias[64:], attn.c_proj.weight
    if variant == "bloom":  # query, key and value of each head, one head after the other
        attn = module.transformer.h[1].self_attention
        whole, bias = attn.query_key_value.weight.view(4, 3, 8, 32), attn.query_key_value.bias.view(4, 3, 8)
        return whole[:, 2].reshape(32, 32), bias[:, 2].flatten(), attn.dense.weight.T
    attn = module.model.layers[1].self_attn
    return attn.v_proj.weight, attn.v_proj.bias, attn.o_proj.weight.T


@pytest.mark.parametrize("variant", ["gpt2", "bloom", "llama", "qwen2"])
def test_matrices_and_values_are_where_the_library_keeps_them(variant: str, loaded: Loaded) -> None:
    model = loaded(variant)
    layer, states = model.attention_layers[1], seen_of(model)["L1"]
    value, bias, output = own_rows(model.module, variant)
    n_kv = len(value) // 8
    assert torch.equal(layer.output_matrix(), output.view(4, 8, 32))
    assert (layer.n_heads, layer.d_head) == (4, 8)
    own_bias = layer.value_bias()
    assert (own_bias is None) == (bias is None)
    if bias is not None:
        assert own_bias is not None and torch.equal(own_bias, bias.view(n_kv, 8))
    assert layer.norm_before is not None and layer.norm_after is None
    normed = layer.norm_before(states.stream)
    by_hand = nn.functional.linear(normed, value, bias).view(2, 7, n_kv, 8)
    assert torch.allclose(states.values, by_hand, atol=1e-5)
    shared = layer.expand(states.values)
    assert shared.shape == (2, 7, 4, 8)
    for head in range(4):  # with two value heads, the first two heads share one and the last two the other
        assert torch.equal(shared[:, :, head], states.values[:, :, head * n_kv // 4])


@pytest.mark.parametrize(
    ("variant", "before", "after"),
    [
        ("llama", "input_layernorm", None),
        ("opt", "self_attn_layer_norm", None),
        ("opt_post_ln", None, "self_attn_layer_norm"),
        ("bert", None, "attention.output.LayerNorm"),
        ("gemma2", "input_layernorm", "post_attention_layernorm"),
        ("bloom_normed_residual", None, None),
    ],
)
def test_norms_around_attention(variant: str, before: str | None, after: str | None, loaded: Loaded) -> None:
    model = loaded(variant)
    layer, module = model.attention_layers[0], model.layer(0).module
    assert layer.norm_before is (None if before is None else module.get_submodule(before))
    assert layer.norm_after is (None if after is None else module.get_submodule(after))


def test_heads_that_cannot_share_the_rows_of_a_matrix_are_refused(tiny_folder: Folder) -> None:
    model = load_model(tiny_folder("llama"))
    model.module.config.num_attention_heads = 5
    with pytest.raises(ModelError, match=r"W_O of L0 has 32 rows, which 5 heads cannot share"):
        _ = model.attention_layers


def test_weights_are_changed_where_they_are_named_and_nowhere_else(loaded: Loaded) -> None:
    model = loaded("llama")
    states, layers = seen_of(model), model.attention_layers
    before = model.forward(IDS)
    own = states["L1"].weights
    turned = torch.eye(7)

    def change(layer: AttentionLayer, values: torch.Tensor) -> dict[tuple[int, int], torch.Tensor]:
        assert values.shape == (2, 7, 4, 8) and layer.name == "L1"
        return {(1, head): turned if head == 3 else own[1, head] for head in range(4)}

    with torch.no_grad(), change_attention(layers[1:2], change):
        changed = model.forward(IDS)
    assert torch.equal(changed[0], before[0])  # the other row of the batch
    # by hand: the last head's part of the output is what it is with those weights
    values = layers[1].expand(states["L1"].values)[1, :, 3]
    difference = (turned - own[1, 3]) @ values @ layers[1].output_matrix()[3]
    output = model.layer(1).at("self_attn.o_proj")
    handle = output.register_forward_hook(lambda _, __, y: torch.stack((y[0], y[1] + difference)))
    expected = model.forward(IDS)
    handle.remove()
    assert torch.allclose(changed, expected, atol=1e-5) and not torch.allclose(changed[1], before[1], atol=1e-3)
    with torch.no_grad(), change_attention(layers, lambda *_: {}):
        assert torch.equal(model.forward(IDS), before)  # nothing named, nothing changed
    assert torch.equal(model.forward(IDS), before)


def test_what_was_hooked_is_unhooked_whatever_happens() -> None:
    stopped: list[int] = []
    with pytest.raises(AssertionError, match="so far"), hooked(lambda n=n: stopped.append(n) for n in range(3)):
        assert stopped, "nothing is stopped so far"
    assert stopped == [0, 1, 2]


def test_every_config_of_a_model_is_as_it_was(tiny_folder: Folder) -> None:
    """Encoder and decoder have configs of their own, which may ask for different ways."""
    model = load_model(tiny_folder("t5"))
    configs = {id(part.config): part.config for part in model.module.modules() if hasattr(part, "config")}
    assert len(configs) > 1
    before, seen = {}, set()
    for number, (key, config) in enumerate(configs.items()):
        config._attn_implementation = before[key] = ("sdpa", "eager")[number % 2]

    def look_and_fail() -> None:
        seen.update(config._attn_implementation for config in configs.values())
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), step_by_step(model.module, model.attention_layers):
        look_and_fail()
    assert seen == {"eager"}
    assert {key: config._attn_implementation for key, config in configs.items()} == before
