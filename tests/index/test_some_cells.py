"""Indexes of some cells against the index of all: the same numbers for each cell that is there."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ffmem
from ffmem import Index, IndexOptions, InputError, RunOptions, StoreError
from ffmem.index.build import build_index
from ffmem.index.merge import merge_indexes
from ffmem.index.verification.verify import verify_index
from ffmem.store.fields import layer_arrays
from tests.conftest import IN_PROCESS, write_corpus
from tests.families import D_FF, N_LAYERS

SOME = {
    "llama": "10%,L1.0-7,L2.47",
    "gpt2": "L2,L0.5-9,L0.11",  # no cell of layer 1: places of the index are not those of the model
    "t5": "enc.L1.3,enc.L1.40,dec.L0-L1:20%",
    "mixtral": "L1:10%,L2.0-3",
    "qwen3_moe": "L1,L2.7",  # the layer in the middle has no experts
}
PER_CELL = [name for name in layer_arrays() if name not in ("slot_by_token", "counts")]
SCORES = ("promoted_scores", "suppressed_scores")


def of_cells(index: Index, name: str) -> np.ndarray:
    """An array of all cells of an index, a row for each cell, layer after layer."""
    parts = [np.asarray(getattr(index.layer(place), name)) for place in range(index.n_layers)]
    return np.concatenate([part.T if layer_arrays()[name][1] == "2 cells" else part for part in parts])


def ids_of(index: Index) -> list[str]:
    """The cells in the order of `of_cells`."""
    space = index.cells
    return [str(space.cell_id(place, row)) for place, one in enumerate(space.layers) for row in range(one.n_cells)]


@pytest.mark.parametrize("family", SOME)
def test_each_cell_has_the_bits_that_it_has_among_all(
    family: str, index_of: Callable[[str], Index], sparse_index_of: Callable[[str, str], Index]
) -> None:
    whole, some = index_of(family), sparse_index_of(family, SOME[family])
    rows = {cell: row for row, cell in enumerate(ids_of(whole))}
    chosen = [rows[cell] for cell in ids_of(some)]
    assert 0 < len(chosen) == some.n_cells < whole.n_cells and chosen == sorted(set(chosen))
    for name in PER_CELL:
        found, expected = of_cells(some, name), of_cells(whole, name)[chosen]
        if name in SCORES:  # of a product whose block of values has another shape
            assert np.allclose(found, expected, rtol=1e-5, atol=1e-5)
        else:
            assert np.array_equal(found, expected), name
    for place, layer in enumerate(some.cells.layers):
        of_whole = whole.layer(some.cells.whole_place(place))
        assert layer.name == whole.cells.layers[some.cells.whole_place(place)].name
        assert np.array_equal(some.layer(place).counts, of_whole.counts)
    assert some.manifest.model == whole.manifest.model
    assert some.cells.whole.layers == whole.cells.layers and whole.manifest.cells_kept is None
    found = verify_index(some, n_batches=12)
    assert found.problems == () and found.same_bytes and found.n_triggers > 5


def test_the_same_bytes_however_it_was_built(
    tiny_folder: Callable[[str], Path],
    corpus: Path,
    small_options: IndexOptions,
    sparse_index_of: Callable[[str, str], Index],
    tmp_path: Path,
) -> None:
    once = sparse_index_of("gpt2", SOME["gpt2"])
    options = replace(small_options, cells=SOME["gpt2"])
    build_index(tiny_folder("gpt2"), corpus, tmp_path / "two", options=options, run=RunOptions(workers=2))
    for name in once.manifest.files:
        if name.endswith(".safetensors"):
            assert (once.folder / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name


def test_merging_and_extending_keep_the_cells(
    tiny_folder: Callable[[str], Path], small_options: IndexOptions, tmp_path: Path
) -> None:
    texts = [write_corpus(tmp_path / f"{seed}.txt", 40, seed) for seed in (1, 2)]
    options = replace(small_options, cells="L2:30%,L0.7", duplicates="keep")

    def build(name: str, *corpora: Path, **named: object) -> Index:
        return build_index(tiny_folder("llama"), corpora, tmp_path / name, options=options, run=IN_PROCESS, **named)  # type: ignore[arg-type]

    first, second = (build(path.stem, path) for path in texts)
    merged = merge_indexes(first.folder, second.folder, tmp_path / "merged")
    names = merged.manifest.identity.corpus.name.split(" + ")
    whole = build("whole", *(tmp_path / name for name in names))
    extended = build("extended", tmp_path / names[1], extend=tmp_path / Path(names[0]).stem)
    for name in whole.manifest.files:
        if "/layers/" in name:
            expected = (whole.folder / name).read_bytes()
            assert (merged.folder / name).read_bytes() == (extended.folder / name).read_bytes() == expected
    assert merged.cells.layers == extended.cells.layers == whole.cells.layers
    assert merged.manifest.cells_kept == whole.manifest.cells_kept
    assert [*whole.manifest.cells_kept] == ["L0", "L2"] and whole.manifest.cells_kept["L0"] == "7"
    other = replace(options, cells="L2:30%,L0.8")
    build_index(tiny_folder("llama"), texts[0], tmp_path / "other", options=other, run=IN_PROCESS)
    with pytest.raises(InputError, match=r"--cells is 'L2:30%,L0.[78]' there and"):
        merge_indexes(tmp_path / "other", second.folder, tmp_path / "both")


def test_a_share_of_all_is_an_index_of_all(
    tiny_folder: Callable[[str], Path], small_options: IndexOptions, tmp_path: Path
) -> None:
    text = write_corpus(tmp_path / "text.txt", 10)
    options = replace(small_options, cells="100%")
    index = build_index(tiny_folder("gpt2"), text, tmp_path / "all", options=options, run=IN_PROCESS)
    assert index.cells.is_whole and index.n_cells == N_LAYERS * D_FF and index.manifest.cells_kept is None


def test_nan_is_told_of_the_cell_that_has_it(
    tiny_folder: Callable[[str], Path], corpus: Path, small_options: IndexOptions, tmp_path: Path
) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "model"
    shutil.copytree(tiny_folder("gpt2"), folder)
    weights = load_file(folder / "model.safetensors")
    weights["transformer.h.2.mlp.c_fc.bias"][11] = torch.nan
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    options = replace(small_options, cells="L2.3,L2.11")
    with pytest.raises(ffmem.ModelError, match=r"L2\.11 is not a finite number|layer L2 of model are not finite"):
        build_index(folder, corpus, tmp_path / "out", options=options, run=IN_PROCESS)


def test_a_plan_is_made_of_the_chosen_cells(
    tiny_folder: Callable[[str], Path], corpus: Path, small_options: IndexOptions, tmp_path: Path
) -> None:
    from ffmem.index.plan import plan_index

    plans = [
        plan_index(
            tiny_folder("gpt2"),
            corpus,
            tmp_path / "out",
            options=replace(small_options, cells=cells),
            run=IN_PROCESS,
            probe_s=0.2,
        )
        for cells in (None, "L1.5")
    ]
    assert plans[1].index_bytes < plans[0].index_bytes


@pytest.fixture
def copy(sparse_index_of: Callable[[str, str], Index], tmp_path: Path) -> Path:
    """A copy of an index of some cells, to be damaged."""
    return Path(shutil.copytree(sparse_index_of("gpt2", SOME["gpt2"]).folder, tmp_path / "copy"))


def change(folder: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    path = folder / "manifest.json"
    manifest = json.loads(path.read_bytes())
    edit(manifest)
    path.write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    "kept",
    [
        {},
        [],
        "L2",
        {"L0": None},
        {"L0": [[5, 10]]},
        {"L0": ""},
        {"L0": "5-9,10"},  # no gap between two runs
        {"L0": "9,5"},
        {"L0": "5,5"},
        {"L0": "-5"},
        {"L0": "5-48"},
        {"L0": "48"},
        {"L0": "0-99999999999999999999"},
        {"L3": "0"},
        {"l0": "0"},
        {"dec.L0": "0"},
    ],
)
def test_cells_that_cannot_be_are_a_damaged_manifest(copy: Path, kept: object) -> None:
    change(copy, lambda manifest: manifest.update(cells_kept=kept, layer_projections=["folded"]))
    with pytest.raises(StoreError, match=r"manifest\.json is damaged: it has no sound cells_kept"):
        ffmem.open_index(copy)


@pytest.mark.parametrize(
    "edit",
    [
        lambda manifest: manifest.pop("cells_kept"),  # as a build sees it that knows of no such thing
        lambda manifest: manifest["cells_kept"].update(L1="0"),
        lambda manifest: manifest["cells_kept"].update(L0="5-9,11-12"),
        lambda manifest: manifest["cells_kept"].pop("L0"),
        lambda manifest: manifest["layer_projections"].append("folded"),
    ],
)
def test_cells_that_do_not_fit_the_arrays_are_noticed(copy: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    change(copy, edit)
    try:
        problems = verify_index(ffmem.open_index(copy), with_model=False).problems
    except StoreError as error:
        problems = (str(error),)
    assert problems


def test_sizes_that_are_not_the_models_are_noticed_with_it(copy: Path) -> None:
    change(copy, lambda manifest: manifest["model"]["layers"][0].update(d_ff=10**12))
    assert len(ffmem.open_index(copy)["L0.5"].triggers) > 0  # nothing of that size is made
    with pytest.raises(
        StoreError, match=r"it says there are 1 layers of 1000000000000 cells.* and the model has 3 layers of 48"
    ):
        verify_index(ffmem.open_index(copy), n_batches=1)
