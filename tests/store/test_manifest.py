"""A manifest is read and written back to the byte, or refused; nothing in between."""

import copy
import json
import shutil
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ffmem import Index, StoreError, open_index
from ffmem.index.text.writer import TextCounts
from ffmem.store.manifest import Counts, Manifest, read_manifest

ODD = st.sampled_from([None, True, -1, 0, 1, 2**31, 2**63, 0.5, float("inf"), "", "x", [], {}, [None], {"a": 1}])


def layer(name: str = "", number: int = 0) -> dict[str, Any]:
    return {"layer": number, "d_ff": 8, "n_experts": 0, "stack": name}


def an_old_one() -> dict[str, Any]:
    """As an early build wrote it: no proof, no lines counted, no excluded shards; and a name that nobody knows."""
    counts = dict.fromkeys((field.name for field in fields(TextCounts)), 0) | {"stopped_by": None}
    counts.pop("n_lines")
    return {
        "format": 1,
        "identity": {
            "ffmem": "0.1", "format": 1,
            "model": {"name": "m", "source": "/m", "revision": None, "weights_sha256": "ab", "adapter": "lora"},
            "corpus": {"kind": "several", "name": "a + b", "corpora": [
                {"kind": "text", "name": "a", "sha256": "1"}, {"kind": "jsonl", "name": "b", "sha256": "2", "field": "t"},
            ]},
            "options": {"top": 3, "promoted": 5, "bos": "no", "seed": 7},
        },
        "model": {
            "name": "m", "family": "gpt2", "architecture": "GPT2LMHeadModel", "n_layers": 2,
            "layers": [layer(), layer(number=1)], "d_model": 4, "d_ff": 8, "d_vocab": 40, "activation": "gelu",
            "gated": False, "key_bias": True, "value_bias": True, "norm": "layernorm", "norm_placement": "pre",
            "parallel": False, "causal": True, "max_length": None, "projections": ["raw", "folded"], "dtype": "float32",
        },
        "cells_kept": {"L1": "0-2,5"},
        "projection": "folded", "layer_projections": ["folded"], "special_tokens": {"prefix": [1], "suffix": []},
        "same_bytes": {"holds": True, "processor": "p", "why": "one thread"},
        "counts": counts | {"n_sentences_by_corpus": [2, 3], "n_tokens": 9, "n_tokens_held_out": 4},
        "certificate": {"errors": {"ff_sum_errors": [0.0], "residual_errors": [1e-7], "hook_error": 0}},
        "files": {"index/text.sqlite": {"bytes": 10, "sha256": "cd"}},
        "from a later build": [1, {"b": None}],
    }  # fmt: skip


def test_what_was_read_is_written_back_to_the_byte(index_of: Callable[[str], Index]) -> None:
    for family in ("llama", "t5"):
        path = index_of(family).folder / "manifest.json"
        again = json.dumps(read_manifest(path.parent).to_json(), indent=1, ensure_ascii=False) + "\n"
        assert again.encode() == path.read_bytes()
    old = an_old_one()
    assert json.dumps(Manifest.parse(copy.deepcopy(old)).to_json()) == json.dumps(old)


def test_an_old_one_by_name() -> None:
    manifest = Manifest.parse(an_old_one())
    assert (manifest.options.top, manifest.options.seed, manifest.options.holdout) == (3, 7, 0.05)
    assert [(one.kind, one.name) for one in manifest.identity.corpora] == [("text", "a"), ("jsonl", "b")]
    assert manifest.identity.corpus.name == "a + b" and manifest.identity.model.json["adapter"] == "lora"
    assert manifest.certificate.proof is None and manifest.certificate.errors["residual_errors"] == [1e-7]
    assert manifest.same_bytes.machines == () and manifest.excluded_ranges == [] and manifest.counts.n_lines == 0
    assert manifest.counts.n_all_tokens == 13 and manifest.n_bytes == 10 and manifest.n_signs == 1
    assert [one.name for one in manifest.cells.layers] == ["L1"] and manifest.cells.n_cells == 4
    assert manifest.special_tokens.prefix == (1,) and manifest.model.predicts_next_token


@pytest.mark.parametrize(
    ("causal", "stacks", "predicts"),
    [(True, [""], True), (False, [""], False), (True, ["enc", "dec"], False), (True, ["", "dec"], False)],
)
def test_who_predicts_the_next_token(causal: bool, stacks: list[str], predicts: bool) -> None:
    values = an_old_one()
    values["model"] |= {"causal": causal, "layers": [layer(stack, i) for i, stack in enumerate(stacks)]}
    del values["cells_kept"]
    values["layer_projections"] = ["raw"] * len(stacks)
    manifest = Manifest.parse(values)
    assert manifest.model.predicts_next_token is predicts and manifest.model.two_stacks is (stacks != [""])
    assert manifest.model.to_json() == values["model"]


