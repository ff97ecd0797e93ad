"""The files of a finished index, from states made by hand: their arrays against loops, their hashes against the system's."""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from ffmem import Index
from ffmem.ids import CellSpace, LayerCells
from ffmem.index.finish import layer_arrays, write_index, write_manifest
from ffmem.index.scan.tasks import promoted_path
from ffmem.index.state.accumulator import LayerAccumulator
from ffmem.index.state.layers import Shape
from ffmem.index.state.places import Places
from ffmem.store.keys import NO_TOKEN
from ffmem.store.paths import StorePaths

SHAPE = Shape(CellSpace([LayerCells(0, 3), LayerCells(4, 2)]).layers, 2, 3, "1")


def accumulated(seed: int, first_token: int) -> LayerAccumulator:
    rng = np.random.default_rng(seed)
    accumulator = LayerAccumulator(SHAPE)
    tokens = first_token + np.arange(8).reshape(4, 2)
    for layer, cells in enumerate(SHAPE.layers):
        values = torch.from_numpy(rng.integers(-2, 3, (4, 2, cells.n_cells)).astype(np.float32))
        accumulator.observe(layer, values, Places(0, np.full(4, 2), tokens))
    accumulator.close_shard(seed, "m")
    return accumulator


@settings(deadline=None)
@given(seed=st.integers(0, 10**6))
def test_a_layer_file_holds_what_the_keys_stand_for(seed: int) -> None:
    state = accumulated(seed, 100).layer(0)
    arrays = layer_arrays(state)
    for cell in range(3):
        for sign in range(2):
            for rank in range(3):
                key = int(state["keys"][sign, cell, rank])
                coefficient = float(np.uint32(key >> 32).view(np.float32)) * (-1 if sign else 1)
                token = 0xFFFFFFFF - (key & 0xFFFFFFFF)
                found = arrays["trigger_coefficient"][cell, sign, rank], arrays["trigger_token"][cell, sign, rank]
                assert found == ((coefficient, token) if key else (0, NO_TOKEN))
                assert key or not np.signbit(found[0]), "an empty slot of negatives holds 0, not -0"
        assert (arrays["histogram"][cell] == state["histogram"][:, :, cell]).all()
    slots = arrays["slot_by_token"].tolist()
    tokens = arrays["trigger_token"].reshape(-1).tolist()
    assert slots == sorted(range(len(tokens)), key=lambda slot: (tokens[slot], slot))
    for name in ("sum", "square_sum", "n_active", "n_active_sentences", "counts", "minimum", "maximum"):
        assert np.array_equal(arrays[name], state[name]), name
    assert {name: array.dtype.str for name, array in arrays.items()} == {
        "trigger_coefficient": "<f4", "trigger_token": "<u4", "slot_by_token": "<u4", "sum": "<i8", "square_sum": "<i8",
        "n_active": "<i8", "n_active_sentences": "<i8", "counts": "<i8", "minimum": "<f4", "maximum": "<f4", "histogram": "<u4",
    }  # fmt: skip


@pytest.fixture
def paths(tmp_path: Path) -> StorePaths:
    """An index of which everything is done but its files."""
    found = StorePaths(tmp_path)
    (found.work / "text").mkdir(parents=True)
    for name in ("text.sqlite", "tokenizer.json", "tokens.safetensors"):
        (found.work / "text" / name).write_bytes(f"what is in {name}".encode())
    for number in range(2):
        (found.work / f"state-{number}").write_bytes(accumulated(number, 100 * number).dump("job"))
    for layer in range(2):
        save_file({"promoted_ids": np.array([[layer, 7]], dtype=np.uint32)}, promoted_path(found.work, layer))
    return found


def finish(paths: StorePaths) -> dict[str, bytes]:
    write_index(paths, [paths.work / "state-0", paths.work / "state-1"], SHAPE)
    found = sorted(path for path in paths.index.rglob("*") if path.is_file())
    return {path.relative_to(paths.index).as_posix(): path.read_bytes() for path in found}


def test_each_layer_is_merged_and_named_by_its_number_in_the_model(paths: StorePaths) -> None:
    found = finish(paths)
    assert list(found) == [
        "layers/L000.safetensors", "layers/L004.safetensors", "text.sqlite", "tokenizer.json", "tokens.safetensors",
    ]  # fmt: skip
    arrays = load_file(paths.index / "layers" / "L004.safetensors")
    parts = [accumulated(0, 0).layer(1), accumulated(1, 100).layer(1)]
    assert arrays["promoted_ids"].tolist() == [[1, 7]], "beside what was promoted there"
    assert arrays["n_active"].tolist() == (parts[0]["n_active"] + parts[1]["n_active"]).tolist()
    assert arrays["counts"].tolist() == [[16, 8]]
    for cell in range(2):
        keys = sorted((int(key) for part in parts for key in part["keys"][0, cell]), reverse=True)[:3]
        expected = [0xFFFFFFFF - (key & 0xFFFFFFFF) for key in keys]
        assert arrays["trigger_token"][cell, 0].tolist() == expected
    assert found["text.sqlite"] == b"what is in text.sqlite"


def test_what_an_interrupted_run_left_is_replaced(paths: StorePaths) -> None:
    expected = finish(paths)
    (paths.index / "layers" / "L001.safetensors").write_bytes(b"of another time")
    (paths.work / "index" / "layers").mkdir(parents=True)
    (paths.work / "index" / "half").write_bytes(b"")
    assert finish(paths) == expected, "and all that went in is still there for it"


def test_text_is_copied_where_a_file_has_one_name(paths: StorePaths, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = finish(paths)
    assert os.stat(paths.index / "text.sqlite").st_nlink == 2

    def refuse(*_: object) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    assert finish(paths) == expected
    assert os.stat(paths.index / "text.sqlite").st_nlink == 1


def test_a_manifest_names_every_file_with_its_length_and_hash(
    index_of: Callable[[str], Index], paths: StorePaths
) -> None:
    finish(paths)
    (paths.folder / "run.json").write_text("beside the index")
    template = {name: value for name, value in index_of("gpt2").manifest.to_json().items() if name != "files"}
    write_manifest(paths, template)
    written = json.loads(paths.manifest.read_bytes())
    assert {name: value for name, value in written.items() if name != "files"} == template
    assert list(written["files"]) == sorted(written["files"]) and len(written["files"]) == 5
    for name, told in written["files"].items():
        data = (paths.folder / name).read_bytes()
        assert told == {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}, name
