"""What an index needs of disk and memory, and the refusal."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ffmem import Index
from ffmem.errors import InputError
from ffmem.index import resources
from ffmem.index.resources import check_room, free_disk, free_memory, layers_bytes
from ffmem.index.state.layers import Shape


def test_layer_files_have_the_bytes_that_were_foreseen(index_of: Callable[[str], Index]) -> None:
    index = index_of("gpt2")
    options = index.manifest.options
    shape = Shape(index.cells.layers, index.n_signs, index.top, options.per_sentence)
    foreseen = layers_bytes(shape, min(options.promoted, index.manifest.model.d_vocab))
    written = sum(path.stat().st_size for path in (index.folder / "index" / "layers").glob("*.safetensors"))
    assert foreseen <= written <= foreseen + 8192 * index.n_layers  # headers


def test_free_disk_is_that_of_the_nearest_folder_that_is_there(tmp_path: Path) -> None:
    assert free_disk(tmp_path / "not" / "yet") > 0
    memory = free_memory()
    assert memory is None or memory > 0


def test_what_cannot_fit_is_refused_with_both_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "free_disk", lambda folder: 2_000_000)
    monkeypatch.setattr(resources, "free_memory", lambda: 3_000_000_000)
    check_room(tmp_path, 2_000_000, 3_000_000_000)
    with pytest.raises(InputError, match=r"needs 2\.5 MB of disk in .*, and 2\.0 MB is free.*lower --top"):
        check_room(tmp_path, 2_500_000, 0)
    with pytest.raises(InputError, match=r"needs 4\.0 GB of memory, and 3\.0 GB is free.*Lower --workers"):
        check_room(tmp_path, 0, 4_000_000_000)
    monkeypatch.setattr(resources, "free_memory", lambda: None)
    check_room(tmp_path, 0, 10**18)  # not known: not refused
