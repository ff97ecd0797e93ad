"""What decides the content of an index, and the words in which two of them differ."""

from collections.abc import Callable
from pathlib import Path

import pytest

import ffmem
from ffmem.errors import InputError
from ffmem.index.identity import (
    check_same,
    decide_projection,
    describe,
    differences,
    hash_of,
    identify,
    indexed_cells,
    join_corpora,
    without_exclusions,
)
from ffmem.options import IndexOptions
from ffmem.store.paths import StorePaths

CORPUS = {"kind": "file", "name": "a.txt", "sha256": "0" * 64}


def test_names_and_places_do_not_count_but_content_does() -> None:
    one = {"model": {"source": "a", "name": "m", "weights_sha256": "1"}, "corpus": CORPUS, "options": {"top": 5}}
    moved = one | {"model": {"source": "b", "name": "n", "weights_sha256": "1"}, "corpus": CORPUS | {"name": "b.txt"}}
    assert differences(one, moved) == ""
    other = one | {"options": {"top": 6, "max_length": 9}}
    assert differences(one, other) == "--max-length is None there and 9 here; --top is 5 there and 6 here" or (
        differences(one, other) == "--top is 5 there and 6 here; --max-length is None there and 9 here"
    )
    several = {"corpus": join_corpora([CORPUS, CORPUS])}
    changed = {"corpus": join_corpora([CORPUS | {"name": "x"}, CORPUS | {"sha256": "2"}])}
    assert differences(several, changed) == f"corpus.corpora.1.sha256 is '{'0' * 64}' there and '2' here"


def test_another_index_is_refused_with_each_difference(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"an index of something else: --top is 5 there and 6 here\."):
        check_same(StorePaths(tmp_path), {"options": {"top": 6}}, {"options": {"top": 5}})
    check_same(StorePaths(tmp_path), {"options": {"top": 5}}, {"options": {"top": 5}})


def test_a_hash_ignores_order_and_exclusions_are_no_part_of_what_a_shard_gives() -> None:
    assert hash_of({"a": 1, "b": 2}) == hash_of({"b": 2, "a": 1}) != hash_of({"a": 2, "b": 1})
    one, other = ({"options": {"top": 5, "exclude_shards": shards}} for shards in (None, "1,2"))
    assert without_exclusions(one) == without_exclusions(other) == {"options": {"top": 5}}


def test_of_a_model_weights_and_tokenizer_and_of_options_each_count(tiny_folder: Callable[[str], Path]) -> None:
    gpt2, llama = (ffmem.load_model(tiny_folder(name)) for name in ("gpt2", "llama"))
    options = IndexOptions(top=5)
    one = identify(gpt2, "here", None, [CORPUS], options)
    assert identify(gpt2, "here", None, [CORPUS], options) == one
    told = differences(one, identify(llama, "here", None, [CORPUS], IndexOptions(top=6)))
    assert "model.weights_sha256" in told and "--top is 5 there and 6 here" in told
    assert one["model"]["weights_sha256"] == gpt2.weights_hash()
    assert len(indexed_cells(gpt2, options).layers) == gpt2.facts.n_layers


def test_a_projection_that_the_model_does_not_have_is_refused(tiny_folder: Callable[[str], Path]) -> None:
    model = ffmem.load_model(tiny_folder("gpt2"))
    assert decide_projection(model, IndexOptions()) in model.facts.projections
    missing = next(name for name in ("adaptive", "folded", "raw") if name not in model.facts.projections)
    with pytest.raises(InputError, match=f"--projection is '{missing}'"):
        decide_projection(model, IndexOptions(projection=missing))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "machines", "holds", "why"),
    [
        (
            {},
            ["A, torch 2.9"],
            True,
            "one thread a worker on a CPU (A): the same bytes on any machine with this processor",
        ),
        ({"threads": 2}, ["A, torch 2.9"], False, "device cpu, 2 threads: another build is equal to rounding only"),
        (
            {"device": "cuda"},
            ["G, torch 2.9"],
            False,
            "device cuda, 1 threads: another build is equal to rounding only",
        ),
        (
            {},
            ["A, torch 2.9", "B, torch 2.9"],
            False,
            "computed on machines that differ (A, torch 2.9; B, torch 2.9): another build is equal to rounding only",
        ),
    ],
)
def test_the_same_bytes_are_promised_only_where_they_come(
    options: dict[str, object], machines: list[str], holds: bool, why: str, tiny_folder: Callable[[str], Path]
) -> None:
    model, chosen = ffmem.load_model(tiny_folder("gpt2"), proved=False), IndexOptions(**options)  # type: ignore[arg-type]
    told = describe(model, {}, chosen, machines)
    assert told["same_bytes"] == {"holds": holds, "processor": machines[0][0], "machines": machines, "why": why}
    assert told["layer_projections"] == [told["projection"]] * 3 and "cells_kept" not in told


def test_a_manifest_says_which_cells_are_there_and_what_stands_around_a_sentence(
    tiny_folder: Callable[[str], Path],
) -> None:
    told = describe(ffmem.load_model(tiny_folder("bert")), {}, IndexOptions(cells="L2.5,L2.6,L0.1"), ["A, torch 2.9"])
    assert told["cells_kept"] == {"L0": "1", "L2": "5-6"} and len(told["layer_projections"]) == 2
    assert told["special_tokens"] == {"prefix": [2], "suffix": [3]}
