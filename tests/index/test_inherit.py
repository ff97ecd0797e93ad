"""What a finished index hands on: its state, its promoted tokens, its text; and with what it cannot be extended."""

import copy
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from ffmem import Index, InputError
from ffmem.index.finish import layer_arrays
from ffmem.index.inherit import check_extendable, copy_promoted, n_shards, states_of, text_of
from ffmem.index.scan.tasks import promoted_path
from ffmem.index.state.layers import Shape
from ffmem.index.state.states import merged_layers, save_state
from ffmem.store import fields
from ffmem.store.keys import NO_TOKEN


@pytest.mark.parametrize("family", ["gpt2", "llama", "mixtral"])
def test_a_state_gives_the_layer_files_that_it_was_read_from(
    family: str, index_of: Callable[[str], Index], tmp_path: Path
) -> None:
    index = index_of(family)
    options = index.manifest.options
    shape = Shape(index.cells.layers, index.n_signs, options.top, options.per_sentence)
    save_state(tmp_path / "s", shape, states_of(index), "job", {0})
    for layer, arrays in enumerate(merged_layers([tmp_path / "s"], shape, layer_arrays)):
        stored = index.layer(layer)
        for name in fields.layer_arrays():
            if name not in fields.PROMOTED_ARRAYS:
                assert np.array_equal(arrays[name], getattr(stored, name)), (layer, name)


def test_tokens_are_moved_and_empty_slots_stay_empty(index_of: Callable[[str], Index]) -> None:
    index = index_of("llama")
    for layer, (old, new) in enumerate(zip(states_of(index), states_of(index, 1000), strict=True)):
        keys, moved = old["keys"].reshape(-1).tolist(), new["keys"].reshape(-1).tolist()
        # a larger token is a smaller key of the same coefficient
        assert moved == [key - 1000 if key else 0 for key in keys]
        assert np.count_nonzero(moved) == (index.layer(layer).trigger_token != NO_TOKEN).sum() > 300
        for name in ("sum", "counts", "histogram"):
            assert np.array_equal(old[name], new[name])


def test_promoted_tokens_are_copied(index_of: Callable[[str], Index], tmp_path: Path) -> None:
    index = index_of("gpt2")
    copy_promoted(index, tmp_path)
    assert len(list(tmp_path.iterdir())) == index.n_layers
    for layer in range(index.n_layers):
        arrays = load_file(promoted_path(tmp_path, layer))
        assert sorted(arrays) == sorted(fields.PROMOTED_ARRAYS)
        assert all(np.array_equal(array, getattr(index.layer(layer), name)) for name, array in arrays.items())


def test_a_text_is_continued_with_its_counts(index_of: Callable[[str], Index]) -> None:
    index = index_of("gpt2")
    base, told = text_of(index), index.manifest.counts
    assert base.folder == index.folder / "index" and (base.folder / "text.sqlite").is_file()
    for name, value in vars(base.counts).items():
        known = getattr(told, name)
        assert value == (list(known) if isinstance(known, tuple) else known), name
    assert base.counts.n_sentences == index.text.n_sentences > 300


def test_shards_are_counted_as_they_were_cut(index_of: Callable[[str], Index]) -> None:
    """By hand: a shard ends with the sentence in which it reaches the size."""
    index = index_of("gpt2")
    lengths = [int(b) - int(a) for a, b in pairwise(index.text.sentence_start[: index.text.n_sentences + 1])]
    n = used = 0
    for length in lengths:
        used += length
        if used >= index.manifest.options.shard_tokens:
            n, used = n + 1, 0
    assert n_shards(index) == n + bool(used) > 3


def asked(index: Index, **options: Any) -> dict[str, Any]:
    identity: dict[str, Any] = copy.deepcopy(dict(index.manifest.identity.json))
    identity["options"] |= options
    identity["corpus"] = {"kind": "file", "name": "more.txt", "sha256": "0" * 64}
    return identity


def test_another_corpus_is_what_an_extension_is_for(index_of: Callable[[str], Index]) -> None:
    index = index_of("gpt2")
    check_extendable(index, asked(index))
    check_extendable(index, asked(index, exclude_shards=str(n_shards(index))))  # one of the new text


def test_another_model_or_option_is_told_by_its_flag(index_of: Callable[[str], Index]) -> None:
    index = index_of("gpt2")
    with pytest.raises(InputError) as told:
        check_extendable(index, asked(index, top=8, seed=3))
    assert told.value.got == (
        f"{index.folder} cannot be extended with these options: --top is 7 there and 8 here; --seed is 0 there and 3 here"
    )
    assert told.value.expected == "Expected the same model and options"
    assert told.value.mend == f"Give the options that `ffmem info {index.folder}` shows"
    other = asked(index)
    other["model"]["tokenizer_sha256"] = "f" * 64
    with pytest.raises(InputError, match=r"model\.tokenizer_sha256 is '[0-9a-f]+' there and 'ffff"):
        check_extendable(index, other)


def test_a_shard_of_the_base_cannot_be_left_out_afterwards(index_of: Callable[[str], Index]) -> None:
    index = index_of("gpt2")
    n = n_shards(index)
    with pytest.raises(InputError) as told:
        check_extendable(index, asked(index, exclude_shards=f"1,2,{n}"))
    assert told.value.got == f"of the {n} shards of {index.folder}, none are left out there and 1,2 here"
    assert told.value.mend == f"Name only shards from {n} on"
