"""How much of a position comes from others, pair by pair; by hand where the answer is known."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ffmem import load_model
from ffmem.analyses.attention.inputs import as_batch, read_text, run
from ffmem.analyses.attention.mixing import VARIANTS, mixing_ratios, parts_of, ratios_of
from ffmem.analyses.attention.split import split_values
from ffmem.models.attention import AttentionLayer, AttentionStates
from ffmem.models.transformer import Transformer

Folder = Callable[[str], Path]
TEXT = "the quick brown fox jumps"


def seen_of(model: Transformer) -> list[tuple[AttentionLayer, AttentionStates]]:
    found: list[tuple[AttentionLayer, AttentionStates]] = []
    run(model, *as_batch(model, read_text(model, TEXT)), lambda layer, states: found.append((layer, states)))
    return found


@pytest.mark.parametrize("variant", ["bert", "gemma2", "gpt2"])
def test_mixing_ratios_by_hand(variant: str, tiny_folder: Folder) -> None:
    model = load_model(tiny_folder(variant))
    for layer, states in seen_of(model):
        split = split_values(layer, states.values[0])
        ratios = mixing_ratios(model, layer, states, split)
        weights = states.weights[0]
        for i in range(weights.shape[1]):
            pairs = torch.einsum("hj,jhd->jd", weights[:, i], split.vectors)
            others, own = pairs.sum(0) - pairs[i], pairs[i]
            assert ratios["Attn-N"][i] == pytest.approx(float(others.norm() / (others.norm() + own.norm())), abs=1e-4)
            assert ratios["Attn-W"][i] == pytest.approx(float(1 - weights[:, i, i].mean()), abs=1e-5)
        assert ("AttnResLn-N" in ratios) == (variant == "bert")


@pytest.mark.parametrize("variant", ["bert", "opt_post_ln", "gemma2", "llama"])
def test_what_others_bring_and_what_is_its_own_are_the_whole_stream(variant: str, tiny_folder: Folder) -> None:
    """Together they are what the sub-layer's own norm gives of its own output, but for what belongs to no position."""
    model = load_model(tiny_folder(variant))
    for layer, states in seen_of(model):
        split = split_values(layer, states.values[0])
        parts = parts_of(model, layer, states, split)
        output, stream = states.output[0], states.stream[0]
        assert torch.allclose(sum(parts["Attn-N"]), output - split.constant, atol=1e-4)
        if layer.placement == "sandwich":
            assert torch.allclose(sum(parts["AttnRes-N"]), layer.norm_after(output) + stream, atol=1e-4)
            continue
        assert torch.allclose(sum(parts["AttnRes-N"]), output + stream - split.constant, atol=1e-4)
        if layer.placement == "post":
            norm = layer.norm_after
            scale = ((output + stream).var(-1, unbiased=False, keepdim=True) + norm.eps).rsqrt()
            rest = norm.weight * (split.constant - split.constant.mean()) * scale + norm.bias
            assert torch.allclose(sum(parts["AttnResLn-N"]), norm(output + stream) - rest, atol=1e-4)


LENGTHS = st.floats(0, 1e6, width=32)


@given(st.lists(st.tuples(LENGTHS, LENGTHS), min_size=1, max_size=5), st.integers(1, 3), st.integers(0, 99))
def test_ratios_are_those_of_lengths(lengths: list[tuple[float, float]], n_heads: int, seed: int) -> None:
    """Of vectors along one axis, whose lengths are known; 0 where there is nothing at all."""
    n = len(lengths)
    weights = np.random.default_rng(seed).dirichlet(np.ones(n), (n_heads, n)).astype(np.float32)
    others, own = (torch.zeros(n, 3) for _ in range(2))
    for position, (one, two) in enumerate(lengths):
        others[position, 0], own[position, 2] = -one, two
    found = ratios_of(torch.from_numpy(weights), {"Attn-N": (others, own)})
    for position, (one, two) in enumerate(lengths):
        expected = one / (one + two) if one + two > 1e-29 else 0.0
        assert found["Attn-N"][position] == pytest.approx(expected, abs=1e-6)
        looks_away = float(np.mean([1 - weights[head, position, position] for head in range(n_heads)]))
        assert found["Attn-W"][position] == pytest.approx(looks_away, abs=1e-6)
        assert found["AttnRes-W"][position] == pytest.approx(looks_away / 2, abs=1e-6)
    assert [name for name in VARIANTS if name in found] == ["Attn-W", "AttnRes-W", "Attn-N"]
