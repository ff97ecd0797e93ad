"""What attention must hold in every family: the numbered identities of the specification of norm-based analysis."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from ffmem import InputError, ModelError, load_model
from ffmem.analyses.attention.inputs import run
from ffmem.analyses.attention.maps import AttentionMaps, attention_maps
from ffmem.analyses.attention.norms import gram, norms_of, own_parts, summed_norms
from ffmem.analyses.attention.one_map import one_map
from ffmem.analyses.attention.split import split_values
from ffmem.models.attention import AttentionLayer, AttentionStates
from ffmem.models.identities import relative_error
from ffmem.models.transformer import Transformer
from tests.conftest import VARIANTS

TOLERANCE = 1e-5
TEXT = "the quick brown fox jumps over the lazy dog while rivers wait"
SELF_POST = ("bert", "bert_headless", "roberta", "roberta_headless", "opt_post_ln", "marian")


@pytest.fixture(params=VARIANTS)
def model(request: pytest.FixtureRequest, tiny_folder: Callable[[str], Path]) -> Transformer:
    return load_model(tiny_folder(request.param))


Seen = list[tuple[AttentionLayer, AttentionStates]]


def seen_of(model: Transformer, text: str = TEXT) -> Seen:
    """All states, by themselves, of one text."""
    from ffmem.analyses.attention.inputs import as_batch, read_text

    found: Seen = []
    run(model, *as_batch(model, read_text(model, text)), lambda layer, states: found.append((layer, states)))
    return found


def naive(layer: AttentionLayer, states: AttentionStates) -> torch.Tensor:
    """alpha f of every head, query and source: the tensor that is never made elsewhere, (heads, queries, keys, d_model)."""
    matrix = layer.output_matrix().double()
    vectors = torch.einsum("jhe,hed->hjd", layer.expand(states.values[0]).double(), matrix)
    return states.weights[0].double()[..., None] * vectors[:, None]


def test_every_kind_of_attention_is_found(model: Transformer) -> None:
    names = [layer.name for layer in model.attention_layers]
    if model.module.config.is_encoder_decoder:
        assert names == ["enc.L0", "enc.L1", "enc.L2", *(f"dec.L{n}{x}" for n in range(3) for x in ("", ".cross"))]
    else:
        assert names == ["L0", "L1", "L2"]
    assert {layer.n_heads for layer in model.attention_layers} == {4}


def test_1_what_sources_add_and_the_bias_are_the_output(model: Transformer) -> None:
    for layer, states in seen_of(model):
        summed = naive(layer, states).sum((0, 2))
        bias = layer.output_bias()
        expected = states.output[0] if bias is None else states.output[0] - bias
        assert relative_error(summed, expected) < TOLERANCE, layer.name
        assert float(states.output.abs().max()) > 1e-3  # not zero against zero


def test_1_and_17_maps_measure_it(model: Transformer) -> None:
    maps = attention_maps(model, TEXT)
    assert [one.layer for one in maps.layers] == [layer.name for layer in model.attention_layers]
    assert max(one.output_error for one in maps.layers) < TOLERANCE


def test_2_weights_scale_norms_and_norms_of_sums_are_no_larger(model: Transformer) -> None:
    for (layer, states), one in zip(in_order(model), attention_maps(model, TEXT).layers, strict=True):
        parts = naive(layer, states)
        assert np.allclose(one.head_norms, parts.norm(dim=-1), rtol=1e-4, atol=TOLERANCE)
        assert (one.summed_norms <= one.head_norms.sum(0) + TOLERANCE).all()
        total = parts.sum((0, 2)).norm(dim=-1).numpy()
        assert (total <= one.summed_norms.sum(1) * (1 + TOLERANCE)).all()


def in_order(model: Transformer) -> Seen:
    order = {layer.name: number for number, layer in enumerate(model.attention_layers)}
    return sorted(seen_of(model), key=lambda pair: order[pair[0].name])


def test_3_gram_norms_are_the_naive_ones(model: Transformer) -> None:
    for (layer, states), one in zip(in_order(model), attention_maps(model, TEXT).layers, strict=True):
        expected = naive(layer, states).sum(0).norm(dim=-1).numpy()
        assert np.abs(one.summed_norms - expected).max() < TOLERANCE * expected.max(), layer.name
        exact = summed_norms(
            states.weights[0].double(), gram(naive_vectors(layer, states))
        )  # the same form in double precision
        assert np.abs(exact.numpy() - expected).max() < 1e-12 * expected.max()


def naive_vectors(layer: AttentionLayer, states: AttentionStates) -> torch.Tensor:
    return torch.einsum("jhe,hed->jhd", layer.expand(states.values[0]).double(), layer.output_matrix().double())


@pytest.mark.parametrize("variant", ["opt", "llama", "wikilm", "t5"])
def test_3_a_heads_basis_is_no_fact_about_it(variant: str, tiny_folder: Callable[[str], Path]) -> None:
    """W_V R and R^-1 W_O are the same head: ‖alpha f‖ stays, ‖alpha v‖ does not."""
    model = load_model(tiny_folder(variant))
    before, values_before = attention_maps(model, TEXT), seen_of(model)[0][1].values.norm(dim=-1)
    paths = {
        "opt": "self_attn.{}_proj",
        "llama": "self_attn.{}_proj",
        "wikilm": "attention.{}",
        "t5": "layer.0.SelfAttention.{}",
    }
    names = {"opt": ("v", "out"), "llama": ("v", "o"), "wikilm": ("value", "output"), "t5": ("v", "o")}[variant]
    value, output = (model.layer(0).at(paths[variant].format(name)) for name in names)
    layer = model.attention_layers[0]
    n_kv = value.weight.shape[0] // layer.d_head
    change = torch.randn(layer.d_head, layer.d_head, generator=torch.Generator().manual_seed(3)) + 3 * torch.eye(
        layer.d_head
    )
    own = value.weight.view(n_kv, layer.d_head, -1)
    own.copy_(torch.einsum("ef,ked->kfd", change, own.clone()))
    if value.bias is not None:
        bias = value.bias.view(n_kv, layer.d_head)
        bias.copy_(bias.clone() @ change)
    heads = output.weight.view(-1, layer.n_heads, layer.d_head)
    heads.copy_(torch.einsum("fe,dhe->dhf", change.inverse(), heads.clone()))
    after, values_after = attention_maps(model, TEXT), seen_of(model)[0][1].values.norm(dim=-1)
    for name in ("transformed_norms", "summed_norms", "head_norms", "weights"):
        found, expected = (getattr(maps.layers[0], name) for maps in (after, before))
        assert np.abs(found - expected).max() < 1e-4 * np.abs(expected).max(), name
    assert relative_error(values_after, values_before) > 0.1


def test_4_the_bias_of_values_inside_or_constant(model: Transformer) -> None:
    inside, constant = (attention_maps(model, TEXT, bias=where) for where in ("inside", "constant"))
    for layer, one, other in zip(model.attention_layers, inside.layers, constant.layers, strict=True):
        assert max(one.output_error, other.output_error) < TOLERANCE  # the sum is the same
        assert np.array_equal(one.weights, other.weights)
        same = np.allclose(one.summed_norms, other.summed_norms, rtol=1e-4)
        # where some of the weight goes to a sink, sources do not get the bias whole, and it stays in each value
        assert same == (layer.value_bias() is None or layer.part.sink), layer.name


def test_5_the_norm_behind_the_sum(model: Transformer) -> None:
    """Parts behind the norm, and its bias, are what the norm gives; of models whose norm stands there."""
    maps = attention_maps(model, TEXT)
    if model.facts.norm_placement != "post":
        assert all(one.normed_norms is None and "AttnResLn-N" not in one.mixing for one in maps.layers)
        return
    for (layer, states), one in zip(in_order(model), maps.layers, strict=True):
        output, stream = states.output[0], states.stream[0]
        norm = model.unembedding.freeze(layer.norm_after, output + stream)
        parts = naive(layer, states).sum(0)
        behind = norm.shaped(parts) * norm.scale[:, None, None]
        rest = norm(stream.double()) + norm.bias
        if layer.output_bias() is not None:
            rest = rest + norm(layer.output_bias().double().expand_as(output))
        own = layer.norm_after(output + stream)
        assert relative_error(behind.sum(1) + rest, own) < TOLERANCE
        if layer.cross:
            assert one.normed_norms is None
            continue
        behind[range(len(own)), range(len(own))] += norm(stream.double())
        expected = behind.norm(dim=-1).numpy()
        assert np.abs(one.normed_norms - expected).max() < TOLERANCE * expected.max()


def test_6_mixing_ratios(model: Transformer) -> None:
    for (layer, states), one in zip(in_order(model), attention_maps(model, TEXT).layers, strict=True):
        if layer.cross:
            assert one.mixing == {} and one.residual_norms is None
            continue
        assert np.array_equal(one.mixing["AttnRes-W"], one.mixing["Attn-W"] / 2)
        for ratios in one.mixing.values():
            assert (ratios >= -1e-6).all() and (ratios <= 1 + 1e-6).all()
        parts = naive(layer, states).sum(0)
        own = parts[range(len(parts)), range(len(parts))]
        others = (parts.sum(1) - own).norm(dim=-1)
        expected = (others / (others + own.norm(dim=-1))).numpy()
        assert np.abs(one.mixing["Attn-N"] - expected).max() < 1e-4
        if layer.placement == "sandwich":
            norm = model.unembedding.freeze(layer.norm_after, states.output[0])
            parts = norm.shaped(parts) * norm.scale[:, None, None]
            own = parts[range(len(parts)), range(len(parts))]
            others = (parts.sum(1) - own).norm(dim=-1)
        assert np.abs(one.added_norms - parts.norm(dim=-1).numpy()).max() < TOLERANCE * float(parts.norm(dim=-1).max())
        with_stream = (own + states.stream[0]).norm(dim=-1)
        assert np.abs(one.mixing["AttnRes-N"] - (others / (others + with_stream)).numpy()).max() < 1e-4
        assert np.allclose(one.residual_norms.diagonal(), with_stream, rtol=1e-4)


def test_6_nothing_is_mixed_where_each_looks_at_itself() -> None:
    """alpha = I: the off-diagonal is empty."""
    weights = torch.eye(5).expand(2, 5, 5).contiguous()
    vectors = torch.randn(5, 2, 7, generator=torch.Generator().manual_seed(0))
    own = own_parts(weights, vectors)
    assert torch.allclose(own, vectors.sum(1))
    assert float((own - vectors.sum(1)).norm()) < 1e-6
    assert torch.count_nonzero(summed_norms(weights, gram(vectors)).fill_diagonal_(0)) == 0


def one_stack(model: Transformer) -> bool:
    return not model.module.config.is_encoder_decoder


def test_7_and_8_one_map_adds_up(model: Transformer) -> None:
    """Tokens' parts of coefficients, cells and sources' shares of a score, and everything in the stream."""
    if not one_stack(model):
        with pytest.raises(InputError, match=r"two kinds of sources.*Expected a model with a single stack of layers"):
            one_map(model, TEXT)
        return
    if model.facts.activation == "softmax":
        with pytest.raises(ModelError, match=r"memories of a softmax.*Expected cells whose coefficients are made by"):
            one_map(model, TEXT)
        return
    found = one_map(model, TEXT, limit=20)
    assert found.stream_error < TOLERANCE
    has_score = model.facts.causal and model.facts.norm_placement in ("pre", "sandwich")
    assert (found.score is not None) == has_score
    if has_score:
        assert found.score_error is not None and found.score is not None
        assert found.score_error < TOLERANCE * max(1.0, abs(found.score))
    for layer in found.layers:
        assert layer.memories
        for memory in layer.memories:
            total = sum(memory.fired_by) + memory.fired_by_constant
            assert total == pytest.approx(memory.cell.coefficient, abs=TOLERANCE * 10, rel=1e-4)
        if has_score:
            assert layer.memory_logits is not None and layer.memory_logit_constant is not None
            by_cells = sum(memory.addition.logit for memory in layer.memories) + layer.other_memories.logit
            assert sum(layer.memory_logits) + layer.memory_logit_constant == pytest.approx(by_cells, abs=1e-4)


def test_7_the_share_of_a_token_is_the_integral_over_the_activation() -> None:
    """Integrated gradients from 0 at the activation give z_j (act(s) - act(0)) / s, whatever the activation."""
    z = torch.tensor([0.7, -1.9, 0.4, 0.2], dtype=torch.float64)
    s = z.sum()
    steps = (torch.arange(200_000, dtype=torch.float64) + 0.5) / 200_000
    for act in (torch.relu, torch.nn.functional.gelu, torch.nn.functional.silu):
        x = (steps * s).requires_grad_()
        (slopes,) = torch.autograd.grad(act(x).sum(), x)
        shares = z * slopes.mean()
        assert torch.allclose(shares, z * act(s) / s, atol=1e-9)
        assert float(shares.sum()) == pytest.approx(float(act(s) - act(s * 0)), abs=1e-9)


def test_10_no_source_from_the_right_and_none_from_padding(model: Transformer) -> None:
    maps = attention_maps(model, TEXT)
    for one in maps.layers:
        if model.facts.activation == "softmax":  # memories have the rest
            assert (one.weights.sum(-1) < 1).all() and (one.weights.sum(-1) > 0).all()
        else:
            assert np.allclose(one.weights.sum(-1), 1, atol=TOLERANCE)
        sees_right = not model.facts.causal and not (one.layer.startswith("dec") and not one.cross)
        upper = np.triu(one.summed_norms, 1) if not one.cross else None
        if upper is not None:
            assert (upper.max() > 0) == sees_right
    ids = torch.randint(5, model.facts.d_vocab, (1, 6), generator=torch.Generator().manual_seed(1))
    padded = torch.cat((ids, torch.full((1, 3), model.pad_id)), dim=1)
    mask = torch.ones_like(padded)
    mask[:, 6:] = 0
    target = ids if not one_stack(model) else None
    alone: Seen = []
    beside: Seen = []
    run(model, ids, target, lambda layer, states: alone.append((layer, states)))
    run(model, padded, target, lambda layer, states: beside.append((layer, states)), attention_mask=mask)
    for (layer, own), (_, other) in zip(alone, beside, strict=True):
        queries, keys = own.weights.shape[-2:]
        assert float(other.weights[:, :, :queries, keys:].abs().sum()) == 0, layer.name
        assert relative_error(other.weights[:, :, :queries, :keys], own.weights) < 1e-4


def test_11_a_single_token(model: Transformer) -> None:
    maps = attention_maps(model, "the", bos="no")
    assert len(maps.read.tokens) == 1
    for layer, (_, states) in zip(maps.layers, in_order_of(model, "the"), strict=True):
        if layer.cross or layer.layer.startswith("dec"):
            continue  # the decoder has its start token as well
        assert layer.weights.shape == (4, 1, 1)
        assert ((layer.weights < 1) if model.facts.activation == "softmax" else (layer.weights == 1)).all()
        by_name = {one.name: one for one in model.attention_layers}
        bias = by_name[layer.layer].output_bias()
        output = states.output[0, 0] if bias is None else states.output[0, 0] - bias
        assert layer.summed_norms[0, 0] == pytest.approx(float(output.norm()), rel=1e-4)


def in_order_of(model: Transformer, text: str) -> Seen:
    order = {layer.name: number for number, layer in enumerate(model.attention_layers)}
    from ffmem.analyses.attention.inputs import as_batch, read_text

    found: Seen = []
    run(model, *as_batch(model, read_text(model, text, bos="no")), lambda layer, states: found.append((layer, states)))
    return sorted(found, key=lambda pair: order[pair[0].name])


def test_11_and_12_columns_and_heads(model: Transformer) -> None:
    """Sources in another order are columns in another order; a head without weight is a head that is not there."""
    for layer, states in seen_of(model)[:2]:
        weights, vectors = states.weights[0].float(), split_values(layer, states.values[0]).vectors
        whole = summed_norms(weights, gram(vectors))
        order = torch.randperm(weights.shape[-1], generator=torch.Generator().manual_seed(2))
        turned = summed_norms(weights[..., order].contiguous(), gram(vectors[order].contiguous()))
        assert torch.allclose(turned, whole[:, order], atol=1e-6)
        silenced = weights.clone()
        silenced[1] = 0
        kept = [0, 2, 3]
        without = summed_norms(weights[kept], gram(vectors[:, kept].contiguous()))
        assert torch.allclose(summed_norms(silenced, gram(vectors)), without, atol=1e-6)
        single = summed_norms(weights[:1], gram(vectors[:, :1].contiguous()))
        assert torch.allclose(single, weights[0] * norms_of(gram(vectors))[0], atol=1e-5)


def test_13_a_shared_value_is_a_value_for_each(tiny_folder: Callable[[str], Path], tmp_path: Path) -> None:
    import transformers

    shared = load_model(tiny_folder("llama"))
    config = shared.module.config.to_dict() | {"num_key_value_heads": 4}
    expanded = transformers.LlamaForCausalLM(transformers.LlamaConfig(**config)).eval()
    state = shared.module.state_dict()
    for name in list(state):
        if "k_proj" in name or "v_proj" in name:
            state[name] = state[name].view(2, 8, -1).repeat_interleave(2, dim=0).flatten(0, 1)
    expanded.load_state_dict(state)
    expanded.save_pretrained(tmp_path)
    shared.tokenizer.save_pretrained(tmp_path)
    for one, other in zip(maps_of(shared).layers, maps_of(load_model(tmp_path)).layers, strict=True):
        for name in ("weights", "transformed_norms", "summed_norms", "residual_norms"):
            assert np.allclose(getattr(one, name), getattr(other, name), rtol=1e-4, atol=1e-6)


def maps_of(model: Transformer) -> AttentionMaps:
    return attention_maps(model, TEXT)


@pytest.mark.parametrize("variant", ["bert", "opt", "gpt2", "llama"])
def test_17_weights_are_the_softmax_of_queries_and_keys(variant: str, tiny_folder: Callable[[str], Path]) -> None:
    model = load_model(tiny_folder(variant))
    layer = model.layer(1)
    kept: dict[str, torch.Tensor] = {}

    def keep(name: str) -> Callable[..., None]:
        return lambda _module, _inputs, output: kept.__setitem__(name, output[0])

    paths = {"bert": "attention.self.{}", "opt": "self_attn.{}_proj", "llama": "self_attn.{}_proj"}
    if variant == "gpt2":
        handles = [layer.at("attn.c_attn").register_forward_hook(keep("qkv"))]
    else:
        names = ("query", "key") if variant == "bert" else ("q", "k")
        handles = [
            layer.at(paths[variant].format(name)).register_forward_hook(keep(which))
            for name, which in zip(names, ("q", "k"), strict=True)
        ]
    one = next(states for found, states in seen_of(model) if found.name == "L1")
    for handle in handles:
        handle.remove()
    if variant == "gpt2":
        kept["q"], kept["k"], _ = kept["qkv"].chunk(3, dim=-1)
    q, k = (kept[name].unflatten(-1, (-1, 8)).transpose(0, 1) for name in ("q", "k"))
    if variant == "llama":
        from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

        cos, sin = model.module.model.rotary_emb(q, torch.arange(q.shape[1])[None])
        q, k = (one[0] for one in apply_rotary_pos_emb(q[None], k[None], cos, sin))
        k = k.repeat_interleave(2, dim=0)
    scores = q @ k.mT / 8**0.5
    if model.facts.causal:
        scores = scores.masked_fill(torch.ones(scores.shape[1:]).triu(1).bool(), -torch.inf)
    assert relative_error(one.weights[0], scores.softmax(-1)) < TOLERANCE


def test_watching_leaves_no_trace(model: Transformer) -> None:
    ids = torch.randint(5, model.facts.d_vocab, (2, 9), generator=torch.Generator().manual_seed(0))
    mask = None if model.facts.causal else torch.ones_like(ids)
    before = model.forward(ids, mask)
    implementations = [part.config._attn_implementation for part in model.module.modules() if hasattr(part, "config")]
    with pytest.raises(ZeroDivisionError), model.watch_attention(lambda *_: 1 / 0):
        model.forward(ids, mask)
    assert torch.equal(model.forward(ids, mask), before)
    assert implementations == [
        part.config._attn_implementation for part in model.module.modules() if hasattr(part, "config")
    ]
    hooks = [m for m in model.module.modules() if m._forward_pre_hooks or m._forward_hooks]
    # where a tokenizer has tokens beyond the embedding, that refuses them
    assert not [module for module in hooks if not isinstance(module, nn.Embedding)]
    with model.watch_attention(lambda *_: None, model.attention_layers[:1]):
        assert relative_error(model.forward(ids, mask), before) < TOLERANCE


def test_a_model_that_gives_no_weights_is_refused(tiny_folder: Callable[[str], Path]) -> None:
    model = load_model(tiny_folder("llama"))
    attention = model.layer(1).at("self_attn")
    own = attention.forward
    attention.forward = lambda *arguments, **named: (own(*arguments, **named)[0], None)
    with pytest.raises(ModelError, match=r"L1 gives no attention weights.*families.md"):
        attention_maps(model, TEXT)


def test_text_over_the_context_and_unknown_layers(model: Transformer) -> None:
    if model.facts.max_length is not None:
        with pytest.raises(InputError, match=r"the text has \d+ tokens.*Expected at most"):
            attention_maps(model, TEXT * 20)
    with pytest.raises(InputError, match="has no token"):
        attention_maps(model, "")
    with pytest.raises(InputError, match=r"has no attention 'L99'.*Expected one of: (enc.)?L0"):
        attention_maps(model, TEXT, layers=["L99"])
    if one_stack(model):
        with pytest.raises(InputError, match="no decoder that could read it"):
            attention_maps(model, TEXT, target="x")
