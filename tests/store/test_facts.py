"""Facts of a model as plain data, to JSON and back."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffmem.ids import LayerCells
from ffmem.store.facts import ModelFacts

FACTS = ModelFacts(
    name="m", family="gpt2", architecture="GPT2LMHeadModel", n_layers=2, layers=(LayerCells(0, 8), LayerCells(1, 4, 2)),
    d_model=4, d_ff=8, d_vocab=40, activation="gelu", gated=False, key_bias=True, value_bias=True, norm="layernorm",
    norm_placement="pre", parallel=False, causal=True, max_length=None, projections=("raw", "folded"), dtype="float32",
)  # fmt: skip

LAYERS = st.lists(
    st.builds(LayerCells, st.integers(0, 99), st.integers(1, 99), st.integers(0, 9), st.sampled_from(["", "enc", "dec"])),
    min_size=1, max_size=5,
)  # fmt: skip


@given(LAYERS, st.booleans(), st.none() | st.integers(1, 10**6))
def test_json_gives_them_back(layers: list[LayerCells], gated: bool, max_length: int | None) -> None:
    facts = replace(FACTS, layers=tuple(layers), gated=gated, max_length=max_length)
    text = json.dumps(facts.to_json())
    assert ModelFacts.from_json(json.loads(text)) == facts
    assert facts.two_stacks == ('"stack": "enc"' in text or '"stack": "dec"' in text)


def test_their_json_by_hand() -> None:
    values = FACTS.to_json()
    assert values["layers"] == [
        {"layer": 0, "d_ff": 8, "n_experts": 0, "stack": ""},
        {"layer": 1, "d_ff": 4, "n_experts": 2, "stack": ""},
    ]
    assert values["projections"] == ["raw", "folded"] and values["max_length"] is None
    assert ModelFacts.from_json(values | {"of a later build": 7}) == FACTS
    for name in values:
        with pytest.raises(KeyError, match=name):
            ModelFacts.from_json({other: value for other, value in values.items() if other != name})


@pytest.mark.parametrize(
    ("change", "n_signs", "two_stacks", "predicts"),
    [
        ({}, 1, False, True),
        ({"gated": True}, 2, False, True),
        ({"causal": False}, 1, False, False),
        ({"layers": (LayerCells(0, 8, stack="enc"), LayerCells(0, 8, stack="dec"))}, 1, True, False),
    ],
)
def test_what_follows_from_them(change: dict[str, Any], n_signs: int, two_stacks: bool, predicts: bool) -> None:
    facts = replace(FACTS, **change)
    assert (facts.n_signs, facts.two_stacks, facts.predicts_next_token) == (n_signs, two_stacks, predicts)
