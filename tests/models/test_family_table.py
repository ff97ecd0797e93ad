"""The table of families against tiny models themselves: their norms, cells, stacks and attention as modules."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ffmem import load_model
from ffmem.models.family_table import family_table
from ffmem.models.registry import FAMILIES

Row = dict[str, str]


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    head, rule, *lines = family_table().splitlines()
    names = [cell.strip() for cell in head.strip("|").split("|")]
    assert rule == "|" + "---|" * len(names)
    return [dict(zip(names, (cell.strip() for cell in line.strip("|").split("|")), strict=True)) for line in lines]


def row_of(rows: list[Row], architecture: str) -> Row:
    (found,) = [row for row in rows if architecture in row["architectures"].split(", ")]
    return found


def test_every_architecture_has_its_one_place_in_the_order_of_families(rows: list[Row]) -> None:
    listed = [name for row in rows for name in row["architectures"].split(", ")]
    assert sorted(listed) == sorted(name for family in FAMILIES for name in family.architectures)
    links = [row["family"] for row in rows]
    assert list(dict.fromkeys(links)) == [f"[`{family.name}`](#{family.name})" for family in FAMILIES]


@pytest.mark.parametrize(
    "variant", ["gpt2", "llama", "opt", "bert", "gemma2", "mixtral", "t5", "gpt_neox", "bloom", "wikilm", "marian"]
)
def test_a_row_says_what_a_models_modules_are(
    variant: str, rows: list[Row], tiny_folder: Callable[[str], Path]
) -> None:
    model = load_model(tiny_folder(variant))
    row, layer = row_of(rows, type(model.module).__name__), model.layer(-1)
    norm = type(layer.at(model.layout(-1).ff_norm)).__name__
    # T5 calls its own an RMSNorm too, by another name
    is_rms = "RMS" in norm or norm in ("T5LayerNorm", "FusedRMSNorm")
    assert row["norms"].startswith("RMSNorm, " if is_rms else "LayerNorm, ")
    parameters = [name for name, _ in model.module.named_parameters()]
    assert ("gated" in row["cells"].removeprefix("ungated")) == any("gate" in name for name in parameters)
    assert ("in experts" in row["cells"]) == any("experts" in name for name in parameters)
    assert ("two stacks" in row["sub-layers"]) == model.module.config.is_encoder_decoder
    paths = [path.strip("`") for path in row["attention"].split(" and ")]
    assert len(paths) == (2 if model.module.config.is_encoder_decoder else 1)
    for path in paths:
        assert "tt" in type(layer.at(path)).__name__  # ...Attention, whatever stands before it
    right_sees_left = row["a trigger is"] == "a prefix"
    assert right_sees_left == model.facts.causal


def test_rows_that_people_know(rows: list[Row]) -> None:
    gpt2 = row_of(rows, "GPT2LMHeadModel")
    assert [gpt2[name] for name in ("norms", "cells", "sub-layers", "attention", "a trigger is")] == [
        "LayerNorm, pre", "ungated", "in sequence", "`attn`", "a prefix",
    ]  # fmt: skip
    assert row_of(rows, "LlamaForCausalLM") is row_of(rows, "Qwen3ForCausalLM")
    assert row_of(rows, "BertForMaskedLM")["norms"] == "LayerNorm, post"
    assert row_of(rows, "Gemma2ForCausalLM")["norms"] == "RMSNorm, sandwich"
    assert row_of(rows, "GPTNeoXForCausalLM")["sub-layers"] == "parallel"
    assert row_of(rows, "T5ForConditionalGeneration")["a trigger is"] == "a position in a sentence"
