"""The facts of a model against its own modules and config; a layer of another shape is found."""

from collections.abc import Callable
from pathlib import Path

import pytest
from torch import nn

from ffmem.errors import ModelError
from ffmem.models.model_facts import check_shapes, facts_of
from ffmem.models.registry import load_model
from ffmem.models.transformer import Transformer

Loaded = Callable[[str], Transformer]


def test_facts_are_those_of_the_modules(loaded: Loaded) -> None:
    for name, gated, placement in (("gpt2", False, "pre"), ("llama", True, "pre"), ("bert", False, "post")):
        model = loaded(name)
        facts, config = facts_of(model, "mine"), model.module.config
        assert (facts.name, facts.gated, facts.norm_placement) == ("mine", gated, placement)
        assert (facts.n_layers, facts.d_model, facts.d_vocab) == (
            config.num_hidden_layers, config.hidden_size, config.vocab_size,
        )  # fmt: skip
        assert facts.causal == model.family.causal and facts.labels == ()
        assert facts.dtype == "float32" and facts.architecture == type(model.module).__name__


def test_a_matrix_of_another_shape_is_named(tiny_folder: Callable[[str], Path]) -> None:
    model = load_model(tiny_folder("llama"))
    check_shapes(model)
    block = model.module.model.layers[1].mlp
    block.up_proj = nn.Linear(block.up_proj.in_features + 2, block.up_proj.out_features, bias=False)
    with pytest.raises(ModelError) as refused:
        check_shapes(model)
    assert refused.value.got.startswith("the up keys of layer L1 of llama")
    d_ff, d_model = model.facts.d_ff, model.facts.d_model
    assert f"the shape ({d_ff}, {d_model + 2})" in refused.value.got
    assert refused.value.expected == f"Expected {d_ff} of {d_model} numbers"
