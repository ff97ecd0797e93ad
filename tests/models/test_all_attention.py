"""The modules themselves, against loops over heads and memories, and against what a softmax must do."""

from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM

from ffmem.models.all_attention import AllAttention, AllAttentionConfig, AllAttentionForCausalLM, PersistentVectors
from ffmem.models.wikilm import WikiLMAttention, WikiLMConfig, WikiLMForCausalLM

D_MODEL, HEADS, N = 24, 3, 5
SIZES = {"hidden_size": D_MODEL, "num_attention_heads": HEADS, "intermediate_size": N, "num_hidden_layers": 2}
WORDS = {"vocab_size": 90, "cutoffs": [30, 60], "adaptive_factor": 2}


def attention(n_memories: int = N) -> AllAttention:
    torch.manual_seed(3)
    made = AllAttention(AllAttentionConfig(**SIZES | {"intermediate_size": n_memories})).eval()
    with torch.no_grad():
        for linear in (made.query, made.key, made.value, made.output):
            linear.bias.normal_(std=0.5)
    return made.double()


def states(n: int = 6) -> Tensor:
    return torch.randn(2, n, D_MODEL, generator=torch.Generator().manual_seed(0)).double()


def coefficients(module: AllAttention, x: Tensor) -> Tensor:
    """What the memories are given, (batch, positions, heads, memories)."""
    caught: list[Tensor] = []
    hook = module.memories.register_forward_pre_hook(lambda _, inputs: caught.append(inputs[0]))
    module(x, None)
    hook.remove()
    return caught[0].unflatten(-1, (HEADS, -1))


@torch.no_grad()
def by_loops(module: AllAttention, x: Tensor) -> Tensor:
    """The sub-layer of one text, (positions, d_model), by the definition, one head and one position at a time."""
    d_head, query, keys, values = D_MODEL // HEADS, module.query(x), module.key(x), module.value(x)
    rows = []
    for t in range(len(x)):
        mixed = []
        for h in range(HEADS):
            own = slice(h * d_head, (h + 1) * d_head)
            memories = range(h * N, (h + 1) * N)
            scores = [query[t, own] @ keys[s, own] / d_head**0.5 for s in range(t + 1)]
            scores += [query[t, own] @ module.memories.keys[n] for n in memories]
            added = [values[s, own] for s in range(t + 1)] + [N**0.5 * module.memories.values[n] for n in memories]
            weights = [score.exp() / sum(one.exp() for one in scores) for score in scores]
            mixed.append(sum(weight * value for weight, value in zip(weights, added, strict=True)))
        rows.append(module.output(torch.cat(mixed)))
    return torch.stack(rows)


@torch.no_grad()
def test_context_and_memories_add_up_to_the_definition() -> None:
    module, x = attention(), states()
    added, remembered, _ = module(x, None)
    for row in range(2):
        assert torch.allclose((added + remembered)[row], by_loops(module, x[row]), atol=1e-12)


@torch.no_grad()
def test_weights_of_context_and_memories_add_up_to_1() -> None:
    module, x = attention(), states()
    _, _, weights = module(x, None)
    m = coefficients(module, x)
    assert (m > 0).all()
    whole = weights.sum(-1).transpose(1, 2) + m.sum(-1)
    assert torch.allclose(whole, torch.ones_like(whole), atol=1e-12)
    assert torch.equal(weights, weights.tril())


@torch.no_grad()
def test_without_memories_it_is_plain_attention() -> None:
    module, x = attention(0), states()
    plain = WikiLMAttention(WikiLMConfig(**SIZES)).double().eval()
    plain.load_state_dict({name: one for name, one in module.state_dict().items() if not name.startswith("memories")})
    added, remembered, _ = module(x, None)
    assert torch.equal(remembered, torch.zeros_like(added))
    assert torch.allclose(added, plain(x, None)[0], atol=1e-12)


