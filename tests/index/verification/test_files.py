"""Damage that only a look into the arrays and the text can find: each kind is told, and nothing else is."""

import hashlib
import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from ffmem import Index, StoreError, open_index
from ffmem.index.verification.files import expected_counts, wrong_arrays, wrong_files, wrong_text
from ffmem.store.keys import NO_TOKEN

LAYER = Path("index/layers/L001.safetensors")
Arrays = dict[str, np.ndarray]


@pytest.fixture
def copy(index_of: Callable[[str], Index], tmp_path: Path) -> Path:
    """An index of gated cells, which have two signs, to be damaged."""
    return Path(shutil.copytree(index_of("llama").folder, tmp_path / "copy"))


def agree(folder: Path) -> Index:
    """The index, its manifest made to agree with whatever files there are now."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_bytes())
    for name, told in manifest["files"].items():
        data = (folder / name).read_bytes()
        told |= {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    path.write_text(json.dumps(manifest))
    return open_index(folder)


def changed(folder: Path, change: Callable[[Arrays], object]) -> Index:
    """The index with other arrays in one of its layers."""
    arrays = load_file(folder / LAYER)
    change(arrays)
    save_file(arrays, folder / LAYER)
    return agree(folder)


def test_a_sound_index_has_nothing_wrong(copy: Path) -> None:
    index = changed(copy, lambda _: None)  # written by another library, in another order
    assert [*wrong_files(index), *wrong_text(index)] == []
    assert [problem for layer in range(index.n_layers) for problem in wrong_arrays(index, layer)] == []


def put(name: str, place: Any, value: Any) -> Callable[[Arrays], object]:
    return lambda arrays: arrays[name].__setitem__(place, value)


def empty_the_first_slot(arrays: Arrays) -> None:
    """The list of one cell begins with an empty slot; its slots are where they were."""
    arrays["trigger_token"][0, 1, 0], arrays["trigger_coefficient"][0, 1, 0] = NO_TOKEN, 0
    arrays["slot_by_token"][:] = np.argsort(arrays["trigger_token"].reshape(-1), kind="stable")


MORE = "a cell is active in more sentences than positions, or than it saw"
LESS = "a cell is active in fewer sentences than its histogram has above the lowest bin"
OF_LIST = "a trigger list has more or fewer sentences than the cell is active in"
ORDER, SIGN = "a trigger list is not in order", "a trigger's coefficient has the wrong sign, or an empty slot has one"


@pytest.mark.parametrize(
    ("change", "problems"),
    [
        (put("trigger_coefficient", (0, 1, -1), 1e-9), [SIGN]),  # of the negative list
        (put("trigger_coefficient", (3, 0, 2), np.nan), [SIGN]),
        (put("trigger_coefficient", (3, 0, slice(None)), 0), [SIGN]),
        (empty_the_first_slot, [ORDER]),
        (put("slot_by_token", 0, 2**31), ["the list from sentences to cells is not in order"]),
        (put("suppressed_scores", (2, 3), -np.inf), ["a promoted token's score is not a finite number"]),
        (put("suppressed_ids", (2, 3), 10**6), ["a promoted token's id is not in the vocabulary"]),
        (put("histogram", (7, 1, 30), 2**30), ["a histogram does not count each sentence once"]),
        (put("n_active_sentences", 7, 10**6), [MORE]),
        (
            put("n_active_sentences", 7, 0),
            ["a cell is active at positions, and in no sentence, or the other way about", LESS, OF_LIST],
        ),
        (put("n_active_sentences", 7, 1), [LESS, OF_LIST]),
    ],
)
def test_each_kind_of_damage_is_told_once(copy: Path, change: Callable[[Arrays], object], problems: list[str]) -> None:
    assert list(wrong_arrays(changed(copy, change), 1)) == [f"layer L1: {problem}" for problem in problems]


def test_positions_and_sentences_are_counted_by_the_text(copy: Path) -> None:
    index = open_index(copy)
    n_tokens, n_sentences = index.manifest.counts.n_tokens, index.text.n_sentences
    assert n_tokens == int(index.text.sentence_start[n_sentences])
    index = changed(copy, lambda arrays: arrays["counts"].__setitem__((0, 0), 5))
    assert list(wrong_arrays(index, 1)) == [
        f"layer L1: it counts 5 positions of {n_sentences:,} sentences, not {n_tokens:,} of {n_sentences:,}"
    ]
    index = changed(copy, lambda arrays: arrays["counts"].__setitem__((0, 1), 0))
    assert list(wrong_arrays(index, 1))[-1] == "layer L1: a histogram does not count each sentence once"


@pytest.mark.parametrize(
    ("name", "made", "told"),
    [
        (
            "minimum",
            lambda array: array[:-1],
            r"L001\.safetensors is damaged: minimum is float32\(47,\), not float32\(48,\)",
        ),
        ("n_active", lambda array: array.astype(np.int32), r"n_active is int32\(48,\), not int64\(48,\)"),
        ("counts", lambda array: array[0], r"counts is int64\(2,\), not int64\(1, 2\)"),
        ("square_sum", lambda array: None, r"L001\.safetensors has no array 'square_sum'"),
    ],
)
def test_an_array_that_is_missing_or_of_another_type_or_shape(
    copy: Path, name: str, made: Callable[[np.ndarray], np.ndarray | None], told: str
) -> None:
    """Also one that no other check looks at."""

    def change(arrays: Arrays) -> None:
        other = made(arrays.pop(name))
        if other is not None:
            arrays[name] = np.ascontiguousarray(other)

    with pytest.raises(StoreError, match=told):
        list(wrong_arrays(changed(copy, change), 1))


def test_a_file_of_another_length_or_content_is_told(copy: Path) -> None:
    index, path = open_index(copy), copy / "index" / "tokenizer.json"
    data = path.read_bytes()
    path.write_bytes(data + b" ")
    assert list(wrong_files(index)) == [f"index/tokenizer.json has {len(data) + 1:,} bytes, not {len(data):,}"]
    path.write_bytes(data[:-2] + b" }")
    assert list(wrong_files(index)) == ["index/tokenizer.json has changed: its SHA-256 is not that of the manifest"]


def test_files_that_no_build_wrote_are_told_in_order(copy: Path) -> None:
    for name in ("z", "layers/a", "layers/deep/b"):
        (copy / "index" / name).parent.mkdir(exist_ok=True)
        (copy / "index" / name).touch()
    (copy / "beside").touch()
    told = "is not in the manifest: this folder holds what the build wrote, and nothing else"
    assert list(wrong_files(open_index(copy))) == [
        f"index/{name} {told}" for name in ("layers/a", "layers/deep/b", "z")
    ]


def test_metadata_that_is_no_json_is_told(copy: Path) -> None:
    with sqlite3.connect(copy / "index" / "text.sqlite") as database:
        database.execute("UPDATE documents SET metadata = '{\"a\": NaN}' WHERE id = 3")
    database.close()
    (problem,) = wrong_text(agree(copy))
    assert "metadata" in problem


def test_a_sentence_that_is_missing_is_told(copy: Path) -> None:
    with sqlite3.connect(copy / "index" / "text.sqlite") as database:
        database.execute("DELETE FROM sentences WHERE id = 0")
    database.close()
    index = agree(copy)
    n, n_all = index.manifest.counts.n_sentences, index.manifest.counts.n_all_sentences
    assert list(wrong_text(index)) == [
        f"the text has {n - 1} indexed sentences, not {n}",
        f"text.sqlite has {n_all - 1} sentences, and the token arrays {n_all}",
    ]


class Text(SimpleNamespace):
    """As much of a text as is asked for."""


@settings(deadline=None)
@given(
    sentences=st.lists(st.tuples(st.integers(1, 9), st.integers(0, 8)), min_size=1, max_size=12),
    n_held_out=st.integers(0, 3),
    has_context=st.booleans(),
    skip_first=st.integers(0, 6),
    left_out=st.sets(st.integers(0, 12), max_size=3),
)
def test_what_competes_is_counted_as_a_loop_counts_it(
    sentences: list[tuple[int, int]], n_held_out: int, has_context: bool, skip_first: int, left_out: set[int]
) -> None:
    n_indexed = max(1, len(sentences) - n_held_out)
    lengths = [length for length, _ in sentences]
    context = [min(context, length - 1) for length, context in sentences]
    index: Any = SimpleNamespace(
        text=Text(
            sentence_start=np.cumsum([0, *lengths]).astype(np.uint64),
            context=np.array(context, dtype=np.uint32) if has_context else None,
        ),
        manifest=SimpleNamespace(
            counts=SimpleNamespace(n_sentences=n_indexed),
            options=SimpleNamespace(skip_first=skip_first),
            excluded_ranges=[(one, one + 2) for one in left_out],
        ),
    )
    gone = {number for one in left_out for number in (one, one + 1)}
    positions = counted = 0
    for number in range(n_indexed):
        n = lengths[number] - max(skip_first, context[number] if has_context else 0)
        if n > 0 and number not in gone:
            positions, counted = positions + n, counted + 1
    assert expected_counts(index) == (positions, counted)


def test_a_document_that_is_held_out_among_indexed_ones_is_told(copy: Path) -> None:
    with sqlite3.connect(copy / "index" / "text.sqlite") as database:
        database.execute(
            "UPDATE documents SET held_out = 1 WHERE id = (SELECT document_id FROM sentences WHERE id = 0)"
        )
    database.close()
    first, second, *_ = wrong_text(agree(copy))
    assert first.startswith("the text has ") and second.startswith(
        "a sentence that is held out stands at 0, before the "
    )
