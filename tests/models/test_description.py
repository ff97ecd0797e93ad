"""Where a model's memories lie, as it is told to people: of families whose papers say it."""

from collections.abc import Callable

import pytest

from ffmem.models.description import describe
from ffmem.models.transformer import Transformer


@pytest.mark.parametrize(
    ("variant", "memories", "stream", "head"),
    [
        ("gpt2", "a(mlp.c_fc) -> mlp.c_proj", "o = r + y, y of ln_2(r)", "ln_f -> unembedding"),
        (
            "llama",
            "a(mlp.gate_proj) x mlp.up_proj -> mlp.down_proj",
            "o = r + y, y of post_attention_layernorm(r)",
            "norm -> unembedding",
        ),
        (
            "bert",
            "a(intermediate.dense) -> output.dense",
            "o = output.LayerNorm(r + y), y of r",
            "a head that is not linear -> unembedding",
        ),
        (
            "gemma2",
            "a(mlp.gate_proj) x mlp.up_proj -> mlp.down_proj",
            "o = r + post_feedforward_layernorm(y), y of pre_feedforward_layernorm(r)",
            "norm -> unembedding, soft cap 30",
        ),
    ],
)
def test_memories_stream_and_head(
    variant: str, memories: str, stream: str, head: str, loaded: Callable[[str], Transformer]
) -> None:
    told = describe(loaded(variant))
    assert {(one["memories"], one["stream"]) for one in told["kinds"]} == {(memories, stream)}
    assert told["head"] == head and told["read_by"] == f"the rules of {loaded(variant).family.name}"
    assert "labels" not in told and "errors_of_the_search" not in told


def test_layers_alike_are_told_once_and_attention_only_if_it_is_asked_for(
    loaded: Callable[[str], Transformer],
) -> None:
    told = describe(loaded("llama"), attention=False)
    n = loaded("llama").facts.n_layers
    assert [one["layers"] for one in told["kinds"]] == [f"L0 to L{n - 1}"] and "attention" not in told
    assert describe(loaded("llama"))["attention"] == "self_attn: values self_attn.v_proj, output self_attn.o_proj"
