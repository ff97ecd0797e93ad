"""What a manifest must hold: each name that is missing, and each value that cannot be, is told by its place."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffmem.store.schema import problem_of
from tests.store.test_manifest import an_old_one

NEED_NOT_BE_THERE = (
    "cells_kept", "from a later build", "identity.format", "identity.model.adapter", "identity.corpus.corpora", "files.",
    "identity.options.bos", "identity.options.seed", "certificate.errors.hook_error", "counts.n_empty_sentences",
    "counts.n_held_out_also_indexed",
)  # fmt: skip


def places(value: Any, where: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Every name in objects within objects."""
    if not isinstance(value, dict):
        return []
    return [path for name, inner in value.items() for path in ((*where, name), *places(inner, (*where, name)))]


def parent_of(values: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    for name in path[:-1]:
        values = values[name]
    return values


def test_a_sound_one_has_no_problem_and_each_missing_name_is_told() -> None:
    assert problem_of(an_old_one()) is None
    needed = [path for path in places(an_old_one()) if not ".".join(path).startswith(NEED_NOT_BE_THERE)]
    assert len(needed) > 50
    for path in needed:
        values = an_old_one()
        del parent_of(values, path)[path[-1]]
        assert problem_of(values) == f"it has no {'.'.join(path)}"


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        ("format", True, "no sound format"),
        ("format", -1, "no sound format"),
        ("format", 1.0, "no sound format"),
        ("identity", [], "no object identity"),
        ("identity.ffmem", None, "no sound identity.ffmem"),
        ("identity.model.revision", 7, "no sound identity.model.revision"),
        ("identity.options.top", 0, "no sound identity.options.top"),
        ("identity.options.top", 2**48, "no sound identity.options.top"),
        ("identity.options.bos", [], "no sound identity.options"),
        ("identity.corpus.corpora", [], "no sound identity.corpus"),
        ("identity.corpus.corpora", [{"kind": "text"}], "no sound identity.corpus"),
        ("model.causal", 1, "no sound model.causal"),
        ("model.layers", [], "no list model.layers"),
        ("model.layers", {}, "no list model.layers"),
        ("model.norm_placement", "above", "no sound model.norm_placement"),
        ("model.projections", ["raw", "nothing"], "no sound model.projections"),
        ("model.max_length", 0, "no sound model.max_length"),
        ("layer_projections", ["raw", "raw"], "not one of layer_projections for each layer"),
        ("special_tokens.prefix", [-1], "no sound special_tokens.prefix"),
        ("same_bytes.machines", "one", "no sound same_bytes.machines"),
        ("counts.n_lines", -1, "no sound counts.n_lines"),
        ("counts.n_sentences_by_corpus", [], "no list counts.n_sentences_by_corpus"),
        ("certificate.errors.ff_sum_errors", [float("inf")], "no sound certificate.errors.ff_sum_errors"),
        ("certificate.errors.residual_errors", [True], "no sound certificate.errors.residual_errors"),
        ("certificate.proof", {}, "no certificate.proof.batching"),
        ("files", {"index/text.sqlite": {"bytes": 10}}, "no sound files"),
        ("cells_kept", {}, "no sound cells_kept"),
        ("cells_kept", {"L7": "0"}, "no sound cells_kept of L7"),
        ("cells_kept", {"L1": "0-8"}, "no sound cells_kept of L1"),
        ("cells_kept", {"L1": "2,1"}, "no sound cells_kept of L1"),
        ("cells_kept", {"L1": 5}, "no sound cells_kept of L1"),
    ],
)  # fmt: skip
def test_a_value_that_cannot_be_is_told_by_its_place(path: str, value: Any, problem: str) -> None:
    values, names = an_old_one(), tuple(path.split("."))
    parent_of(values, names)[names[-1]] = value
    assert problem_of(values) == f"it has {problem}"


def test_layers() -> None:
    values = an_old_one()
    layers = values["model"]["layers"]
    for change, problem in (
        ({"layer": 0}, "it has a layer twice"),
        ({"stack": "middle"}, "it has no sound model.layers.stack"),
        ({"n_experts": -1}, "it has no sound model.layers.n_experts"),
        ({"d_ff": 0}, "it has no sound model.layers.d_ff"),
        ({"layer": 0, "stack": "dec"}, "it has no sound cells_kept of L1"),  # there is a dec.L0, and no L1
    ):
        values["model"]["layers"] = [layers[0], layers[1] | change]
        assert problem_of(values) == problem
    del values["cells_kept"]
    assert problem_of(values | {"layer_projections": ["raw", "raw"]}) is None
    assert problem_of(values) == "it has not one of layer_projections for each layer"


SHARD = {"shard_id": 3, "first_sentence": 0, "end_sentence": 2, "n_tokens": 7}


@pytest.mark.parametrize(
    ("shards", "is_sound"),
    [
        ([], True),
        ([SHARD], True),
        ([SHARD | {"why": "a name of a later build"}], True),
        ({}, False),
        ([SHARD | {"end_sentence": 0}], False),
        ([SHARD | {"end_sentence": 3}], False),
        ([SHARD | {"n_tokens": 0.5}], False),
        ([{name: value for name, value in SHARD.items() if name != "shard_id"}], False),
        ([None], False),
    ],
)
def test_shards_that_were_left_out(shards: Any, is_sound: bool) -> None:
    values = an_old_one()
    values["counts"]["n_sentences"] = 2
    assert problem_of(values | {"excluded_shards": shards}) == (None if is_sound else "it has no sound excluded_shards")


PROOF = {
    "batching": {"causal": True, "rows": "padded", "fresh": False, "more": 1}, "lengths": [3, 9], "errors": {"alone": 1e-7},
    "notes": [],
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({}, None),
        ({"notes": ["a", "b"]}, None),
        ({"lengths": []}, "no list certificate.proof.lengths"),
        ({"errors": {"alone": "small"}}, "no sound certificate.proof.errors"),
        ({"notes": [1]}, "no sound certificate.proof.notes"),
        ({"batching": {"causal": True, "rows": "padded"}}, "no certificate.proof.batching.fresh"),
    ],
)
def test_a_proof_is_checked_where_there_is_one(change: dict[str, Any], problem: str | None) -> None:
    values = an_old_one()
    values["certificate"]["proof"] = PROOF | change
    assert problem_of(values) == (problem and f"it has {problem}")


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda inner: (
    st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["format", "model", "layers", "files", "x"]), inner)
), max_leaves=8))  # fmt: skip
def test_whatever_json_it_is_a_problem_is_told_and_nothing_is_changed(value: Any) -> None:
    before = copy.deepcopy(value)
    problem = problem_of(value)
    assert problem is not None and problem.startswith("it has no ")
    assert repr(value) == repr(before)