@torch.no_grad()
def test_keys_have_a_gauge() -> None:
    """One vector added to all keys of a head, those of the context too: no coefficient changes. To memories alone: no share."""
    module, x = attention(), states()
    before = coefficients(module, x)
    c = torch.randn(HEADS, D_MODEL // HEADS, generator=torch.Generator().manual_seed(1)).double()
    module.memories.keys += c.repeat_interleave(N, dim=0)
    alone = coefficients(module, x)
    assert not torch.allclose(alone, before, rtol=1e-2)
    shares = [one / one.sum(-1, keepdim=True) for one in (alone, before)]
    assert torch.allclose(*shares, atol=1e-12)
    module.key.bias += (c * (D_MODEL // HEADS) ** 0.5).flatten()
    assert torch.allclose(coefficients(module, x), before, atol=1e-12)


@torch.no_grad()
def test_with_equal_keys_a_head_gives_the_mean_of_its_values() -> None:
    module, x = attention(), states()
    module.memories.keys[:] = module.memories.keys[0]
    m = coefficients(module, x)
    assert torch.allclose(m, m[..., :1].expand_as(m), atol=1e-12)
    mixed = module.memories(m.flatten(2)).unflatten(-1, (HEADS, -1))
    means = module.memories.values.unflatten(0, (HEADS, N)).mean(1) * N**0.5
    assert torch.allclose(mixed, m.sum(-1, keepdim=True) * means, atol=1e-12)


@torch.no_grad()
def test_with_large_scores_the_best_memory_is_alone() -> None:
    """Scores times tau, tau to infinity: of each head the memory of the largest score has all that its memories have."""
    module, x = attention(), states()
    query = module.query(x).unflatten(-1, (HEADS, -1)).transpose(1, 2)
    best = module.memories.scores(query).argmax(-1).transpose(1, 2)
    module.memories.keys *= 1e5
    m = coefficients(module, x)
    some = m.sum(-1) > 0  # of others the context has everything
    assert some.sum() > some.numel() / 2
    shares = m[some] / m[some].sum(-1, keepdim=True)
    assert torch.equal(shares.argmax(-1), best[some])
    assert torch.allclose(shares.max(-1).values, torch.ones(len(shares)).double(), atol=1e-9)


def test_a_saved_model_is_the_same_when_it_is_loaded(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = AllAttentionForCausalLM(AllAttentionConfig(**SIZES, **WORDS)).eval()
    model.save_pretrained(tmp_path)
    again = AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    ids = torch.randint(3, 90, (2, 7), generator=torch.Generator().manual_seed(0))
    assert type(again) is AllAttentionForCausalLM
    assert torch.equal(model(ids).logits, again(ids).logits)


@torch.no_grad()
def test_padding_and_kept_positions_change_nothing() -> None:
    torch.manual_seed(0)
    model = AllAttentionForCausalLM(AllAttentionConfig(**SIZES, **WORDS)).eval()
    ids = torch.randint(3, 90, (1, 7), generator=torch.Generator().manual_seed(0))
    whole = model(ids).logits
    padded, mask = torch.cat((ids, ids[:, :2]), dim=1), torch.tensor([[1] * 7 + [0] * 2])
    assert torch.allclose(model(padded, mask).logits[:, :7], whole, atol=1e-5)
    first = model.model(ids[:, :4], use_cache=True)
    rest = model.model(ids[:, 4:], past_key_values=first.past_key_values, use_cache=True)
    assert torch.allclose(model.log_probabilities(rest[0]), whole[:, 4:], atol=1e-5)


def test_a_layer_has_as_many_parameters_as_one_of_feed_forward_cells() -> None:
    """N = d_ff: 2 N d_model either way, less the biases and the norm of the feed-forward layer."""
    own = AllAttentionForCausalLM(AllAttentionConfig(**SIZES, **WORDS)).num_parameters()
    other = WikiLMForCausalLM(WikiLMConfig(**SIZES, **WORDS)).num_parameters()
    assert other - own == 2 * (N + D_MODEL + 2 * D_MODEL)


@pytest.mark.parametrize("name", ["keys", "values"])
def test_vectors_are_drawn_as_in_the_papers_code(name: str) -> None:
    torch.manual_seed(0)
    vectors = PersistentVectors(8, 400, 16)
    expected = {"keys": 16**-0.5, "values": 400**-0.5}[name]
    assert float(getattr(vectors, name).detach().std()) == pytest.approx(expected, rel=0.02)