def test_counts_are_those_that_the_text_stage_counts() -> None:
    assert {field.name for field in fields(Counts)} - {"json"} == {field.name for field in fields(TextCounts)}


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"nonsense": 1}, "unexpected keyword argument 'nonsense'"),
        ({"bos": "perhaps"}, "--bos is 'perhaps'"),
        ({"cells": 5}, "--cells is 5"),
        ({"holdout": "much"}, "identity.options"),
    ],
)
def test_options_that_this_build_cannot_have_meant(options: dict[str, Any], why: str) -> None:
    values = an_old_one()
    values["identity"]["options"] |= options
    with pytest.raises(ValueError, match=r"its identity\.options are not valid") as error:
        Manifest.parse(values)
    assert why in str(error.value)


def with_dictionaries() -> dict[str, Any]:
    """Of one that has some cells of L1, and two dictionaries."""
    values = an_old_one()
    facts = {
        "layer": 0, "stack": "", "name": "tc", "d_ff": 6, "architecture": "topk", "activation": "topk", "k": 2,
        "reads": "mlp-input", "writes": "update", "skip": False, "layout": "saelens", "sha256": "ef",
    }  # fmt: skip
    values["dictionaries"] = [facts, facts | {"layer": 1, "k": None, "activation": "relu"}]
    values["identity"]["options"]["dictionary"] = ["L0=tc:/x", "L1=tc@mlp-input:/y"]
    values["cells_kept"] |= {"L0.tc": "0-5", "L1.tc": "0-5"}
    values["layer_projections"] = ["folded"] * 3
    return values


def test_dictionaries_are_cells_behind_those_of_the_model() -> None:
    found = Manifest.parse(with_dictionaries())
    assert [(one.name, one.n_cells) for one in found.cells.layers] == [("L1", 4), ("L0.tc", 6), ("L1.tc", 6)]
    for change in (["L1=tc:/x", "L0=other:/y"], ["L0=tc:/x"], []):
        values = with_dictionaries()
        values["identity"]["options"]["dictionary"] = change
        with pytest.raises(ValueError, match=r"it has other dictionaries than its identity\.options"):
            Manifest.parse(values)


@st.composite
def damaged(draw: st.DrawFn) -> dict[str, Any]:
    """One value of a sound manifest is gone, or another."""
    values: Any = draw(st.sampled_from([an_old_one, with_dictionaries]))()
    parent, key = values, draw(st.sampled_from(sorted(values)))
    while isinstance(parent[key], (dict, list)) and parent[key] and draw(st.booleans()):
        parent = parent[key]
        key = draw(st.sampled_from(sorted(parent) if isinstance(parent, dict) else range(len(parent))))
    if draw(st.booleans()):
        parent[key] = draw(ODD)
    else:
        del parent[key]
    return dict(values)


@given(damaged())
@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_a_damaged_one_is_refused_or_read_as_it_is(values: dict[str, Any]) -> None:
    before, problem = copy.deepcopy(values), ""
    try:
        manifest = Manifest.parse(values)
    except ValueError as error:
        problem = str(error)
    if problem:
        assert problem.startswith(("it has ", "its identity.options "))
        return
    assert manifest.to_json() == before
    assert manifest.model.to_json().items() <= before["model"].items()
    assert repr(manifest) and manifest.cells.n_cells > 0 and manifest.counts.n_all_tokens >= 0


@pytest.mark.parametrize("given", [None, 0, "", False, {}, {"L1": {}}, [None]])
def test_dictionaries_that_are_no_list_of_them_are_refused(given: Any) -> None:
    with pytest.raises(ValueError, match="it has no sound dictionaries"):
        Manifest.parse(with_dictionaries() | {"dictionaries": given})


def test_a_damaged_one_on_disk_is_a_store_error(index_of: Callable[[str], Index], tmp_path: Path) -> None:
    folder = tmp_path / "index"
    shutil.copytree(index_of("llama").folder, folder)
    values = json.loads((folder / "manifest.json").read_bytes())
    values["model"]["norm_placement"] = "above"
    (folder / "manifest.json").write_text(json.dumps(values))
    with pytest.raises(StoreError, match=r"manifest\.json is damaged: it has no sound model\.norm_placement"):
        open_index(folder)
