"""What sources add and what is of none, against the sub-layer's own output, wherever the bias of W_V stands."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from ffmem import load_model
from ffmem.analyses.attention.inputs import as_batch, read_text, run
from ffmem.analyses.attention.split import split_values

Folder = Callable[[str], Path]
TEXT = "the quick brown fox jumps"


@pytest.mark.parametrize("variant", ["opt", "gpt2", "bert", "llama"])
def test_both_ways_give_the_output(variant: str, tiny_folder: Folder) -> None:
    model = load_model(tiny_folder(variant))
    seen = []
    run(model, *as_batch(model, read_text(model, TEXT)), lambda layer, states: seen.append((layer, states)))
    assert len(seen) == model.facts.n_layers
    for layer, states in seen:
        splits = [split_values(layer, states.values[0], bias) for bias in ("inside", "constant")]
        for split in splits:
            summed = torch.einsum("hij,jhd->id", states.weights[0], split.vectors) + split.constant
            assert torch.allclose(summed, states.output[0], atol=1e-4)
        assert torch.equal(splits[0].vectors, splits[1].vectors) == (layer.value_bias() is None)
